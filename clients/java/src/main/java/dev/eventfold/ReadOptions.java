package dev.eventfold;

import dev.eventfold.v1.Direction;
import dev.eventfold.v1.Follow;
import dev.eventfold.v1.ReadRequest;
import java.util.List;

/** Which events of a stream to read, and how. Default: all, from the first to the last. */
public final class ReadOptions {
    private final ReadRequest.Builder request = ReadRequest.newBuilder();

    private ReadOptions() {}

    /** All events, forwards. */
    public static ReadOptions all() {
        return new ReadOptions();
    }

    /** All events, from the head to the first. */
    public static ReadOptions backwards() {
        ReadOptions options = new ReadOptions();
        options.request.setDirection(Direction.DIRECTION_BACKWARDS);
        return options;
    }

    /** Version to begin with, inclusive, at least 1. Default: 1, backwards the head. */
    public ReadOptions fromVersion(long version) {
        request.setFromVersion(version);
        return this;
    }

    /** Version to end with, inclusive; beyond the head it means the head. */
    public ReadOptions toVersion(long version) {
        request.setToVersion(version);
        return this;
    }

    /** Most events to return. Default: no limit. */
    public ReadOptions limit(long events) {
        request.setLimit(events);
        return this;
    }

    /** Only events of these types; at most 100. */
    public ReadOptions types(String... types) {
        request.addAllTypes(List.of(types));
        return this;
    }

    /** Waits until the log has this position, and reads then. */
    public ReadOptions atLeastPosition(long position) {
        request.setAtLeastPosition(position);
        return this;
    }

    /** Data as it is stored, without the mappings in force. */
    public ReadOptions raw() {
        request.setRaw(true);
        return this;
    }

    /** Events that others cancel have {@code EVENT_FLAG_CANCELLED}. */
    public ReadOptions markCancelled() {
        request.setMarkCancelled(true);
        return this;
    }

    /** Reads the last stream of the line of periods in place of the one that is named. */
    public ReadOptions followOpen() {
        request.setFollow(Follow.FOLLOW_OPEN);
        return this;
    }

    /** Reads all streams of the line of periods as if they were one. */
    public ReadOptions followAll() {
        request.setFollow(Follow.FOLLOW_ALL);
        return this;
    }

    ReadRequest request(String stream) {
        return request.clone().setStream(stream).build();
    }
}
