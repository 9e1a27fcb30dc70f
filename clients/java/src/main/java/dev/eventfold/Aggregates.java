package dev.eventfold;

import dev.eventfold.errors.InvalidStreamNameException;
import dev.eventfold.errors.StateNotCarriedException;
import dev.eventfold.errors.StreamClosedException;
import dev.eventfold.errors.StreamNotFoundException;
import dev.eventfold.errors.VersionConflictException;
import dev.eventfold.v1.EventFlag;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/** Folding aggregates here, and deciding on them. */
final class Aggregates {
    // More types than a read can filter by: then all events are read.
    private static final int TYPES_MAX = 100;

    private Aggregates() {}

    /** The name of the stream of an aggregate. */
    static String streamName(String category, String id) {
        if (category.isEmpty() || category.contains("-")) {
            String problem =
                    category.isEmpty() ? "the category is empty" : "the category holds a `-`";
            throw new InvalidStreamNameException(problem, Map.of("problem", problem));
        }
        if (id.isEmpty()) {
            throw new InvalidStreamNameException(
                    "the id is empty", Map.of("problem", "the id is empty"));
        }
        return category + "-" + id;
    }

    static <S> Aggregate<S> read(
            EventfoldClient client, String stream, Handlers<S> handlers, ReadOptions options) {
        boolean opened = options.request(stream).getFollow() == dev.eventfold.v1.Follow.FOLLOW_ALL;
        String[] types = handlers.types();
        if (types.length <= TYPES_MAX) {
            options.types(types);
        }
        S state = handlers.initial();
        try (EventReader reader = client.read(stream, options)) {
            for (RecordedEvent event : reader) {
                opened |= handlers.has(event.type()) && event.has(EventFlag.EVENT_FLAG_OPENS);
                state = handlers.apply(state, event);
            }
            ReadEnd end = reader.end();
            String at = end.stream().orElse(stream);
            if (end.openedFrom().isPresent() && !opened) {
                throw notOpened(at, end.openedFrom().get());
            }
            return new Aggregate<>(state, end.version(), at);
        } catch (StreamNotFoundException error) {
            return new Aggregate<>(state, 0, stream);
        }
    }

    private static StateNotCarriedException notOpened(String stream, String predecessor) {
        return new StateNotCarriedException(
                "no handler takes the event that opened "
                        + stream
                        + ", which carries states of folds alone",
                Map.of("stream", stream, "problem", "not_carried", "predecessor", predecessor));
    }

    /** Reads, decides and appends; again from the start when the aggregate has moved. */
    static <S> Optional<AppendResult> retry(
            EventfoldClient client,
            Supplier<Aggregate<S>> read,
            Function<? super S, List<Event>> decide,
            RetryOptions options) {
        for (int conflicts = 1; ; conflicts++) {
            Aggregate<S> found = read.get();
            List<Event> events = decide.apply(found.state());
            if (events.isEmpty()) {
                return Optional.empty();
            }
            try {
                return Optional.of(client.append(found.stream(), events, found.version()));
            } catch (VersionConflictException | StreamClosedException refusal) {
                // Closed meanwhile, the line has another stream that is open: it decides there.
                boolean hasEnded =
                        refusal instanceof StreamClosedException closed
                                && closed.successor().isEmpty();
                if (conflicts >= options.attempts() || hasEnded) {
                    throw refusal;
                }
            }
            Calls.pause(Failures.conflictPause(conflicts));
        }
    }
}
