package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.errors.ConnectionFailedException;
import dev.eventfold.errors.DeadlineExceededException;
import dev.eventfold.errors.InsecureConnectionException;
import dev.eventfold.errors.InvalidStreamNameException;
import dev.eventfold.errors.InvalidValueException;
import dev.eventfold.errors.OutcomeUnknownException;
import dev.eventfold.errors.PermissionDeniedException;
import dev.eventfold.errors.UnauthenticatedException;
import dev.eventfold.errors.UnexpectedAnswerException;
import dev.eventfold.v1.EventStoreGrpc;
import dev.eventfold.v1.GetStreamRequest;
import io.grpc.StatusRuntimeException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Goal: whatever answers in place of a server, or none, the error is typed. */
@Timeout(60)
class BadInputTest {
    private static final Duration SHORT = Duration.ofMillis(700);

    private static World world;

    @BeforeAll
    static void begin() {
        world = new World();
    }

    @AfterAll
    static void end() {
        if (world != null) {
            world.close();
        }
    }

    private static void append(EventfoldClient client) {
        client.append(World.fresh("bad"), List.of(Event.of("A")), 0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"stranger", "later", "garbled", "web"})
    void aServerOfAnotherKindIsToldFromOneThatIsAway(String kind) {
        try (EventfoldClient client = EventfoldClient.connect(world.address(kind))) {
            assertInstanceOf(
                    UnexpectedAnswerException.class,
                    assertThrows(
                            EventfoldException.class, () -> client.getStream("a-1")));
            assertThrows(UnexpectedAnswerException.class, () -> append(client));
            try (EventReader reader = client.read("a-1")) {
                assertThrows(UnexpectedAnswerException.class, reader::hasNext);
            }
            try (Subscription events = client.subscribe(SubscribeOptions.log())) {
                assertThrows(UnexpectedAnswerException.class, events::hasNext);
            }
        }
    }

    @Test
    void aServerThatIsSilentRunsIntoTheDeadline() {
        try (EventfoldClient client =
                EventfoldClient.builder(world.address("silent")).timeout(SHORT).build()) {
            long began = System.nanoTime();
            DeadlineExceededException late =
                    assertThrows(
                            DeadlineExceededException.class, () -> client.getStream("a-1"));
            assertEquals(SHORT.toMillis(), late.deadlineMs().orElseThrow());
            assertTrue(System.nanoTime() - began < Duration.ofSeconds(5).toNanos());
            assertThrows(OutcomeUnknownException.class, () -> append(client));
        }
    }

    @Test
    void aServerThatIsAway() {
        World.Server server = world.server();
        world.ask("kill " + server.number());
        try (EventfoldClient client = EventfoldClient.connect(server.address())) {
            ConnectionFailedException away =
                    assertThrows(
                            ConnectionFailedException.class, () -> client.getStream("a-1"));
            assertEquals(server.address(), away.target().orElseThrow());
            assertThrows(ConnectionFailedException.class, () -> append(client));
            world.ask("start " + server.number());
            append(client);
        }
    }

    @Test
    void theServerWaitsNoLongerThanTheDeadline() {
        try (EventfoldClient client = EventfoldClient.connect(world.server().address())) {
            EventfoldClient hasty = client.withTimeout(Duration.ofMillis(300));
            HydrateOptions waiting = HydrateOptions.atHead().atLeastPosition(1_000);
            Fold fold = Fold.source("fold: f\nhandlers: {A: {b: true}}\n");
            assertThrows(
                    DeadlineExceededException.class,
                    () -> hasty.hydrateStream("a-1", fold, Json.class, waiting));
        }
    }

    @Test
    void tokensAreSentAndChecked() {
        String address = world.address("server tokens");
        try (EventfoldClient none = EventfoldClient.connect(address);
                EventfoldClient wrong = EventfoldClient.builder(address).token("x").build();
                EventfoldClient reader =
                        EventfoldClient.builder(address).token("conformance-reader").build();
                EventfoldClient all =
                        EventfoldClient.builder(address).token("conformance-all").build()) {
            assertThrows(UnauthenticatedException.class, () -> none.getStream("a-1"));
            assertThrows(UnauthenticatedException.class, () -> wrong.getStream("a-1"));
            assertEquals(0, reader.getStream("a-1").version());
            PermissionDeniedException denied =
                    assertThrows(PermissionDeniedException.class, () -> append(reader));
            assertEquals("write", denied.permission().orElseThrow());
            all.append("a-1", List.of(Event.of("A")), 0);
            assertEquals("all", all.read("a-1").next().writer());
            // The stubs of the contract carry the token too.
            GetStreamRequest request = GetStreamRequest.newBuilder().setName("a-1").build();
            EventStoreGrpc.EventStoreBlockingStub stub =
                    EventStoreGrpc.newBlockingStub(all.raw().channel());
            assertEquals(1, stub.getStream(request).getStream().getVersion());
            EventStoreGrpc.EventStoreBlockingStub bare =
                    EventStoreGrpc.newBlockingStub(none.raw().channel());
            StatusRuntimeException refused =
                    assertThrows(StatusRuntimeException.class, () -> bare.getStream(request));
            assertInstanceOf(
                    UnauthenticatedException.class, EventfoldException.of(refused));
        }
    }

    @Test
    void tlsEndsInTrustOrInAnError() {
        var told = world.ask("server tls");
        String address = told.get("address").asText();
        byte[] authority = told.get("authority").asText().getBytes(StandardCharsets.UTF_8);
        byte[] other =
                world.ask("authority").get("authority").asText().getBytes(StandardCharsets.UTF_8);
        try (EventfoldClient client = EventfoldClient.builder(address).tls(authority).build()) {
            append(client);
        }
        String plain = world.server().address();
        for (ClientBuilder builder :
                List.of(
                        EventfoldClient.builder(address).tls(other),
                        EventfoldClient.builder(address).tls(),
                        EventfoldClient.builder(address),
                        EventfoldClient.builder(plain).tls(authority))) {
            try (EventfoldClient client = builder.timeout(Duration.ofSeconds(3)).build()) {
                EventfoldException error =
                        assertThrows(
                                EventfoldException.class, () -> client.getStream("a-1"));
                assertInstanceOf(
                        ConnectionFailedException.class, error, error::getMessage);
            }
        }
    }

    @Test
    void aTokenIsNotSentInPlainTextToAnotherMachine() {
        InsecureConnectionException refused =
                assertThrows(
                        InsecureConnectionException.class,
                        () -> EventfoldClient.builder("db.example:4141").token("x").build());
        assertEquals("INSECURE_CONNECTION", refused.reason());
        EventfoldClient.builder("db.example:4141").token("x").insecure().build().close();
        EventfoldClient.builder("db.example:4141").token("x").tls().build().close();
        for (String here : List.of("127.8.0.1:1", "localhost:1", "[::1]:1", "dns:///localhost:1")) {
            EventfoldClient.builder(here).token("x").build().close();
        }
        for (String there : List.of("127.0.0.1.example:1", "10.0.0.1:1", "[fe80::1]:1")) {
            assertThrows(
                    InsecureConnectionException.class,
                    () -> EventfoldClient.builder(there).token("x").build());
        }
    }

    @Test
    void whatCannotBeSentIsRefusedBefore() {
        assertThrows(
                InvalidValueException.class, () -> Event.of("A", Map.of("n", Double.NaN)));
        assertThrows(
                InvalidValueException.class,
                () -> EventfoldClient.builder("a:1").timeout(Duration.ZERO).build());
        assertThrows(
                InvalidValueException.class,
                () -> EventfoldClient.builder("a:1").token("two words").build());
        assertThrows(
                InvalidValueException.class,
                () -> EventfoldClient.builder("a:1").tls("no pem".getBytes()).build());
        assertThrows(InvalidValueException.class, () -> Place.parse("x"));
        assertThrows(
                InvalidStreamNameException.class, () -> EventfoldClient.streamName("a", ""));
    }

    private static void appendSurely(EventfoldClient client, List<Event> events, long version) {
        while (true) {
            try {
                client.append("a-1", events, version);
                return;
            } catch (ConnectionFailedException error) {
                // Five attempts were cut in a row: the same events again.
                assertEquals("CONNECTION_FAILED", error.reason());
            }
        }
    }

    @Test
    void anAppendIsStoredOnceThroughCuts() {
        World.Server server = world.server();
        String proxy = world.address("proxy " + server.address());
        Thread cutter =
                new Thread(
                        () -> {
                            while (!Thread.currentThread().isInterrupted()) {
                                world.ask("cut " + proxy);
                                try {
                                    Thread.sleep(200);
                                } catch (InterruptedException error) {
                                    return;
                                }
                            }
                        });
        try (EventfoldClient client = EventfoldClient.connect(proxy)) {
            cutter.start();
            for (int n = 0; n < 200; n++) {
                appendSurely(client, List.of(Event.of("A", Map.of("n", n))), n);
            }
        } finally {
            cutter.interrupt();
        }
        try (EventfoldClient client = EventfoldClient.connect(server.address())) {
            assertEquals(200, client.getStream("a-1").version());
        }
    }
}
