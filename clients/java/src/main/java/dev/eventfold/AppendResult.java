package dev.eventfold;

import dev.eventfold.v1.AppendResponse;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * Where the events of an append stand.
 *
 * @param firstVersion version of the first event
 * @param lastVersion version of the last event; the version to expect in the next append
 * @param positions position of each event in the log, in order
 * @param duplicate whether the events were stored already, and nothing was stored now
 * @param recordedAt when the server recorded the last event
 * @param stream the stream that has the events, where the append was to follow
 */
public record AppendResult(
        long firstVersion,
        long lastVersion,
        List<Long> positions,
        boolean duplicate,
        Instant recordedAt,
        Optional<String> stream) {

    /** Position of the last event: what readers wait for who are to see it. */
    public long lastPosition() {
        return positions.get(positions.size() - 1);
    }

    static AppendResult of(AppendResponse answer) {
        return new AppendResult(
                answer.getFirstVersion(),
                answer.getLastVersion(),
                List.copyOf(answer.getPositionsList()),
                answer.getDuplicate(),
                Times.of(answer.getRecordedAt()),
                Times.text(answer.getStream()));
    }
}
