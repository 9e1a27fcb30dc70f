package dev.eventfold;

import dev.eventfold.errors.EventNotFoundException;
import dev.eventfold.errors.VersionAheadException;
import dev.eventfold.v1.EventStoreGrpc;
import dev.eventfold.v1.FoldsGrpc;
import dev.eventfold.v1.GetEventRequest;
import dev.eventfold.v1.HistoricState;
import dev.eventfold.v1.WatchRequest;
import dev.eventfold.v1.WatchResponse;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Queue;

/**
 * The state of a stream now, and again after every event that it gets; used once, by one thread.
 *
 * <p>When the call breaks, the watch calls again, as a {@link Subscription} does, and goes on
 * behind the last state that was taken: no version is left out, none comes twice. {@link #close}
 * ends it, from any thread.
 *
 * @param <T> class of the states
 */
public final class Watch<T>
        implements Iterator<WatchedState<T>>, Iterable<WatchedState<T>>, AutoCloseable {
    private final Class<T> type;
    private final States states;
    private final Queue<HistoricState> waiting = new ArrayDeque<>();

    Watch(Calls calls, WatchRequest request, Class<T> type, Reconnects reconnects) {
        this.type = type;
        this.states = new States(calls, request, reconnects);
    }

    /** Waits for the next state; false: the watch was closed. */
    @Override
    public boolean hasNext() {
        while (!states.isClosed() && waiting.isEmpty()) {
            List<HistoricState> found = states.take();
            if (found == null) {
                return false;
            }
            waiting.addAll(found);
        }
        return !states.isClosed();
    }

    @Override
    public WatchedState<T> next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return WatchedState.of(waiting.remove(), type);
    }

    @Override
    public Iterator<WatchedState<T>> iterator() {
        return this;
    }

    @Override
    public void close() {
        states.close();
    }

    /**
     * The calls of one watch. A broken one begins again at the version that came last, inclusive,
     * and compares the id of its event: a store that lost its tail in between is noticed.
     */
    private static final class States extends Live<WatchResponse, List<HistoricState>> {
        private final WatchRequest request;
        private HistoricState last;
        private boolean unproven;

        States(Calls calls, WatchRequest request, Reconnects reconnects) {
            super(calls, reconnects);
            this.request = request;
        }

        @Override
        Messages<WatchResponse> begin(Calls calls) {
            WatchRequest.Builder next = request.toBuilder();
            unproven = last != null && last.getVersion() > 0;
            if (last != null) {
                // Behind the initial state comes that after the first event.
                next.setFromVersion(Math.max(1, last.getVersion()));
            }
            return calls.endless(FoldsGrpc.getWatchMethod(), next.build());
        }

        @Override
        boolean isNew(WatchResponse message) {
            return message.getStatesCount() > 0;
        }

        @Override
        List<HistoricState> accept(WatchResponse message) {
            List<HistoricState> found = message.getStatesList();
            if (unproven && found.isEmpty()) {
                prove();
            } else if (unproven) {
                HistoricState first = found.get(0);
                if (first.getVersion() != last.getVersion()
                        || !first.getEventId().equals(last.getEventId())) {
                    throw changed();
                }
                unproven = false;
            }
            if (last != null) {
                long version = last.getVersion();
                found = found.stream().filter(one -> one.getVersion() > version).toList();
            }
            if (found.isEmpty()) {
                return null;
            }
            last = found.get(found.size() - 1);
            return found;
        }

        /** Looks up the event that came last, if a sign of life came in place of it. */
        private void prove() {
            try {
                calls().unary(
                                EventStoreGrpc.getGetEventMethod(),
                                GetEventRequest.newBuilder().setId(last.getEventId()).build());
            } catch (EventNotFoundException error) {
                throw changed();
            }
        }

        private EventfoldException changed() {
            return Cursor.changed(position(), 0);
        }

        @Override
        EventfoldException meaning(EventfoldException failure) {
            return failure instanceof VersionAheadException && position() > 0
                    ? changed()
                    : failure;
        }

        @Override
        long position() {
            return last == null ? 0 : last.getPosition();
        }
    }
}
