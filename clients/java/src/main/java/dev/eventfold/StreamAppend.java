package dev.eventfold;

import java.util.List;

/**
 * The part of an append to several streams that goes to one of them.
 *
 * @param stream name of the stream
 * @param events its events, in their order
 * @param expected what the stream is to be like
 */
public record StreamAppend(String stream, List<Event> events, ExpectedVersion expected) {
    /** A part. */
    public StreamAppend {
        events = List.copyOf(events);
    }

    /** A part that goes to a stream at a version; 0: it has no event yet. */
    public static StreamAppend of(String stream, List<Event> events, long expectedVersion) {
        return new StreamAppend(stream, events, ExpectedVersion.exact(expectedVersion));
    }
}
