package dev.eventfold;

import dev.eventfold.v1.Follow;
import dev.eventfold.v1.HydrateRequest;
import java.time.Instant;

/** The point up to which events count, and which streams. Default: the head of the stream. */
public final class HydrateOptions {
    private final HydrateRequest.Builder request = HydrateRequest.newBuilder();

    private HydrateOptions() {}

    /** The state at the head. */
    public static HydrateOptions atHead() {
        return new HydrateOptions();
    }

    /** Events up to this version, inclusive; 0: the initial state. */
    public static HydrateOptions atVersion(long version) {
        HydrateOptions options = new HydrateOptions();
        options.request.setVersion(version);
        return options;
    }

    /** Events up to this position of the log, inclusive. */
    public static HydrateOptions atPosition(long position) {
        HydrateOptions options = new HydrateOptions();
        options.request.setPosition(position);
        return options;
    }

    /** Events recorded at or before this time. */
    public static HydrateOptions recordedAt(Instant time) {
        HydrateOptions options = new HydrateOptions();
        options.request.setRecordedAt(Times.toWire(time));
        return options;
    }

    /** Events that occurred at or before this time. */
    public static HydrateOptions occurredAt(Instant time) {
        HydrateOptions options = new HydrateOptions();
        options.request.setOccurredAt(Times.toWire(time));
        return options;
    }

    /** Waits until the log has this position, and folds then. */
    public HydrateOptions atLeastPosition(long position) {
        request.setAtLeastPosition(position);
        return this;
    }

    /** The last stream of the line of periods in place of the one that is named. */
    public HydrateOptions followOpen() {
        request.setFollow(Follow.FOLLOW_OPEN);
        return this;
    }

    /** All streams of the line of periods as if they were one. */
    public HydrateOptions followAll() {
        request.setFollow(Follow.FOLLOW_ALL);
        return this;
    }

    HydrateRequest request(String stream, Fold fold) {
        return request.clone().setStream(stream).setFold(fold.toWire()).build();
    }
}
