package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.errors.DeletionRestrictedException;
import dev.eventfold.errors.LegalHoldException;
import dev.eventfold.errors.PrivacyRulesNotFoundException;
import dev.eventfold.errors.ProjectionNotFoundException;
import dev.eventfold.errors.StreamDeletedException;
import dev.eventfold.errors.SubjectNotFoundException;
import dev.eventfold.errors.TransformNotFoundException;
import dev.eventfold.v1.DeletionState;
import dev.eventfold.v1.ErasureJob;
import dev.eventfold.v1.ErasureState;
import dev.eventfold.v1.EventTypesGrpc;
import dev.eventfold.v1.GetTransformRequest;
import dev.eventfold.v1.LinkByCategory;
import dev.eventfold.v1.LinkPolicy;
import dev.eventfold.v1.LinkRule;
import dev.eventfold.v1.ListEventTypesRequest;
import dev.eventfold.v1.ListLinksRequest;
import dev.eventfold.v1.ListSubjectsRequest;
import dev.eventfold.v1.ProjectionSwitch;
import dev.eventfold.v1.PutProjectionResponse;
import dev.eventfold.v1.ReadRequest;
import dev.eventfold.v1.ReadResponse;
import dev.eventfold.v1.RetryProjectionRequest;
import dev.eventfold.v1.SubjectStatus;
import dev.eventfold.v1.TransformsGrpc;
import dev.eventfold.v1.TryProjectionRequest;
import dev.eventfold.v1.VerifyProjectionRequest;
import java.math.BigDecimal;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Goal: each call of the other services works once. Method: a real server with a master key. */
@Timeout(120)
class ServicesTest {
    private static World world;
    private static EventfoldClient client;

    record Columns(String owner, BigDecimal balance) {}

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

    private static void eventually(BooleanSupplier isSo) {
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (!isSo.getAsBoolean()) {
            assertTrue(System.nanoTime() < deadline, "it did not come about");
            Calls.pause(Duration.ofMillis(50));
        }
    }

    private static final String BALANCES =
            "projection: balances\n"
                    + "source: {category: purse}\n"
                    + "columns: {owner: text, balance: numeric}\n"
                    + "initial: {balance: 0}\n"
                    + "handlers:\n"
                    + "  Opened: {owner: \"event.owner\"}\n"
                    + "  Put: {balance: \"state.balance + event.amount\"}\n";

    private static long purse(String id, String owner, String amount) {
        Event opened = Event.of("Opened", Map.of("owner", owner));
        Event put = Event.of("Put", Map.of("amount", new BigDecimal(amount)));
        return client.append("purse-" + id, List.of(opened, put), 0).lastPosition();
    }

    @Test
    void projectionsAreQueried() {
        purse("1", "Ada", "10.50");
        purse("2", "Bo", "3");
        long position = purse("3", "Cy", "7.25");
        PutProjectionResponse put = client.projections().put(BALANCES);
        assertTrue(put.getCreated());
        eventually(() -> client.projections().get("balances").getActive() == 1);
        Query query =
                Query.where("balance > 5").orderByDescending("balance").pageSize(1)
                        .atLeastPosition(position);
        List<Row<Columns>> rows =
                client.projections().query("balances", query, Columns.class).toList();
        assertEquals(List.of("purse-1", "purse-3"), rows.stream().map(Row::key).toList());
        assertEquals(new Columns("Ada", new BigDecimal("10.5")), rows.get(0).columns());
        assertEquals(2, rows.get(0).version());
        Projections.Page<Json> page =
                client.projections()
                        .page(
                                "balances",
                                Query.all().columns("owner").orderBy("owner").pageSize(2),
                                Json.class,
                                "");
        assertEquals("{\"owner\":\"Ada\"}", page.rows().get(0).json().text());
        assertFalse(page.nextPageToken().isEmpty());
        assertEquals(1, page.freshness().getGeneration());
        assertEquals(3, client.projections().query("balances", Query.all()).count());
        assertEquals(2, client.projections().count("balances", query).getRows());
        assertEquals(
                0,
                client.projections()
                        .verify(
                                VerifyProjectionRequest.newBuilder().setName("balances").build(),
                                told -> {})
                        .getKeysDiffering());
        assertEquals(
                1, client.projections().list().filter(p -> p.getName().equals("balances")).count());
        generations();
    }

    private static void generations() {
        assertEquals(
                2,
                client.projections()
                        .rebuild("balances", ProjectionSwitch.PROJECTION_SWITCH_BY_HAND)
                        .getGeneration());
        eventually(
                () ->
                        client.projections().get("balances").getGenerationsList().stream()
                                .anyMatch(one -> one.getGeneration() == 2 && one.hasCaughtUpAt()));
        assertEquals(2, client.projections().switchTo("balances", 2).getActive());
        assertEquals(
                0,
                client.projections()
                        .retry(RetryProjectionRequest.newBuilder().setName("balances").build())
                        .getKeysFailed());
        assertEquals(0, client.projections().listParkedKeys("balances").count());
        assertEquals(
                3,
                client.projections()
                        .tryOut(TryProjectionRequest.newBuilder().setSource(BALANCES).build())
                        .getRowsShown());
        client.projections().drop("balances", 0);
        assertThrows(
                ProjectionNotFoundException.class, () -> client.projections().get("balances"));
    }

    @Test
    void subjectsAreFoundExportedAndErased() {
        String document =
                "privacy: UserNamed\npersonal: {/name: {subject: {pointer: /user}}}\n";
        assertTrue(client.privacy().check(document).getDone());
        assertTrue(client.privacy().put(document).getCreated());
        assertEquals("UserNamed", client.privacy().getOfType("UserNamed").getEventType());
        assertEquals(1, client.privacy().list().count());
        for (int n = 1; n <= 2; n++) {
            Event named = Event.of("UserNamed", Map.of("user", "User-1", "name", "Ada " + n));
            client.append("User-1", List.of(named), n - 1);
        }
        eventually(() -> found("User-1") == 2);
        SubjectExport export = client.subjects().export("User-1");
        assertEquals(
                List.of("Ada 1", "Ada 2"),
                export.events().stream()
                        .map(event -> event.data().node().get("name").asText())
                        .toList());
        assertTrue(export.position() >= export.events().get(1).position());
        assertEquals(
                SubjectStatus.SUBJECT_STATUS_ACTIVE, client.subjects().get("User-1").getStatus());
        assertEquals(2, client.subjects().rotateDataKey("User-1"));
        assertTrue(client.subjects().rotateMasterKey().getDone());
        assertEquals(1, client.subjects().status().getSubjectsActive());
        assertEquals(
                1, client.subjects().list(ListSubjectsRequest.getDefaultInstance()).count());
        erase();
        client.privacy().dropOfType("UserNamed");
        assertThrows(
                PrivacyRulesNotFoundException.class,
                () -> client.privacy().getOfType("UserNamed"));
    }

    private static long found(String subject) {
        try {
            return client.subjects().find(subject).mapToLong(one -> one.getEvents()).sum();
        } catch (SubjectNotFoundException error) {
            return 0;
        }
    }

    private static void erase() {
        client.erasures().holdSubject("case-1", "User-1", "a lawsuit");
        assertEquals(List.of("case-1"), client.erasures().plan("User-1").getHoldsList());
        assertThrows(
                LegalHoldException.class,
                () -> client.erasures().erase("User-1", "they asked"));
        assertEquals(1, client.erasures().listHolds().count());
        client.erasures().releaseHold("case-1");
        ErasureJob job = client.erasures().erase("User-1", "they asked");
        UUID id = UUID.fromString(job.getErasureId());
        eventually(
                () ->
                        client.erasures().get(id).getErasure().getState()
                                == ErasureState.ERASURE_STATE_DONE);
        assertTrue(client.erasures().receipt(id).orElseThrow().node().isObject());
        assertEquals(1, client.erasures().list().count());
        RecordedEvent event = client.read("User-1").next();
        assertEquals(List.of("/name"), event.erasedPaths());
        assertTrue(event.data().node().get("name").isNull());
        assertFalse(client.subjects().readmit("User-1").getErasedSubjectId().isEmpty());
    }

    @Test
    void streamsAreLinkedAndDeleted() {
        client.append("Owner-1", LogTest.numbered(2), 0);
        client.append("Thing-1", LogTest.numbered(1), 0);
        client.append("Other-1", LogTest.numbered(1), 0);
        LinkRule rule =
                LinkRule.newBuilder()
                        .setName("things")
                        .setPolicy(LinkPolicy.LINK_POLICY_CASCADE)
                        .setByCategory(
                                LinkByCategory.newBuilder().setCategory("Thing").setOf("Owner"))
                        .build();
        assertEquals("things", client.links().putRule(rule).getName());
        assertEquals(1, client.links().listRules().count());
        client.links().put("Other-1", "Owner-1", LinkPolicy.LINK_POLICY_RESTRICT);
        ListLinksRequest ofOwner = ListLinksRequest.newBuilder().setOwner("Owner-1").build();
        assertEquals(2, client.links().list(ofOwner).count());
        assertEquals(1, client.deletion().plan("Owner-1").getRestrictionsCount());
        assertThrows(
                DeletionRestrictedException.class,
                () -> client.deletion().delete("Owner-1", ExpectedVersion.exact(2), "over"));
        client.links().drop("Other-1", "Owner-1");
        UUID id =
                UUID.fromString(
                        client.deletion()
                                .delete("Owner-1", ExpectedVersion.exact(2), "over")
                                .getDeletionId());
        eventually(
                () ->
                        client.deletion().get(id).getDeletion().getState()
                                == DeletionState.DELETION_STATE_DONE);
        assertEquals(2, client.deletion().get(id).getStreamsCount());
        assertEquals(1, client.deletion().list().count());
        client.links().dropRule("things");
        assertThrows(
                StreamDeletedException.class,
                () -> client.append("Thing-1", LogTest.numbered(1), ExpectedVersion.ANY));
        assertTrue(
                client.readAll(ReadAllOptions.all().categories("Thing")).next().deleted());
    }

    @Test
    void everyCallIsWithinReach() {
        client.append("raw-1", LogTest.numbered(2), 0);
        assertTrue(
                client.raw()
                        .unary(
                                EventTypesGrpc.getListEventTypesMethod(),
                                ListEventTypesRequest.getDefaultInstance())
                        .getEventTypesList()
                        .stream()
                        .anyMatch(type -> type.getName().equals("Counted")));
        GetTransformRequest request =
                GetTransformRequest.newBuilder()
                        .setTransformId(UUID.randomUUID().toString())
                        .build();
        assertThrows(
                TransformNotFoundException.class,
                () -> client.raw().unary(TransformsGrpc.getGetTransformMethod(), request));
        ReadRequest read = ReadRequest.newBuilder().setStream("raw-1").build();
        try (Stream<ReadResponse> answer =
                client.raw().stream(dev.eventfold.v1.EventStoreGrpc.getReadMethod(), read)) {
            assertEquals(2, answer.mapToInt(ReadResponse::getEventsCount).sum());
        }
    }
}
