package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.errors.ConnectionFailedException;
import dev.eventfold.errors.InvalidExpressionException;
import dev.eventfold.errors.PositionAheadException;
import dev.eventfold.v1.FrameKind;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Goal: a subscription gives every event once and in order, whatever breaks. Method: writers go on
 * while connections are cut, and while the server is killed and started again.
 */
@Timeout(120)
class FollowingTest {
    private World world;
    private World.Server server;
    private EventfoldClient client;

    @BeforeEach
    void begin() {
        world = new World();
        server = world.server();
        client = EventfoldClient.connect(server.address());
    }

    @AfterEach
    void end() {
        if (client != null) {
            client.close();
            world.close();
        }
    }

    /** Appends numbered events to three streams until it is told to stop; returns how many. */
    private CompletableFuture<Integer> writer(AtomicBoolean stop) {
        return CompletableFuture.supplyAsync(
                () -> {
                    EventfoldClient patient = client.withTimeout(Duration.ofSeconds(60));
                    int count = 0;
                    while (!stop.get()) {
                        Event event = Event.of("Counted", Map.of("n", count + 1));
                        appendSurely(patient, "w-" + count % 3, event);
                        count++;
                    }
                    return count;
                });
    }

    private static void appendSurely(EventfoldClient patient, String stream, Event event) {
        while (true) {
            try {
                patient.append(stream, List.of(event), ExpectedVersion.ANY);
                return;
            } catch (EventfoldException error) {
                // The server is down: the same event again, which is stored once.
                assertEquals("UNAVAILABLE", error.code(), error.getMessage());
                Calls.pause(Duration.ofMillis(50));
            }
        }
    }

    private static int number(RecordedEvent event) {
        return event.data().node().get("n").asInt();
    }

    private void checkWhole(Subscription events, int expected) {
        long position = 0;
        for (int n = 1; n <= expected; n++) {
            RecordedEvent event = events.next();
            assertEquals(n, number(event));
            assertTrue(event.position() > position);
            position = event.position();
        }
    }

    @Test
    void nothingIsLostThroughCuts() throws Exception {
        String proxy = world.address("proxy " + server.address());
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger breaks = new AtomicInteger();
        CompletableFuture<Integer> writing = writer(stop);
        SubscribeOptions options =
                SubscribeOptions.categories("w")
                        .onReconnect(news -> breaks.incrementAndGet());
        try (EventfoldClient cut = EventfoldClient.connect(proxy);
                Subscription events = cut.subscribe(options)) {
            for (int n = 1; n <= 150; n++) {
                assertEquals(n, number(events.next()));
                if (n % 30 == 0) {
                    world.ask("cut " + proxy);
                }
            }
            stop.set(true);
            int count = writing.get(60, TimeUnit.SECONDS);
            for (int n = 151; n <= count; n++) {
                assertEquals(n, number(events.next()));
            }
        }
        assertTrue(breaks.get() >= 3, "it broke " + breaks + " times");
    }

    @Test
    void nothingIsLostThroughRestarts() throws Exception {
        AtomicBoolean stop = new AtomicBoolean();
        CompletableFuture<Integer> writing = writer(stop);
        try (Subscription events = client.subscribe(SubscribeOptions.categories("w"))) {
            for (int n = 1; n <= 60; n++) {
                assertEquals(n, number(events.next()));
                if (n % 20 == 0) {
                    world.ask("kill " + server.number());
                    world.ask("start " + server.number());
                }
            }
            stop.set(true);
            int count = writing.get(60, TimeUnit.SECONDS);
            for (int n = 61; n <= count; n++) {
                assertEquals(n, number(events.next()));
            }
        }
        try (Subscription again = client.subscribe(SubscribeOptions.categories("w"))) {
            checkWhole(again, writing.get());
        }
    }

    @Test
    void aPlaceGoesOnInTheMiddleOfAFrame() {
        client.append("w-1", LogTest.numbered(10), 0);
        Place place;
        try (Subscription events = client.subscribe(SubscribeOptions.stream("w-1"))) {
            for (int n = 1; n <= 4; n++) {
                events.next();
            }
            place = events.place();
        }
        assertEquals(4, place.position());
        assertTrue(place.eventId().isPresent());
        Place kept = Place.parse(place.text());
        assertEquals(place, kept);
        SubscribeOptions on = SubscribeOptions.stream("w-1").from(kept);
        try (Subscription events = client.subscribe(on)) {
            for (int n = 5; n <= 10; n++) {
                assertEquals(n, number(events.next()));
            }
            assertEquals(10, events.place().position());
        }
    }

    @Test
    void framesTellOfTheHead() {
        client.append("w-1", LogTest.numbered(3), 0);
        try (Subscription events = client.subscribe(SubscribeOptions.log().types("None"))) {
            Frame frame = events.nextFrame().orElseThrow();
            while (frame.kind() != FrameKind.FRAME_KIND_CAUGHT_UP) {
                frame = events.nextFrame().orElseThrow();
            }
            assertEquals(3, frame.position());
            assertEquals(3, events.head());
            assertTrue(events.isCaughtUp());
            assertEquals(frame.resumeToken(), events.resumeToken());
        }
    }

    @Test
    void startsAndFilters() {
        client.append("w-1", LogTest.numbered(5), 0);
        assertEquals(3, first(SubscribeOptions.stream("w-1").fromVersion(3)));
        assertEquals(4, first(SubscribeOptions.log().fromPosition(4)));
        assertEquals(5, first(SubscribeOptions.log().where("event.n > 4")));
        try (Subscription events = client.subscribe(SubscribeOptions.log().fromNow())) {
            CompletableFuture<RecordedEvent> next = CompletableFuture.supplyAsync(events::next);
            while (events.head() == 0) {
                Calls.pause(Duration.ofMillis(5));
            }
            client.append("w-1", List.of(Event.of("Counted", Map.of("n", 6))), 5);
            assertEquals(6, number(next.join()));
        }
        assertThrows(
                PositionAheadException.class,
                () -> first(SubscribeOptions.log().fromPosition(99)));
        assertThrows(
                InvalidExpressionException.class,
                () -> first(SubscribeOptions.log().where("event.n >")));
    }

    private int first(SubscribeOptions options) {
        try (Subscription events = client.subscribe(options)) {
            return number(events.next());
        }
    }

    @Test
    void closingEndsTheLoop() throws Exception {
        client.append("w-1", LogTest.numbered(2), 0);
        Subscription events = client.subscribe(SubscribeOptions.log());
        CompletableFuture<List<Integer>> loop =
                CompletableFuture.supplyAsync(
                        () -> {
                            List<Integer> seen = new ArrayList<>();
                            events.forEachRemaining(event -> seen.add(number(event)));
                            return seen;
                        });
        while (!events.isCaughtUp()) {
            Calls.pause(Duration.ofMillis(5));
        }
        assertFalse(loop.isDone());
        events.close();
        assertEquals(List.of(1, 2), loop.get(10, TimeUnit.SECONDS));
    }

    @Test
    void aServerThatIsNotThereIsAnErrorAndNotASilentProgram() {
        world.ask("kill " + server.number());
        EventfoldClient hasty = client.withTimeout(Duration.ofSeconds(1));
        try (Subscription events = hasty.subscribe(SubscribeOptions.log())) {
            assertThrows(ConnectionFailedException.class, events::hasNext);
        }
    }

    @Test
    void aReadGoesOnThroughCuts() {
        String text = "x".repeat(50_000);
        for (int n = 0; n < 400; n += 50) {
            List<Event> events = new ArrayList<>();
            for (int i = n + 1; i <= n + 50; i++) {
                events.add(Event.of("Counted", Map.of("n", i, "text", text)));
            }
            client.append("w-1", events, n);
        }
        String proxy = world.address("proxy " + server.address());
        try (EventfoldClient cut = EventfoldClient.connect(proxy);
                EventReader reader = cut.read("w-1")) {
            for (int n = 1; n <= 400; n++) {
                assertEquals(n, number(reader.next()));
                if (n % 100 == 0) {
                    world.ask("cut " + proxy);
                }
            }
            assertFalse(reader.hasNext());
            assertEquals(400, reader.end().version());
        }
    }
}
