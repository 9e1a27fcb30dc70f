package dev.eventfold;

import dev.eventfold.v1.NewEvent;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;

/**
 * An event to be stored. Its id is made with it, so that an append of the same object may be
 * repeated at any time: it is stored once.
 *
 * @param id its id
 * @param type name of what happened, such as {@code MoneyDeposited}; 1 to 128 bytes
 * @param data a JSON object, kept byte for byte; at most 1 MiB
 * @param metadata a JSON object, kept byte for byte; at most 64 KiB
 * @param tags a set; at most 64, each of 1 to 128 bytes
 * @param occurredAt when it happened, in whole microseconds; empty: when the server records it
 */
public record Event(
        UUID id,
        String type,
        Json data,
        Json metadata,
        List<String> tags,
        Optional<Instant> occurredAt) {

    /** An event with all of its parts. */
    public Event {
        Objects.requireNonNull(id, "id");
        Objects.requireNonNull(type, "type");
        Objects.requireNonNull(data, "data");
        Objects.requireNonNull(metadata, "metadata");
        Objects.requireNonNull(occurredAt, "occurredAt");
        tags = List.copyOf(tags);
    }

    /**
     * An event with a new id of version 7.
     *
     * @param type name of what happened
     * @param data what is said of it: a record or another class, a map, or {@link Json}
     * @throws dev.eventfold.errors.InvalidValueException the data has no JSON
     */
    public static Event of(String type, Object data) {
        return new Event(
                Uuid7.next(), type, Json.encode(data), Json.EMPTY, List.of(), Optional.empty());
    }

    /** An event of which nothing more is said. */
    public static Event of(String type) {
        return of(type, Json.EMPTY);
    }

    /** The same with an id that is known elsewhere too. */
    public Event withId(UUID id) {
        return new Event(id, type, data, metadata, tags, occurredAt);
    }

    /** The same with metadata: a map, a class, or {@link Json}. */
    public Event withMetadata(Object metadata) {
        return new Event(id, type, data, Json.encode(metadata), tags, occurredAt);
    }

    /** The same with tags. */
    public Event withTags(String... tags) {
        return new Event(id, type, data, metadata, List.of(tags), occurredAt);
    }

    /** The same that happened at a time of its own. */
    public Event withOccurredAt(Instant time) {
        return new Event(id, type, data, metadata, tags, Optional.of(time));
    }

    NewEvent toWire() {
        NewEvent.Builder wire =
                NewEvent.newBuilder()
                        .setId(id.toString())
                        .setType(type)
                        .setData(data.wire())
                        .addAllTags(tags);
        if (!metadata.equals(Json.EMPTY)) {
            wire.setMetadata(metadata.wire());
        }
        occurredAt.ifPresent(time -> wire.setOccurredAt(Times.toWire(time)));
        return wire.build();
    }
}
