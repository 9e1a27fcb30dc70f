package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import dev.eventfold.errors.Catalogue;
import dev.eventfold.errors.ConnectionFailedException;
import dev.eventfold.errors.OutcomeUnknownException;
import dev.eventfold.errors.OverloadedException;
import dev.eventfold.errors.ShuttingDownException;
import dev.eventfold.errors.StateMismatchException;
import dev.eventfold.errors.StorageUnavailableException;
import dev.eventfold.errors.VersionConflictException;
import dev.eventfold.v1.ConsumeRequest;
import dev.eventfold.v1.ConsumeResponse;
import dev.eventfold.v1.ConsumeStarted;
import dev.eventfold.v1.SettleAction;
import dev.eventfold.v1.SettleAnswer;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** Goal: the parts that need no server do what their contracts say. */
class PartsTest {
    record Numbers(BigDecimal exact, long whole, double near) {}

    record Whole(int value) {}

    record Long64(long value) {}

    @Test
    void numbersKeepTheirDigits() {
        String text = "{\"exact\":1.10,\"whole\":9007199254740993,\"near\":0.1}";
        Numbers numbers = Json.of(text).as(Numbers.class);
        assertEquals("1.10", numbers.exact().toString());
        assertEquals(9007199254740993L, numbers.whole());
        assertEquals(text, Json.encode(numbers).text());
        assertEquals(text, Json.encode(Json.of(text).node()).text());
        String big = "1" + "0".repeat(5_000);
        assertEquals(new BigInteger(big), Json.of(big).node().bigIntegerValue());
        assertEquals("1E+400", Json.of("1E400").node().decimalValue().toString());
        Map<?, ?> map = Json.of("{\"a\":0.30}").as(Map.class);
        assertEquals(new BigDecimal("0.30"), map.get("a"));
    }

    @Test
    void whatDoesNotFitIsNoOtherNumber() {
        for (String text : List.of("1.5", "2147483648", "\"1\"", "null", "true")) {
            Json json = Json.of("{\"value\":" + text + "}");
            assertThrows(StateMismatchException.class, () -> json.as(Whole.class), text);
        }
        Json beyond = Json.of("{\"value\":9223372036854775808}");
        assertThrows(StateMismatchException.class, () -> beyond.as(Long64.class));
        assertThrows(
                StateMismatchException.class, () -> Json.of("{}").as(Whole.class));
        StateMismatchException told =
                assertThrows(
                        StateMismatchException.class,
                        () -> Json.of("{\"value\":\"secret\"}").as(Whole.class));
        assertFalse(told.getMessage().contains("secret"));
        assertNull(told.getCause());
        assertEquals("value", told.path().orElseThrow());
        assertEquals(7, Json.of("{\"value\":7,\"more\":[]}").as(Whole.class).value());
    }

    @Test
    void idsSortByTime() throws InterruptedException {
        UUID first = Uuid7.next();
        Thread.sleep(2);
        UUID second = Uuid7.next();
        assertEquals(7, first.version());
        assertEquals(2, first.variant());
        assertTrue(first.toString().compareTo(second.toString()) < 0);
        Event event = Event.of("A");
        assertEquals(event.id(), event.withTags("x").withMetadata(Map.of("a", 1)).id());
    }

    private static com.google.rpc.Status status(int code, String reason) {
        ErrorInfo info =
                ErrorInfo.newBuilder()
                        .setDomain("eventfold")
                        .setReason(reason)
                        .putMetadata("actual", "3")
                        .build();
        return com.google.rpc.Status.newBuilder()
                .setCode(code)
                .setMessage("told")
                .addDetails(Any.pack(info))
                .build();
    }

    @Test
    void everyReasonHasItsClass() {
        for (String reason : Catalogue.reasons()) {
            EventfoldException error = Catalogue.make(reason, "m", Map.of()).orElseThrow();
            assertEquals(reason, error.reason());
            assertFalse(error.getClass().equals(EventfoldException.class));
        }
        VersionConflictException known =
                assertInstanceOf(
                        VersionConflictException.class,
                        Failures.ofStatus(status(10, "VERSION_CONFLICT")));
        assertEquals(3, known.actual().orElseThrow());
        assertTrue(known.expected().isEmpty());
        EventfoldException unknown = Failures.ofStatus(status(9, "OF_A_NEWER_SERVER"));
        assertSame(EventfoldException.class, unknown.getClass());
        assertEquals("OF_A_NEWER_SERVER", unknown.reason());
        assertEquals("FAILED_PRECONDITION", unknown.code());
        assertEquals("3", unknown.facts().get("actual"));
    }

    @Test
    void whatMayBeRepeated() {
        var unsure = new ConnectionFailedException("m", Map.of());
        var stored = new StorageUnavailableException("m", Map.of());
        assertTrue(Failures.isRetryable(unsure, Safety.READ));
        assertTrue(Failures.isRetryable(unsure, Safety.APPEND));
        assertFalse(Failures.isRetryable(unsure, Safety.WRITE));
        assertTrue(Failures.isRetryable(stored, Safety.WRITE));
        assertTrue(
                Failures.isRetryable(new ShuttingDownException("m", Map.of()), Safety.WRITE));
        var overloaded = new OverloadedException("m", Map.of());
        assertSame(overloaded, Failures.last(overloaded, Safety.APPEND, false));
        assertSame(overloaded, Failures.last(overloaded, Safety.READ, true));
        assertInstanceOf(
                OutcomeUnknownException.class, Failures.last(overloaded, Safety.APPEND, true));
        var conflict = new VersionConflictException("m", Map.of());
        assertSame(conflict, Failures.last(conflict, Safety.APPEND, true));
        assertEquals(Safety.APPEND, Safety.of("Compensate"));
        assertEquals(Safety.READ, Safety.of("GetStream"));
        assertEquals(Safety.READ, Safety.of("Read"));
        assertEquals(Safety.READ, Safety.of("RotateMasterKey"));
        assertEquals(Safety.WRITE, Safety.of("ReadmitSubject"));
        assertEquals(Safety.WRITE, Safety.of("SomethingNew"));
        for (int failures = 1; failures < 2_000; failures += 7) {
            Duration pause = Failures.backoff(failures);
            assertTrue(pause.toMillis() >= 25 && pause.toMillis() <= 2_000);
        }
    }

    @Test
    void reconnectsGiveUpInTime() {
        var broken = new ConnectionFailedException("m", Map.of());
        Reconnects never = new Reconnects("t", Duration.ofMillis(1), null, news -> {});
        never.begin();
        assertThrows(ConnectionFailedException.class, () -> {
            never.pause(broken, 0);
            Thread.sleep(5);
            never.pause(broken, 0);
        });
        Reconnects heard = new Reconnects("t", Duration.ofMillis(1), null, news -> {});
        heard.begin();
        heard.heard(true);
        assertTrue(heard.pause(broken, 0).toMillis() <= 50);
        var conflict = new VersionConflictException("m", Map.of());
        assertThrows(VersionConflictException.class, () -> heard.pause(conflict, 0));
    }

    @Test
    void aDeskExtendsWhatWaitsAndSendsAcksTogether() {
        AtomicLong now = new AtomicLong(1);
        Desk desk = new Desk("g", "c", 10, now::get);
        ConsumeRequest start = desk.nextMessage();
        assertEquals("g", start.getStart().getGroup());
        assertEquals(10, start.getCredits());
        ConsumeResponse.Builder delivery =
                ConsumeResponse.newBuilder()
                        .setStarted(
                                ConsumeStarted.newBuilder()
                                        .setSession(5)
                                        .setSettings(
                                                dev.eventfold.v1.GroupSettings.newBuilder()
                                                        .setAckTimeout(
                                                                Times.toWire(
                                                                        Duration.ofSeconds(3)))));
        for (int n = 1; n <= 3; n++) {
            delivery.addEvents(
                            dev.eventfold.v1.RecordedEvent.newBuilder()
                                    .setId(UUID.randomUUID().toString())
                                    .setStream("a-" + n)
                                    .setPosition(n)
                                    .setRecordedAt(Times.toWire(Instant.EPOCH)))
                    .addLeases(n)
                    .addAttempts(1);
        }
        desk.receive(delivery.build());
        DeskItem first = desk.next();
        assertTrue(desk.begin(first));
        DeskItem second = desk.next();
        assertTrue(desk.begin(second));
        desk.settle(first, new Settling(SettleAction.SETTLE_ACTION_ACK, "", null));
        desk.settle(second, new Settling(SettleAction.SETTLE_ACTION_ACK, "", null));
        assertNull(desk.nextMessage());
        now.addAndGet(Duration.ofMillis(11).toNanos());
        ConsumeRequest acks = desk.nextMessage();
        assertEquals(1, acks.getSettlementsCount());
        assertEquals(List.of(1L, 2L), acks.getSettlements(0).getPositionsList());
        assertEquals(2, acks.getCredits());
        now.addAndGet(Duration.ofSeconds(2).toNanos());
        desk.untilDue();
        ConsumeRequest extension = desk.nextMessage();
        assertEquals(
                SettleAction.SETTLE_ACTION_EXTEND, extension.getSettlements(0).getAction());
        assertEquals(List.of(3L), extension.getSettlements(0).getPositionsList());
        desk.receive(
                ConsumeResponse.newBuilder()
                        .addAnswers(
                                SettleAnswer.newBuilder()
                                        .setNumber(acks.getSettlements(0).getNumber())
                                        .setRefused(status(14, "STORAGE_UNAVAILABLE")))
                        .build());
        now.addAndGet(Duration.ofMillis(251).toNanos());
        assertEquals(
                List.of(1L, 2L), desk.nextMessage().getSettlements(0).getPositionsList());
        desk.fail();
        assertEquals(DeskItem.State.LOST, first.state);
        assertEquals(1, desk.nextLost().item().event.position());
    }
}
