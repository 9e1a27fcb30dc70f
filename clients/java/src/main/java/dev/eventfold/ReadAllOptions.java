package dev.eventfold;

import dev.eventfold.v1.Copies;
import dev.eventfold.v1.Direction;
import dev.eventfold.v1.ReadAllRequest;
import java.util.List;

/** Which events of the log to read, and how. Default: all but the system's, from the first on. */
public final class ReadAllOptions {
    private final ReadAllRequest.Builder request = ReadAllRequest.newBuilder();

    private ReadAllOptions() {}

    /** All events, forwards. */
    public static ReadAllOptions all() {
        return new ReadAllOptions();
    }

    /** All events, from the head to the first. */
    public static ReadAllOptions backwards() {
        ReadAllOptions options = new ReadAllOptions();
        options.request.setDirection(Direction.DIRECTION_BACKWARDS);
        return options;
    }

    /** Position to begin with, inclusive, at least 1. In place of a resume token. */
    public ReadAllOptions fromPosition(long position) {
        request.setFromPosition(position);
        return this;
    }

    /** Begins behind what the token stands for. In place of a position; only forwards. */
    public ReadAllOptions resume(ResumeToken token) {
        if (token.isEmpty()) {
            request.clearFrom();
        } else {
            request.setResumeToken(token.wire());
        }
        return this;
    }

    /** Position to end with, inclusive; beyond the head it means the head. */
    public ReadAllOptions toPosition(long position) {
        request.setToPosition(position);
        return this;
    }

    /** Most events to return. Default: no limit. */
    public ReadAllOptions limit(long events) {
        request.setLimit(events);
        return this;
    }

    /** Only events of these categories; at most 100. */
    public ReadAllOptions categories(String... categories) {
        request.addAllCategories(List.of(categories));
        return this;
    }

    /** Only events of these types; at most 100. */
    public ReadAllOptions types(String... types) {
        request.addAllTypes(List.of(types));
        return this;
    }

    /** Only events that have all of these tags; at most 64. */
    public ReadAllOptions tags(String... tags) {
        request.addAllTags(List.of(tags));
        return this;
    }

    /** Also events of streams whose name starts with {@code $}. */
    public ReadAllOptions includeSystemEvents() {
        request.setIncludeSystemEvents(true);
        return this;
    }

    /** Whether copies, which transforms have made of other events, are among the events. */
    public ReadAllOptions copies(Copies copies) {
        request.setCopies(copies);
        return this;
    }

    /** Waits until the log has this position, and reads then. */
    public ReadAllOptions atLeastPosition(long position) {
        request.setAtLeastPosition(position);
        return this;
    }

    /** Data as it is stored, without the mappings in force. */
    public ReadAllOptions raw() {
        request.setRaw(true);
        return this;
    }

    ReadAllRequest request() {
        return request.clone().build();
    }
}
