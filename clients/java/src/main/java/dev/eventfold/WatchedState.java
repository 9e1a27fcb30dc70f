package dev.eventfold;

import dev.eventfold.v1.HistoricState;
import java.time.Instant;
import java.util.Optional;
import java.util.UUID;

/**
 * The state of a stream that is watched: after one of its events, or before the first.
 *
 * @param <T> class of the state
 * @param version version of the event; 0: there is none yet, and the state is the initial one
 * @param position position of the event in the log; 0 without one
 * @param eventId id of the event
 * @param eventType type of the event
 * @param recordedAt when it was recorded
 * @param exists false: the stream has no event yet, or the fold deleted the aggregate
 * @param json the state as JSON
 * @param type class of the state
 */
public record WatchedState<T>(
        long version,
        long position,
        Optional<UUID> eventId,
        Optional<String> eventType,
        Optional<Instant> recordedAt,
        boolean exists,
        Json json,
        Class<T> type) {

    /**
     * The state, decoded each time that it is asked for.
     *
     * @throws dev.eventfold.errors.StateMismatchException it does not fit the class, or there is
     *     none
     */
    public T state() {
        return json.as(type);
    }

    static <T> WatchedState<T> of(HistoricState state, Class<T> type) {
        return new WatchedState<>(
                state.getVersion(),
                state.getPosition(),
                Times.text(state.getEventId()).map(UUID::fromString),
                Times.text(state.getType()),
                Times.of(state.hasRecordedAt(), state.getRecordedAt()),
                state.getExists(),
                Json.of(state.getState()),
                type);
    }
}
