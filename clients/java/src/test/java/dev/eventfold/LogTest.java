package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.errors.ChecksFailedException;
import dev.eventfold.errors.EventAlreadyCancelledException;
import dev.eventfold.errors.EventIdReusedException;
import dev.eventfold.errors.EventNotFoundException;
import dev.eventfold.errors.StreamClosedException;
import dev.eventfold.errors.StreamNotFoundException;
import dev.eventfold.errors.VersionConflictException;
import dev.eventfold.v1.EventFlag;
import dev.eventfold.v1.Lifecycle;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Goal: what is appended is read as it was; every call on the log. Method: a real server. */
class LogTest {
    private static World world;
    private static EventfoldClient client;

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

    static List<Event> numbered(int count) {
        return IntStream.rangeClosed(1, count)
                .mapToObj(n -> Event.of("Counted", Map.of("n", n)))
                .toList();
    }

    private static List<Integer> numbers(Stream<RecordedEvent> events) {
        return events.map(event -> event.data().node().get("n").asInt()).toList();
    }

    @Test
    void anEventComesBackAsItWent() {
        String stream = World.fresh("log");
        Instant time = Instant.parse("2021-03-04T05:06:07.123456Z");
        Event event =
                Event.of("Greeted", Json.of("{\"to\": \"Ada 😀\", \"n\":1.10}"))
                        .withMetadata(Map.of("causation_id", "c-1"))
                        .withTags("b", "a")
                        .withOccurredAt(time);
        AppendResult result = client.append(stream, List.of(event), 0);
        assertEquals(1, result.lastVersion());
        assertFalse(result.duplicate());
        RecordedEvent read = client.read(stream).toList().get(0);
        assertEquals(event.id(), read.id());
        assertEquals("{\"to\": \"Ada 😀\", \"n\":1.10}", read.data().text());
        assertEquals("c-1", read.metadata().node().get("causation_id").asText());
        assertEquals(List.of("a", "b"), read.tags());
        assertEquals(time, read.occurredAt());
        assertEquals(result.recordedAt(), read.recordedAt());
        assertEquals(result.lastPosition(), read.position());
        assertEquals("anonymous", read.writer());
        assertTrue(read.has(EventFlag.EVENT_FLAG_VALIDATED_V1));
        assertEquals(read, client.getEvent(event.id()));
    }

    @Test
    void expectationsAreHeld() {
        String stream = World.fresh("log");
        List<Event> first = numbered(1);
        assertThrows(
                VersionConflictException.class,
                () -> client.append(stream, first, ExpectedVersion.EXISTS));
        client.append(stream, first, ExpectedVersion.ANY);
        assertTrue(client.append(stream, first, 0).duplicate());
        client.append(stream, numbered(1), ExpectedVersion.EXISTS);
        VersionConflictException conflict =
                assertThrows(
                        VersionConflictException.class,
                        () -> client.append(stream, numbered(1), 7));
        assertEquals("7", conflict.expected().orElseThrow());
        assertEquals(2, conflict.actual().orElseThrow());
        assertEquals("ABORTED", conflict.code());
        Event other = Event.of("Other", Map.of()).withId(first.get(0).id());
        assertThrows(
                EventIdReusedException.class, () -> client.append(stream, List.of(other), 2));
    }

    @Test
    void readsHaveRangesAndAnEnd() {
        String stream = World.fresh("log");
        client.append(stream, numbered(10), 0);
        try (EventReader reader =
                client.read(stream, ReadOptions.all().fromVersion(3).toVersion(5))) {
            assertThrows(IllegalStateException.class, reader::end);
            assertEquals(List.of(3, 4, 5), numbers(reader.stream()));
            assertEquals(5, reader.end().version());
            assertTrue(reader.end().endReached());
            assertEquals(stream, reader.end().stream().orElseThrow());
        }
        assertEquals(
                List.of(10, 9),
                numbers(client.read(stream, ReadOptions.backwards().limit(2)).stream()));
        assertEquals(
                List.of(), client.read(stream, ReadOptions.all().types("None")).toList());
        assertThrows(
                StreamNotFoundException.class, () -> client.read(World.fresh("log")).hasNext());
    }

    @Test
    void aBigStreamIsReadWhole() {
        String stream = World.fresh("log");
        String text = "x".repeat(3_000);
        List<Event> events = new ArrayList<>();
        for (int n = 0; n < 900; n++) {
            events.add(Event.of("Counted", Map.of("n", n, "text", text)));
        }
        client.append(stream, events, 0);
        List<Event> more = LogTest.numbered(100);
        client.append(stream, more, 900);
        assertEquals(1_000, client.read(stream).stream().mapToLong(RecordedEvent::version).max()
                .orElseThrow());
        try (Stream<RecordedEvent> begun = client.read(stream).stream()) {
            assertEquals(3, begun.limit(3).count());
        }
    }

    @Test
    void theLogGoesOnFromAToken() {
        String category = "all" + UUID.randomUUID().toString().substring(0, 8);
        client.append(category + "-1", numbered(2), 0);
        EventReader first = client.readAll(ReadAllOptions.all().categories(category));
        assertEquals(2, first.toList().size());
        ResumeToken token = ResumeToken.of(first.end().resumeToken().text());
        client.append(category + "-2", numbered(1), 0);
        List<RecordedEvent> rest =
                client.readAll(ReadAllOptions.all().categories(category).resume(token)).toList();
        assertEquals(List.of(category + "-2"), rest.stream().map(RecordedEvent::stream).toList());
        assertEquals(
                List.of(category + "-2"),
                client.readAll(ReadAllOptions.backwards().categories(category).limit(1)).stream()
                        .map(RecordedEvent::stream)
                        .toList());
    }

    @Test
    void severalStreamsAreWrittenTogetherOrNot() {
        String one = World.fresh("log");
        String two = World.fresh("log");
        List<AppendResult> results =
                client.appendMany(
                        List.of(
                                StreamAppend.of(one, numbered(1), 0),
                                StreamAppend.of(two, numbered(2), 0)),
                        Map.of());
        assertEquals(List.of(1L, 2L), results.stream().map(AppendResult::lastVersion).toList());
        ChecksFailedException failed =
                assertThrows(
                        ChecksFailedException.class,
                        () ->
                                client.appendMany(
                                        List.of(StreamAppend.of(one, numbered(1), 9)),
                                        Map.of(two, ExpectedVersion.exact(5))));
        assertEquals(2, failed.failed().size());
        FailedCheck check = failed.failed().get(0);
        assertEquals(0, check.appendIndex().orElseThrow());
        assertEquals(1, check.actualVersion());
        assertInstanceOf(VersionConflictException.class, check.error());
        assertEquals(0, failed.failed().get(1).checkIndex().orElseThrow());
    }

    @Test
    void streamsAreDescribedAndListed() {
        String category = "list" + UUID.randomUUID().toString().substring(0, 8);
        assertEquals(0, client.getStream(category + "-1").version());
        for (int n = 1; n <= 3; n++) {
            client.append(category + "-" + n, numbered(n), 0);
        }
        StreamInfo info = client.getStream(category + "-3");
        assertEquals(3, info.version());
        assertEquals(Lifecycle.LIFECYCLE_OPEN, info.lifecycle());
        assertEquals("3", info.id());
        assertEquals(
                List.of(1L, 2L, 3L),
                client.listStreams(
                                dev.eventfold.v1.ListStreamsRequest.newBuilder()
                                        .setCategory(category)
                                        .setPageSize(2)
                                        .build())
                        .map(StreamInfo::version)
                        .toList());
        assertThrows(EventNotFoundException.class, () -> client.getEvent(UUID.randomUUID()));
    }

    @Test
    void aMistakeIsCompensated() {
        String stream = World.fresh("log");
        List<Event> events = numbered(1);
        client.append(stream, events, 0);
        UUID wrong = events.get(0).id();
        Compensation compensation =
                Compensation.of(wrong, "Euro was meant")
                        .correction(Event.of("Counted", Map.of("n", 2)));
        AppendResult result = client.compensate(stream, compensation, ExpectedVersion.exact(1));
        assertEquals(3, result.lastVersion());
        assertTrue(client.compensate(stream, compensation, ExpectedVersion.exact(1)).duplicate());
        List<RecordedEvent> read =
                client.read(stream, ReadOptions.all().markCancelled()).toList();
        assertTrue(read.get(0).has(EventFlag.EVENT_FLAG_CANCELLED));
        assertEquals(wrong, read.get(1).cancels().orElseThrow());
        assertEquals("CountedCancelled", read.get(1).type());
        EventAlreadyCancelledException again =
                assertThrows(
                        EventAlreadyCancelledException.class,
                        () ->
                                client.compensate(
                                        stream,
                                        Compensation.of(wrong, "again"),
                                        ExpectedVersion.ANY));
        assertEquals(read.get(1).id().toString(), again.cancelledBy().orElseThrow());
    }

    @Test
    void theBooksAreClosed() {
        String stream = World.fresh("log");
        String next = stream + "@2";
        client.append(stream, numbered(3), 0);
        Fold fold =
                Fold.source(
                        "fold: total\ninitial: {n: 0}\n"
                                + "handlers: {Counted: {n: \"state.n + event.n\"}}\n");
        Closing closing = Closing.withSuccessor(next).carrying(fold).atVersion(3);
        ClosedStream closed = client.closeStream(stream, closing);
        assertEquals(4, closed.version());
        assertEquals(next, closed.successor().orElseThrow());
        assertEquals("total", closed.states().get(0).getFold());
        assertTrue(client.closeStream(stream, closing).duplicate());
        StreamClosedException refused =
                assertThrows(
                        StreamClosedException.class,
                        () -> client.append(stream, numbered(1), ExpectedVersion.ANY));
        assertEquals(next, refused.successor().orElseThrow());
        assertEquals(
                next, client.appendFollowing(stream, numbered(1)).stream().orElseThrow());
        Hydrated<Json> total =
                client.hydrateStream(
                        stream, fold, Json.class, HydrateOptions.atHead().followOpen());
        assertEquals("{\"n\":7}", total.json().text());
        assertEquals(next, total.stream().orElseThrow());
        assertEquals(
                List.of(1, 2, 3, 1),
                numbers(
                        client.read(stream, ReadOptions.all().followAll().types("Counted"))
                                .stream()));
        String ended = World.fresh("log");
        client.append(ended, numbered(1), 0);
        client.closeStream(ended, Closing.withoutSuccessor());
        assertEquals(
                Lifecycle.LIFECYCLE_CLOSED, client.getStream(ended).lifecycle());
    }
}
