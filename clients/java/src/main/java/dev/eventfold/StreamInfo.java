package dev.eventfold;

import dev.eventfold.v1.Lifecycle;
import java.time.Instant;
import java.util.Optional;

/**
 * A stream.
 *
 * @param name its name, {@code category-id}
 * @param version the number of its events; 0 if it never had one
 * @param lifecycle whether it takes events
 * @param root name of the first stream of its line of periods; its own name if it is the first
 * @param predecessor name of the stream of the period before
 * @param successor name of the stream of the next period
 * @param createdAt when its first event was recorded
 */
public record StreamInfo(
        String name,
        long version,
        Lifecycle lifecycle,
        String root,
        Optional<String> predecessor,
        Optional<String> successor,
        Optional<Instant> createdAt) {

    /** The text before the first {@code -}. */
    public String category() {
        int dash = name.indexOf('-');
        return dash < 0 ? name : name.substring(0, dash);
    }

    /** The text after the first {@code -}. */
    public String id() {
        int dash = name.indexOf('-');
        return dash < 0 ? "" : name.substring(dash + 1);
    }

    /** Whether the stream ever had an event. */
    public boolean exists() {
        return version > 0;
    }

    static StreamInfo of(dev.eventfold.v1.Stream wire) {
        return new StreamInfo(
                wire.getName(),
                wire.getVersion(),
                wire.getLifecycle(),
                wire.getRoot().isEmpty() ? wire.getName() : wire.getRoot(),
                Times.text(wire.getPredecessor()),
                Times.text(wire.getSuccessor()),
                Times.of(wire.hasCreatedAt(), wire.getCreatedAt()));
    }

    static StreamInfo neverWritten(String name) {
        return new StreamInfo(
                name,
                0,
                Lifecycle.LIFECYCLE_OPEN,
                name,
                Optional.empty(),
                Optional.empty(),
                Optional.empty());
    }
}
