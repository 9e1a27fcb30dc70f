package dev.eventfold;

import dev.eventfold.v1.CarriedState;
import dev.eventfold.v1.CloseStreamResponse;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * A stream whose books are closed.
 *
 * @param stream its name
 * @param version version of the closing event, the last one of the stream
 * @param position position of the closing event
 * @param closingId id of the closing event
 * @param successor name of the stream that goes on
 * @param openingPosition position of the opening event; 0 without one
 * @param openingId id of the opening event
 * @param states what the opening event carries
 * @param recordedAt when the last of these events was recorded
 * @param duplicate whether the stream was closed so already, and nothing was stored now
 */
public record ClosedStream(
        String stream,
        long version,
        long position,
        UUID closingId,
        Optional<String> successor,
        long openingPosition,
        Optional<UUID> openingId,
        List<CarriedState> states,
        Instant recordedAt,
        boolean duplicate) {

    static ClosedStream of(String stream, CloseStreamResponse answer) {
        return new ClosedStream(
                stream,
                answer.getVersion(),
                answer.getPosition(),
                UUID.fromString(answer.getClosingId()),
                Times.text(answer.getSuccessor()),
                answer.getOpeningPosition(),
                Times.text(answer.getOpeningId()).map(UUID::fromString),
                List.copyOf(answer.getStatesList()),
                Times.of(answer.getRecordedAt()),
                answer.getDuplicate());
    }
}
