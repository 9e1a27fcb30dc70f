package dev.eventfold;

import java.util.Optional;
import java.util.UUID;

/**
 * How far a reader of the log is, and the proof that it was this very log.
 *
 * <p>Keep it (its {@link #text}) in the same transaction as what the events led to, and begin the
 * next subscription there: it goes on with the next event, none left out and none twice. If the log
 * has lost its tail in between, the subscription throws {@code StoreIncarnationChangedException}
 * instead of going on beside it.
 *
 * @param position everything at or below this position was taken; 0: nothing
 * @param resumeToken the token of the newest frame that was taken whole
 * @param tokenPosition the position that the token stands for; 0: not known
 * @param eventId id of the event at {@code position}, where the token stands for an earlier one
 */
public record Place(
        long position, ResumeToken resumeToken, long tokenPosition, Optional<UUID> eventId) {
    /** The beginning of any log. */
    public static final Place BEGINNING = new Place(0, ResumeToken.NONE, 0, Optional.empty());

    /** Behind what a token stands for. */
    public static Place of(ResumeToken token) {
        return new Place(0, token, 0, Optional.empty());
    }

    /**
     * The place of such a text as {@link #text} gives.
     *
     * @throws dev.eventfold.errors.InvalidValueException it is none
     */
    public static Place parse(String text) {
        try {
            String[] parts = text.split("/", -1);
            return new Place(
                    Long.parseLong(parts[0]),
                    ResumeToken.of(parts[1]),
                    Long.parseLong(parts[2]),
                    Times.text(parts[3]).map(UUID::fromString));
        } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException error) {
            throw Settings.invalid("place", "the text is no place");
        }
    }

    /** All of it as one text, of under 700 characters. */
    public String text() {
        String id = eventId.map(UUID::toString).orElse("");
        return position + "/" + resumeToken.text() + "/" + tokenPosition + "/" + id;
    }
}
