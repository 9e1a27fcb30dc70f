package dev.eventfold;

import dev.eventfold.errors.UnexpectedAnswerException;
import dev.eventfold.v1.EventFlag;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * A stored event.
 *
 * @param id its id
 * @param stream name of its stream
 * @param type name of what happened
 * @param version its place in the stream; the first has 1
 * @param position its place in the log; the first has 1, and the order is that of commits
 * @param recordedAt when the server recorded it
 * @param occurredAt when it happened, as the writer said; else {@code recordedAt}
 * @param writer who appended it: the name of the token, or {@code anonymous}
 * @param data the JSON object as it came in, or as the mapping of its type makes it
 * @param metadata the JSON object as it came in
 * @param tags sorted bytewise
 * @param flags marks of the server, the sum of {@link EventFlag}; see {@link #has}
 * @param copiedFrom id of the event that it is a copy of
 * @param cancels id of the event that it cancels
 * @param traceContext W3C {@code traceparent} of the call that appended it
 * @param deleted whether data, metadata and tags were deleted
 * @param erasedPaths pointers to values of {@code data} that are null because their subject was
 *     erased
 * @param withheldPaths pointers to values that are null because the caller may not see them
 */
public record RecordedEvent(
        UUID id,
        String stream,
        String type,
        long version,
        long position,
        Instant recordedAt,
        Instant occurredAt,
        String writer,
        Json data,
        Json metadata,
        List<String> tags,
        int flags,
        Optional<UUID> copiedFrom,
        Optional<UUID> cancels,
        Optional<String> traceContext,
        boolean deleted,
        List<String> erasedPaths,
        List<String> withheldPaths) {

    /** The data as an object of a class. */
    public <T> T data(Class<T> type) {
        return data.as(type);
    }

    /** Whether the server has marked the event so. */
    public boolean has(EventFlag flag) {
        return (flags & flag.getNumber()) != 0;
    }

    /** The event of a message of the contract. */
    public static RecordedEvent of(dev.eventfold.v1.RecordedEvent wire) {
        try {
            return read(wire);
        } catch (IllegalArgumentException error) {
            throw new UnexpectedAnswerException(
                    "OK",
                    "an event whose id is no UUID",
                    Map.of("position", Long.toString(wire.getPosition())));
        }
    }

    private static RecordedEvent read(dev.eventfold.v1.RecordedEvent wire) {
        return new RecordedEvent(
                UUID.fromString(wire.getId()),
                wire.getStream(),
                wire.getType(),
                wire.getVersion(),
                wire.getPosition(),
                Times.of(wire.getRecordedAt()),
                Times.of(wire.getOccurredAt()),
                wire.getWriter(),
                Json.of(wire.getData()),
                Json.of(wire.getMetadata()),
                List.copyOf(wire.getTagsList()),
                wire.getFlags(),
                Times.text(wire.getCopiedFrom()).map(UUID::fromString),
                Times.text(wire.getCancels()).map(UUID::fromString),
                Times.text(wire.getTraceContext()),
                wire.getDeleted(),
                List.copyOf(wire.getErasedPathsList()),
                List.copyOf(wire.getWithheldPathsList()));
    }
}
