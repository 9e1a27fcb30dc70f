package dev.eventfold;

import dev.eventfold.errors.EventNotFoundException;
import dev.eventfold.errors.PositionAheadException;
import dev.eventfold.v1.EventStoreGrpc;
import dev.eventfold.v1.GetEventRequest;
import dev.eventfold.v1.SubscribeResponse;
import dev.eventfold.v1.SubscriptionsGrpc;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.UUID;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The events of a subscription, in order and without an end; used once, by one thread.
 *
 * <pre>{@code
 * try (Subscription events = client.subscribe(SubscribeOptions.categories("account"))) {
 *     for (RecordedEvent event : events) { ... }
 * }
 * }</pre>
 *
 * <p>The call begins with the first event that is asked for. When it breaks, the subscription calls
 * again, with growing pauses, and goes on behind the last event that was taken: none is left out,
 * none comes twice. It says so on the logger {@code eventfold}, and to {@code onReconnect}. An
 * error that no further call can mend is thrown.
 *
 * <p>{@link #place} says after each event how far the loop is. The event in hand counts as taken:
 * keep the place after having handled it, best in the same transaction.
 *
 * <p>{@link #close} ends it, from any thread: a loop that is under way then ends as if there were
 * no more events.
 */
public final class Subscription
        implements Iterator<RecordedEvent>, Iterable<RecordedEvent>, AutoCloseable {
    private final Following following;
    private final Frames frames;

    Subscription(Calls calls, Following following, Reconnects reconnects) {
        this.following = following;
        this.frames = new Frames(calls, following, reconnects);
    }

    /** How far the loop is: what the next subscription goes on from. */
    public Place place() {
        return following.place();
    }

    /** The newest token that stands for no more than what was taken. */
    public ResumeToken resumeToken() {
        return following.place().resumeToken();
    }

    /** Head of the log as the server last told it; 0: not known yet. */
    public long head() {
        return following.head();
    }

    /** Whether it got to the head, and events come as they are appended. */
    public boolean isCaughtUp() {
        return following.isCaughtUp();
    }

    /** Waits for the next event; false: the subscription was closed. */
    @Override
    public boolean hasNext() {
        while (!frames.isClosed() && !following.hasEvent()) {
            if (frames.take() == null) {
                return false;
            }
        }
        return !frames.isClosed();
    }

    @Override
    public RecordedEvent next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return RecordedEvent.of(following.take());
    }

    @Override
    public Iterator<RecordedEvent> iterator() {
        return this;
    }

    /** The events as a stream; closing it ends the subscription. */
    public Stream<RecordedEvent> stream() {
        int kind = Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.IMMUTABLE;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, kind), false)
                .onClose(this::close);
    }

    /**
     * Waits for the next frame, in place of the events: also checkpoints, news of having caught up,
     * and a sign of life every 10 s. A frame is taken as a whole, and has a token of its own: a
     * good unit for a transaction. Empty: the subscription was closed.
     */
    public Optional<Frame> nextFrame() {
        return Optional.ofNullable(frames.take()).map(there -> following.takeWhole());
    }

    @Override
    public void close() {
        frames.close();
    }

    /** The calls of one subscription. */
    private static final class Frames extends Live<SubscribeResponse, SubscribeResponse> {
        private final Following following;

        Frames(Calls calls, Following following, Reconnects reconnects) {
            super(calls, reconnects);
            this.following = following;
        }

        @Override
        Messages<SubscribeResponse> begin(Calls calls) {
            return calls.endless(SubscriptionsGrpc.getSubscribeMethod(), following.request());
        }

        @Override
        boolean isNew(SubscribeResponse message) {
            return message.getEventsCount() > 0;
        }

        @Override
        SubscribeResponse accept(SubscribeResponse message) {
            boolean isThere = following.accept(message);
            following.doubtful().ifPresent(this::prove);
            return isThere ? message : null;
        }

        /** Looks up the event that was taken last, and did not come by. */
        private void prove(Place place) {
            String id = place.eventId().map(UUID::toString).orElse("");
            try {
                GetEventRequest request = GetEventRequest.newBuilder().setId(id).build();
                following.prove(
                        Optional.of(
                                calls().unary(EventStoreGrpc.getGetEventMethod(), request)
                                        .getEvent()));
            } catch (EventNotFoundException error) {
                following.prove(Optional.empty());
            }
        }

        @Override
        EventfoldException meaning(EventfoldException failure) {
            boolean isLost =
                    failure instanceof PositionAheadException
                            && following.place().eventId().isPresent();
            return isLost ? following.changed() : failure;
        }

        @Override
        long position() {
            return following.place().position();
        }
    }
}
