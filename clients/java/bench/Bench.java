import dev.eventfold.Event;
import dev.eventfold.EventReader;
import dev.eventfold.EventfoldClient;
import dev.eventfold.Fold;
import dev.eventfold.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.UUID;

/**
 * What a client costs, with one connection and one call in flight. Arguments: address, seconds for
 * each figure, and the file of the fold. It prints one JSON object.
 */
public final class Bench {
    private static final int PER_STREAM = 100;
    private static final String TEXT = "x".repeat(170);

    private final EventfoldClient client;
    private final Fold fold;
    private final long nanos;

    private Bench(EventfoldClient client, Fold fold, double seconds) {
        this.client = client;
        this.fold = fold;
        this.nanos = (long) (seconds * 1e9);
    }

    /** About 200 bytes of data. */
    private static Event deposit(int n) {
        return Event.of(
                "MoneyDeposited", Json.of("{\"amount\":" + n + ".25,\"note\":\"" + TEXT + "\"}"));
    }

    private double appendsPerSecond(long limit) {
        long began = System.nanoTime();
        int count = 0;
        String stream = "";
        while (System.nanoTime() - began < limit) {
            if (count % PER_STREAM == 0) {
                stream = "bench-" + UUID.randomUUID();
            }
            client.append(stream, List.of(deposit(count)), count % PER_STREAM);
            count++;
        }
        return count / ((System.nanoTime() - began) / 1e9);
    }

    private String filled(int events) {
        String stream = "bench-" + UUID.randomUUID();
        List<Event> all = new ArrayList<>();
        for (int n = 0; n < events; n++) {
            all.add(deposit(n));
        }
        client.append(stream, all, 0);
        return stream;
    }

    /** The median of what a job takes, in milliseconds, after as long a warm-up. */
    private double median(Runnable job) {
        timed(job, nanos / 2);
        List<Long> times = timed(job, nanos);
        times.sort(null);
        return times.get(times.size() / 2) / 1e6;
    }

    private static List<Long> timed(Runnable job, long limit) {
        List<Long> times = new ArrayList<>();
        long began = System.nanoTime();
        do {
            long before = System.nanoTime();
            job.run();
            times.add(System.nanoTime() - before);
        } while (System.nanoTime() - began < limit);
        return times;
    }

    private double read(int events) {
        String stream = filled(events);
        return median(
                () -> {
                    try (EventReader reader = client.read(stream)) {
                        if (reader.toList().size() != events) {
                            throw new IllegalStateException("events are missing");
                        }
                    }
                });
    }

    private double hydrate(int events) {
        String id = filled(events).substring("bench-".length());
        return median(
                () -> {
                    if (client.hydrate("bench", id, fold).version() != events) {
                        throw new IllegalStateException("events are missing");
                    }
                });
    }

    private void run() {
        appendsPerSecond(nanos / 2);
        System.out.println(
                String.format(
                        Locale.ROOT,
                        "{\"client\": \"java\", \"append_per_s\": %.1f, \"read_100_ms\": %.3f, "
                                + "\"read_1000_ms\": %.3f, \"hydrate_100_ms\": %.3f, "
                                + "\"hydrate_1000_ms\": %.3f}",
                        appendsPerSecond(nanos),
                        read(100),
                        read(1_000),
                        hydrate(100),
                        hydrate(1_000)));
    }

    /** Measures. */
    public static void main(String[] args) throws IOException {
        double seconds = args.length > 1 ? Double.parseDouble(args[1]) : 5;
        Path file = Path.of(args.length > 2 ? args[2] : "examples/bank/account.fold.yaml");
        try (EventfoldClient client = EventfoldClient.connect(args[0])) {
            new Bench(client, Fold.file(file), seconds).run();
        }
    }
}
