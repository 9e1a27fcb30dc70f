package dev.eventfold;

import java.util.Optional;

/**
 * Where a read ended.
 *
 * @param version last version that was looked at, whether or not a filter let it pass; reading on
 *     begins one above it. 0 for reads of the whole log
 * @param position position of the event at {@code version}; for reads of the whole log the last
 *     position that was looked at. 0: none
 * @param resumeToken stands for {@code position} on this very log; see {@link ReadAllOptions}
 * @param endReached true: the read came to its end; false: the limit ended it before
 * @param stream the stream that {@code version} is of; empty for reads of the whole log
 * @param openedFrom the stream that this one was opened from, when its books were closed
 */
public record ReadEnd(
        long version,
        long position,
        ResumeToken resumeToken,
        boolean endReached,
        Optional<String> stream,
        Optional<String> openedFrom) {

    static ReadEnd of(dev.eventfold.v1.ReadEnd wire, Optional<String> stream) {
        return new ReadEnd(
                wire.getVersion(),
                wire.getPosition(),
                ResumeToken.of(wire.getResumeToken()),
                wire.getEndReached(),
                Times.text(wire.getStream()).or(() -> stream),
                Times.text(wire.getOpenedFrom()));
    }
}
