package dev.eventfold;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Supplier;

/**
 * Functions that fold events here, by event type: for logic that no expression of a fold should
 * carry. Events of other types are skipped. It does not change; {@link #on} gives another one.
 *
 * @param <S> the state
 */
public final class Handlers<S> {
    private final Supplier<? extends S> initial;
    private final Map<String, BiFunction<? super S, RecordedEvent, ? extends S>> byType;

    private Handlers(
            Supplier<? extends S> initial,
            Map<String, BiFunction<? super S, RecordedEvent, ? extends S>> byType) {
        this.initial = initial;
        this.byType = Collections.unmodifiableMap(byType);
    }

    /**
     * Without a handler yet.
     *
     * @param initial makes the state before the first event, anew for each time that is folded
     */
    public static <S> Handlers<S> startingWith(Supplier<? extends S> initial) {
        return new Handlers<>(initial, Map.of());
    }

    /** The same with a handler for the events of one type: from a state to the next. */
    public Handlers<S> on(String type, BiFunction<? super S, RecordedEvent, ? extends S> handler) {
        Map<String, BiFunction<? super S, RecordedEvent, ? extends S>> more =
                new LinkedHashMap<>(byType);
        more.put(type, handler);
        return new Handlers<>(initial, more);
    }

    S initial() {
        return initial.get();
    }

    String[] types() {
        return byType.keySet().toArray(String[]::new);
    }

    boolean has(String type) {
        return byType.containsKey(type);
    }

    S apply(S state, RecordedEvent event) {
        BiFunction<? super S, RecordedEvent, ? extends S> handler = byType.get(event.type());
        return handler == null ? state : handler.apply(state, event);
    }
}
