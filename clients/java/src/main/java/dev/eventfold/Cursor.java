package dev.eventfold;

import dev.eventfold.errors.StoreIncarnationChangedException;
import dev.eventfold.v1.EventStoreGrpc;
import dev.eventfold.v1.Follow;
import dev.eventfold.v1.ReadAllRequest;
import dev.eventfold.v1.ReadAllResponse;
import dev.eventfold.v1.ReadRequest;
import dev.eventfold.v1.ReadResponse;
import dev.eventfold.v1.RecordedEvent;
import io.grpc.MethodDescriptor;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Where a read stands, so that a broken one goes on without gap or repetition.
 *
 * <p>A broken read begins again at the last event that came, inclusive, and compares its id: a
 * store that lost its tail in between is noticed, and no special case is needed at the ends of the
 * stream.
 *
 * @param <Q> the request
 * @param <A> a message of the answer
 */
abstract class Cursor<Q, A> {
    private final Q request;
    private RecordedEvent last;
    private long count;
    private boolean repeats;

    private Cursor(Q request) {
        this.request = request;
    }

    abstract MethodDescriptor<Q, A> method();

    abstract List<RecordedEvent> events(A message);

    /** Where the read ended; empty: there are more messages. */
    abstract Optional<ReadEnd> end(A message);

    abstract Q resumed(Q request, RecordedEvent last, long count);

    /** The request for what is still to come. */
    Q request() {
        if (last == null) {
            return request;
        }
        repeats = true;
        return resumed(request, last, count);
    }

    /** The last event that came; null: none did. */
    RecordedEvent last() {
        return last;
    }

    /** The events of a message that are new. */
    List<RecordedEvent> accept(A message) {
        List<RecordedEvent> events = events(message);
        if (repeats && !events.isEmpty()) {
            if (!events.get(0).getId().equals(last.getId())) {
                throw changed();
            }
            repeats = false;
            events = events.subList(1, events.size());
        }
        if (!events.isEmpty()) {
            last = events.get(events.size() - 1);
            count += events.size();
        }
        return events;
    }

    /** Called at the end of the read: the event to begin with must have come. */
    void finish() {
        if (repeats) {
            throw changed();
        }
    }

    private StoreIncarnationChangedException changed() {
        return changed(last.getPosition(), 0);
    }

    /** The error of a log that lost what was read. */
    static StoreIncarnationChangedException changed(long position, long common) {
        return new StoreIncarnationChangedException(
                "the event at position "
                        + position
                        + " was read, and is now missing or another one",
                Map.of(
                        "token_position", Long.toString(position),
                        "common_position", Long.toString(common)));
    }

    /** Of a stream. */
    static final class OfStream extends Cursor<ReadRequest, ReadResponse> {
        private final String stream;

        OfStream(ReadRequest request) {
            super(request);
            stream = request.getStream();
        }

        @Override
        MethodDescriptor<ReadRequest, ReadResponse> method() {
            return EventStoreGrpc.getReadMethod();
        }

        @Override
        List<RecordedEvent> events(ReadResponse message) {
            return message.getEventsList();
        }

        @Override
        Optional<ReadEnd> end(ReadResponse message) {
            if (!message.hasEnd()) {
                return Optional.empty();
            }
            String at = last() == null ? stream : last().getStream();
            return Optional.of(ReadEnd.of(message.getEnd(), Optional.of(at)));
        }

        @Override
        ReadRequest resumed(ReadRequest request, RecordedEvent last, long count) {
            ReadRequest.Builder next = request.toBuilder().setFromVersion(last.getVersion());
            if (request.getFollow() != Follow.FOLLOW_UNSPECIFIED) {
                // On from that very event: through all streams behind it, or in the open one.
                next.setStream(last.getStream());
            }
            if (request.getFollow() == Follow.FOLLOW_OPEN) {
                next.setFollow(Follow.FOLLOW_UNSPECIFIED);
            }
            if (request.getLimit() != 0) {
                next.setLimit(request.getLimit() - count + 1);
            }
            return next.build();
        }
    }

    /** Of the log. */
    static final class OfLog extends Cursor<ReadAllRequest, ReadAllResponse> {
        OfLog(ReadAllRequest request) {
            super(request);
        }

        @Override
        MethodDescriptor<ReadAllRequest, ReadAllResponse> method() {
            return EventStoreGrpc.getReadAllMethod();
        }

        @Override
        List<RecordedEvent> events(ReadAllResponse message) {
            return message.getEventsList();
        }

        @Override
        Optional<ReadEnd> end(ReadAllResponse message) {
            return message.hasEnd()
                    ? Optional.of(ReadEnd.of(message.getEnd(), Optional.empty()))
                    : Optional.empty();
        }

        @Override
        ReadAllRequest resumed(ReadAllRequest request, RecordedEvent last, long count) {
            ReadAllRequest.Builder next =
                    request.toBuilder().setFromPosition(last.getPosition());
            if (request.getLimit() != 0) {
                next.setLimit(request.getLimit() - count + 1);
            }
            return next.build();
        }
    }
}
