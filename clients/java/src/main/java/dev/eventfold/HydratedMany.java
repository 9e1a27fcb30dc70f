package dev.eventfold;

import dev.eventfold.v1.FoldRef;
import dev.eventfold.v1.FoldsGrpc;
import dev.eventfold.v1.HydrateManyRequest;
import dev.eventfold.v1.HydrateManyResponse;
import dev.eventfold.v1.HydratedStream;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;

/**
 * The states of many streams.
 *
 * @param <T> class of the states
 * @param hydrated the states by name of the stream, in the order in which streams were named
 * @param errors by name of the stream why it has no state
 */
public record HydratedMany<T>(
        Map<String, Hydrated<T>> hydrated, Map<String, EventfoldException> errors) {

    private static final int STREAMS_MAX = 1_000;

    /**
     * The state of one stream.
     *
     * @throws EventfoldException the stream has none, for this reason
     * @throws NoSuchElementException the stream was not asked for
     */
    public Hydrated<T> get(String stream) {
        if (errors.containsKey(stream)) {
            throw errors.get(stream);
        }
        Hydrated<T> found = hydrated.get(stream);
        if (found == null) {
            throw new NoSuchElementException(stream);
        }
        return found;
    }

    static <T> HydratedMany<T> of(
            Calls calls, Collection<String> streams, FoldRef fold, Class<T> type, long position) {
        Set<String> names = new LinkedHashSet<>(streams);
        Progress<T> progress = new Progress<>(names, fold, type, position);
        if (!names.isEmpty()) {
            Streaming.read(calls, FoldsGrpc.getHydrateManyMethod(), progress, true);
        }
        return new HydratedMany<>(
                ordered(names, progress.hydrated), ordered(names, progress.errors));
    }

    private static <V> Map<String, V> ordered(Set<String> names, Map<String, V> found) {
        Map<String, V> ordered = new LinkedHashMap<>();
        for (String name : names) {
            if (found.containsKey(name)) {
                ordered.put(name, found.get(name));
            }
        }
        return Collections.unmodifiableMap(ordered);
    }

    /** Follows a hydration of many streams, in calls of at most 1,000. */
    private static final class Progress<T>
            implements Streaming.Progress<HydrateManyRequest, HydrateManyResponse> {
        private final Set<String> missing;
        private final FoldRef fold;
        private final Class<T> type;
        private final long position;
        private final Map<String, Hydrated<T>> hydrated = new LinkedHashMap<>();
        private final Map<String, EventfoldException> errors = new LinkedHashMap<>();

        Progress(Set<String> names, FoldRef fold, Class<T> type, long position) {
            this.missing = new LinkedHashSet<>(names);
            this.fold = fold;
            this.type = type;
            this.position = position;
        }

        @Override
        public HydrateManyRequest request() {
            return HydrateManyRequest.newBuilder()
                    .addAllStreams(missing.stream().limit(STREAMS_MAX).toList())
                    .setFold(fold)
                    .setAtLeastPosition(position)
                    .build();
        }

        @Override
        public boolean accept(HydrateManyResponse message) {
            boolean isNew = false;
            for (HydratedStream one : message.getStreamsList()) {
                if (!missing.remove(one.getStream())) {
                    continue;
                }
                isNew = true;
                if (one.hasError()) {
                    errors.put(one.getStream(), Failures.ofStatus(one.getError()));
                } else {
                    hydrated.put(one.getStream(), Hydrated.of(one.getHydrated(), type));
                }
            }
            return isNew;
        }

        @Override
        public boolean finish() {
            return missing.isEmpty();
        }
    }
}
