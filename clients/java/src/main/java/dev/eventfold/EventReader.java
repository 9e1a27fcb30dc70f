package dev.eventfold;

import dev.eventfold.errors.UnexpectedAnswerException;
import io.grpc.StatusRuntimeException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The events of a read, in order; used once, by one thread.
 *
 * <p>The call begins with the first event that is asked for. When the connection breaks, the read
 * goes on behind the last event that came, without gap or repetition; it then sees the stream or
 * the log as it stands at that moment. The timeout bounds the time in which nothing new comes, not
 * the whole read. Closing ends the call; a read that came to its end needs none.
 */
public final class EventReader
        implements Iterator<RecordedEvent>, Iterable<RecordedEvent>, AutoCloseable {
    private final Reading<?, ?> reading;

    EventReader(Calls calls, Cursor<?, ?> cursor) {
        reading = new Reading<>(calls, cursor);
    }

    @Override
    public boolean hasNext() {
        return reading.hasNext();
    }

    @Override
    public RecordedEvent next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return RecordedEvent.of(reading.waiting.remove());
    }

    @Override
    public Iterator<RecordedEvent> iterator() {
        return this;
    }

    /** The events as a stream; closing it ends the call. */
    public Stream<RecordedEvent> stream() {
        int kind = Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.IMMUTABLE;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, kind), false)
                .onClose(this::close);
    }

    /** All events that are still to come. */
    public List<RecordedEvent> toList() {
        List<RecordedEvent> events = new ArrayList<>();
        forEachRemaining(events::add);
        return events;
    }

    /**
     * Where the read ended.
     *
     * @throws IllegalStateException not all of its events were taken yet
     */
    public ReadEnd end() {
        if (reading.end == null || !reading.waiting.isEmpty()) {
            throw new IllegalStateException(
                    "the end of a read is known when all of its events were taken");
        }
        return reading.end;
    }

    @Override
    public void close() {
        reading.close();
    }

    /** The calls of one read. */
    private static final class Reading<Q, A> {
        private final Calls calls;
        private final Cursor<Q, A> cursor;
        private final Queue<dev.eventfold.v1.RecordedEvent> waiting = new ArrayDeque<>();
        private Messages<A> call;
        private ReadEnd end;
        private boolean hasProgress;
        private int failures;
        private boolean closed;

        Reading(Calls calls, Cursor<Q, A> cursor) {
            this.calls = calls;
            this.cursor = cursor;
        }

        boolean hasNext() {
            while (waiting.isEmpty() && end == null && !closed) {
                try {
                    receive();
                } catch (RuntimeException error) {
                    close();
                    throw error;
                }
            }
            return !waiting.isEmpty();
        }

        private void receive() {
            try {
                if (call == null) {
                    hasProgress = false;
                    call = calls.stream(cursor.method(), cursor.request());
                }
                A message = call.next();
                if (message == null) {
                    throw new UnexpectedAnswerException(
                            "OK", "the answer stopped without its last message", Map.of());
                }
                waiting.addAll(cursor.accept(message));
                hasProgress = hasProgress || !waiting.isEmpty();
                cursor.end(message)
                        .ifPresent(
                                found -> {
                                    cursor.finish();
                                    end = found;
                                    call.close();
                                });
            } catch (StatusRuntimeException error) {
                call.close();
                call = null;
                failures = hasProgress ? 0 : failures + 1;
                calls.pauseOrThrow(calls.failure(error, Safety.READ), failures, Safety.READ, null);
            }
        }

        void close() {
            closed = true;
            waiting.clear();
            if (call != null) {
                call.close();
            }
        }
    }
}
