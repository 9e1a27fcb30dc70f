package dev.eventfold;

import dev.eventfold.v1.HydrateResponse;
import java.util.List;
import java.util.Optional;

/**
 * A state, folded from the events of one stream.
 *
 * @param <T> class of the state
 * @param exists false: the stream has no event up to that point, or the fold deleted the aggregate
 * @param json the state as JSON, the same byte for byte wherever it is folded
 * @param version version of the last event that counted or was looked at: the version to expect in
 *     an append that is decided on this state. 0: no event
 * @param position position of the event at {@code version}; 0: no event
 * @param eventsRead number of events that were read for it
 * @param eventsFolded number of those for which the fold has a handler
 * @param foldDigest SHA-256 of the normal form of the fold, lower-case hexadecimal
 * @param keptVersion version of the kept state that the server went on from; 0: none
 * @param stream the stream that {@code version} is of, where the call was to follow
 * @param erasedPaths pointers to what is null because the subject of its values was erased
 * @param withheldPaths pointers to what is null because the caller may not see it
 * @param type class of the state
 */
public record Hydrated<T>(
        boolean exists,
        Json json,
        long version,
        long position,
        long eventsRead,
        long eventsFolded,
        String foldDigest,
        long keptVersion,
        Optional<String> stream,
        List<String> erasedPaths,
        List<String> withheldPaths,
        Class<T> type) {

    /**
     * The state, decoded each time that it is asked for. For a stream without events the initial
     * state of the fold.
     *
     * @throws dev.eventfold.errors.StateMismatchException it does not fit the class, or there is
     *     none; look at {@link #exists} first
     */
    public T state() {
        return json.as(type);
    }

    static <T> Hydrated<T> of(HydrateResponse answer, Class<T> type) {
        return new Hydrated<>(
                answer.getExists(),
                Json.of(answer.getState()),
                answer.getVersion(),
                answer.getPosition(),
                answer.getEventsRead(),
                answer.getEventsFolded(),
                answer.getFoldDigest(),
                answer.getKeptVersion(),
                Times.text(answer.getStream()),
                List.copyOf(answer.getErasedPathsList()),
                List.copyOf(answer.getWithheldPathsList()),
                type);
    }
}
