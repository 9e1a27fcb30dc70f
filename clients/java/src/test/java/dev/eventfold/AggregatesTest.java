package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.errors.FoldFailedException;
import dev.eventfold.errors.FoldNotFoundException;
import dev.eventfold.errors.InvalidFoldException;
import dev.eventfold.errors.InvalidStreamNameException;
import dev.eventfold.errors.StateMismatchException;
import dev.eventfold.errors.StateNotCarriedException;
import dev.eventfold.errors.VersionAheadException;
import dev.eventfold.errors.VersionConflictException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Goal: states are exact, and decisions on them safe. Method: a real server. */
class AggregatesTest {
    private static final Fold TOTAL =
            Fold.source(
                    "fold: sums\n"
                            + "initial: {total: 0, count: 0}\n"
                            + "handlers:\n"
                            + "  Added: {total: \"state.total + event.amount\","
                            + " count: \"state.count + 1\"}\n"
                            + "  Broken: {total: \"state.total + event.text\"}\n"
                            + "  Gone: delete\n");

    private static World world;
    private static EventfoldClient client;

    record Total(BigDecimal total, long count) {}

    @BeforeAll
    static void begin() {
        world = new World();
        client = EventfoldClient.connect(world.server().address());
    }

    @AfterAll
    static void end() {
        if (world != null) {
            client.close();
            world.close();
        }
    }

    private static String id() {
        return UUID.randomUUID().toString();
    }

    private static Event added(String amount) {
        return Event.of("Added", Map.of("amount", new BigDecimal(amount)));
    }

    private static AppendResult append(String id, long version, Event... events) {
        return client.append("sum-" + id, List.of(events), version);
    }

    @Test
    void moneyIsExact() {
        String id = id();
        append(id, 0, added("0.10"), added("0.20"), added("1E-20"));
        Hydrated<Total> found = client.hydrate("sum", id, TOTAL, Total.class);
        assertEquals(new BigDecimal("0.30000000000000000001"), found.state().total());
        assertEquals(3, found.version());
        assertTrue(found.exists());
        assertEquals(3, found.eventsFolded());
        String data = client.read("sum-" + id).next().data().text();
        assertEquals("{\"amount\":0.10}", data);
    }

    @Test
    void integersBeyondDoublesAndLongsAreExact() {
        String id = id();
        append(id, 0, added("9007199254740993"), added("170141183460469231731687303"));
        List<RecordedEvent> events = client.read("sum-" + id).toList();
        assertEquals(9007199254740993L, events.get(0).data().node().get("amount").longValue());
        assertEquals(
                new BigInteger("170141183460469231731687303"),
                events.get(1).data().node().get("amount").bigIntegerValue());
        assertEquals(
                new BigDecimal("170141183469476430986428296"),
                client.hydrate("sum", id, TOTAL, Total.class).state().total());
    }

    @Test
    void pointsInTime() {
        String id = id();
        AppendResult first = append(id, 0, added("1"));
        AppendResult second = append(id, 1, added("2"));
        assertEquals(1, countAt(id, HydrateOptions.atVersion(1)));
        assertEquals(0, countAt(id, HydrateOptions.atVersion(0)));
        assertEquals(1, countAt(id, HydrateOptions.atPosition(first.lastPosition())));
        assertEquals(2, countAt(id, HydrateOptions.recordedAt(second.recordedAt())));
        assertEquals(2, countAt(id, HydrateOptions.occurredAt(second.recordedAt())));
        assertEquals(
                2, countAt(id, HydrateOptions.atHead().atLeastPosition(second.lastPosition())));
        assertThrows(
                VersionAheadException.class, () -> countAt(id, HydrateOptions.atVersion(9)));
    }

    private static long countAt(String id, HydrateOptions options) {
        return client.hydrate("sum", id, TOTAL, Total.class, options).state().count();
    }

    @Test
    void aStateThatDoesNotFitIsTold() {
        record Wrong(List<String> total) {}
        record More(BigDecimal total, String owner) {}
        record Perhaps(BigDecimal total, Optional<String> owner) {}
        String id = id();
        append(id, 0, added("1.5"));
        Hydrated<Wrong> wrong = client.hydrate("sum", id, TOTAL, Wrong.class);
        StateMismatchException told = assertThrows(StateMismatchException.class, wrong::state);
        assertEquals("total", told.path().orElseThrow());
        assertFalse(told.getMessage().contains("1.5"), told.getMessage());
        Hydrated<More> more = client.hydrate("sum", id, TOTAL, More.class);
        told = assertThrows(StateMismatchException.class, more::state);
        assertEquals("STATE_MISMATCH", told.reason());
        assertEquals(
                Optional.empty(),
                client.hydrate("sum", id, TOTAL, Perhaps.class).state().owner());
        append(id, 1, Event.of("Gone"));
        Hydrated<Total> gone = client.hydrate("sum", id, TOTAL, Total.class);
        assertFalse(gone.exists());
        assertThrows(StateMismatchException.class, gone::state);
        assertTrue(client.hydrate("sum", id, TOTAL).state().isNull());
    }

    @Test
    void manyStatesAtOnce() {
        List<String> names = new ArrayList<>();
        for (int n = 0; n < 3; n++) {
            String id = id();
            append(id, 0, added(Integer.toString(n)));
            names.add("sum-" + id);
        }
        String broken = World.fresh("sum");
        client.append(broken, List.of(Event.of("Broken", Map.of("text", "x"))), 0);
        names.add(broken);
        HydratedMany<Total> found = client.hydrateMany(names, TOTAL, Total.class);
        assertEquals(names.subList(0, 3), List.copyOf(found.hydrated().keySet()));
        assertEquals(new BigDecimal("2"), found.get(names.get(2)).state().total());
        assertInstanceOf(FoldFailedException.class, found.errors().get(broken));
        assertThrows(FoldFailedException.class, () -> found.get(broken));
    }

    @Test
    void foldsAreRegistered() {
        String name = "f" + UUID.randomUUID().toString().substring(0, 8);
        String document = "fold: " + name + "\nhandlers: {Added: {seen: true}}\n";
        assertTrue(client.folds().put(document).created());
        assertFalse(client.folds().put(document).created());
        assertEquals(document, client.folds().get(name).source());
        assertTrue(client.folds().list().anyMatch(fold -> fold.name().equals(name)));
        String id = id();
        append(id, 0, added("1"));
        assertEquals(
                "{\"seen\":true}",
                client.hydrate("sum", id, Fold.named(name)).json().text());
        assertThrows(
                FoldNotFoundException.class,
                () -> client.hydrate("sum", id, Fold.named(name + "x")));
        InvalidFoldException invalid =
                assertThrows(
                        InvalidFoldException.class,
                        () -> client.folds().put("fold: x\nhandlers: {A: {b: \"1 +\"}}\n"));
        assertEquals(2, invalid.line().orElseThrow());
    }

    private static Handlers<Total> handlers() {
        return Handlers.<Total>startingWith(() -> new Total(BigDecimal.ZERO, 0))
                .on(
                        "Added",
                        (state, event) ->
                                new Total(
                                        state.total()
                                                .add(
                                                        event.data()
                                                                .node()
                                                                .get("amount")
                                                                .decimalValue()),
                                        state.count() + 1));
    }

    @Test
    void handlersFoldHere() {
        String id = id();
        assertEquals(0, client.readAggregate("sum", id, handlers()).version());
        append(id, 0, added("1.5"), Event.of("Other"), added("2"));
        append(id, 3, Event.of("Other"));
        Aggregate<Total> found = client.readAggregate("sum", id, handlers());
        assertEquals(new Total(new BigDecimal("3.5"), 2), found.state());
        assertEquals(4, found.version());
        String next = "sum-" + id + "@2";
        client.closeStream("sum-" + id, Closing.withSuccessor(next).carrying(TOTAL));
        assertThrows(
                StateNotCarriedException.class,
                () -> client.readAggregate("sum", id + "@2", handlers()));
        assertEquals(
                2, client.readAggregateFollowing("sum", id + "@2", handlers()).state().count());
        assertThrows(
                InvalidStreamNameException.class,
                () -> client.readAggregate("a-b", "1", handlers()));
    }

    @Test
    void writersWhoRaceDecideAgain() throws Exception {
        String id = id();
        append(id, 0, added("0"));
        int writers = 4;
        AtomicInteger decisions = new AtomicInteger();
        CyclicBarrier meeting = new CyclicBarrier(writers);
        ExecutorService pool = Executors.newFixedThreadPool(writers);
        List<Future<Optional<AppendResult>>> results = new ArrayList<>();
        for (int writer = 0; writer < writers; writer++) {
            AtomicInteger tries = new AtomicInteger();
            results.add(
                    pool.submit(
                            () ->
                                    client.retry(
                                            "sum",
                                            id,
                                            TOTAL,
                                            Total.class,
                                            state -> {
                                                decisions.incrementAndGet();
                                                if (tries.incrementAndGet() == 1) {
                                                    await(meeting);
                                                }
                                                return List.of(
                                                        added(
                                                                Long.toString(
                                                                        state.count() * 10)));
                                            },
                                            new RetryOptions(20, false))));
        }
        for (Future<Optional<AppendResult>> result : results) {
            assertTrue(result.get().isPresent());
        }
        pool.shutdown();
        Total total = client.hydrate("sum", id, TOTAL, Total.class).state();
        // Each decided on a state of its own: 10 + 20 + 30 + 40.
        assertEquals(new Total(new BigDecimal("100"), 5), total);
        assertTrue(decisions.get() > writers);
    }

    private static void await(CyclicBarrier meeting) {
        try {
            meeting.await();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    @Test
    void retryEnds() {
        String id = id();
        AtomicInteger calls = new AtomicInteger();
        assertThrows(
                VersionConflictException.class,
                () ->
                        client.retry(
                                "sum",
                                id,
                                handlers(),
                                state -> {
                                    append(id, calls.getAndIncrement(), added("1"));
                                    return List.of(added("5"));
                                },
                                new RetryOptions(3, false)));
        assertEquals(3, calls.get());
        assertEquals(
                Optional.empty(),
                client.retry("sum", id, TOTAL, Total.class, state -> List.of()));
        IllegalStateException own = new IllegalStateException("no");
        assertEquals(
                own,
                assertThrows(
                        IllegalStateException.class,
                        () ->
                                client.retry(
                                        "sum",
                                        id,
                                        TOTAL,
                                        Total.class,
                                        state -> {
                                            throw own;
                                        })));
    }

    @Test
    void decisionsFollowTheBooks() {
        String id = id();
        append(id, 0, added("5"));
        String next = "sum-" + id + "@2";
        client.closeStream("sum-" + id, Closing.withSuccessor(next).carrying(TOTAL));
        client.retry("sum", id, TOTAL, Total.class, state -> List.of(added("1")));
        assertEquals(2, client.getStream(next).version());
        assertEquals(
                new BigDecimal("6"),
                client.hydrate("sum", id + "@2", TOTAL, Total.class).state().total());
    }

    @Test
    void aWatchGoesOnThroughACut() {
        World.Server server = world.server();
        String proxy = world.address("proxy " + server.address());
        String stream = World.fresh("sum");
        try (EventfoldClient direct = EventfoldClient.connect(server.address());
                EventfoldClient cut = EventfoldClient.connect(proxy);
                Watch<Total> watch = cut.watch(stream, TOTAL, Total.class, 0)) {
            WatchedState<Total> initial = watch.next();
            assertFalse(initial.exists());
            assertEquals(0, initial.state().count());
            for (int n = 1; n <= 6; n++) {
                direct.append(stream, List.of(added("1")), n - 1);
                if (n % 2 == 0) {
                    world.ask("cut " + proxy);
                }
                WatchedState<Total> state = watch.next();
                assertEquals(n, state.version());
                assertEquals(n, state.state().count());
            }
        }
    }
}
