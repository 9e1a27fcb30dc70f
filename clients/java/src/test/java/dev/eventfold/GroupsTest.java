package dev.eventfold;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.errors.GroupNotFoundException;
import dev.eventfold.errors.LeaseLostException;
import dev.eventfold.v1.GroupSettings;
import dev.eventfold.v1.GroupSource;
import dev.eventfold.v1.GroupStart;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Goal: groups deliver at least once and in order, through breaks too. Method: a real server. */
@Timeout(120)
class GroupsTest {
    private static final GroupSettings QUICK =
            GroupSettings.newBuilder()
                    .setAttemptsMax(9)
                    .setAckTimeout(Times.toWire(Duration.ofSeconds(3)))
                    .setRetryInitial(Times.toWire(Duration.ZERO))
                    .build();

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

    private void create(String name) {
        client.groups().create(name, GroupSource.getDefaultInstance(), QUICK);
    }

    private static int number(Delivery delivery) {
        return delivery.event().data().node().get("n").asInt();
    }

    @Test
    void deliveriesAreSettledByHand() {
        client.append("g-1", LogTest.numbered(3), 0);
        client.append("g-2", LogTest.numbered(3), 0);
        create("hand");
        Set<String> acked = new HashSet<>();
        try (GroupConsumer consumer = client.consume("hand", ConsumeOptions.named("c-1"))) {
            boolean parked = false;
            while (acked.size() < 3 || !parked) {
                Delivery delivery = consumer.next();
                if (delivery.event().stream().equals("g-2")) {
                    delivery.park("no address");
                    delivery.confirm();
                    parked = true;
                } else if (number(delivery) == 1 && delivery.attempt() == 1) {
                    delivery.retry("busy");
                } else {
                    delivery.extend();
                    delivery.ack();
                    delivery.confirm();
                    acked.add(delivery.event().stream() + number(delivery));
                }
            }
            assertTrue(consumer.session() > 0);
            assertEquals(
                    "c-1",
                    client.groups().get("hand").getStatus().getConsumers(0).getConsumer());
        }
        assertEquals(Set.of("g-11", "g-12", "g-13"), acked);
        List<Groups.Parked> parked = client.groups().listParked("hand").toList();
        assertEquals("no address", parked.get(0).about().getReason());
        assertEquals("g-2", parked.get(0).event().stream());
        assertEquals(2, client.groups().get("hand").getStatus().getHeldBack());
        assertEquals(1, client.groups().purgeAllParked("hand"));
        assertEquals(0, client.groups().replayAllParked("hand"));
    }

    @Test
    void aFunctionHandlesSeveralAtOnceAndStreamsInOrder() {
        int streams = 5;
        for (int n = 0; n < streams; n++) {
            client.append("g-" + n, LogTest.numbered(20), 0);
        }
        create("run");
        Map<String, List<Integer>> seen = new ConcurrentHashMap<>();
        AtomicInteger left = new AtomicInteger(streams * 20);
        AtomicInteger failures = new AtomicInteger();
        GroupConsumer consumer = client.consume("run");
        consumer.run(
                delivery -> {
                    if (number(delivery) == 7 && delivery.attempt() == 1) {
                        failures.incrementAndGet();
                        throw new IllegalStateException("once");
                    }
                    seen.computeIfAbsent(
                                    delivery.event().stream(),
                                    none -> Collections.synchronizedList(new ArrayList<>()))
                            .add(number(delivery));
                    if (left.decrementAndGet() == 0) {
                        consumer.close();
                    }
                },
                4);
        assertEquals(streams, failures.get());
        List<Integer> whole = new ArrayList<>();
        for (int n = 1; n <= 20; n++) {
            whole.add(n);
        }
        assertEquals(streams, seen.size());
        seen.forEach((stream, numbers) -> assertEquals(whole, numbers, stream));
        assertEquals(
                client.groups().get("run").getStatus().getHead(),
                client.groups().get("run").getGroup().getProgress());
    }

    @Test
    void aConsumerGoesOnThroughCutsAndARestart() {
        client.append("g-1", LogTest.numbered(60), 0);
        create("cut");
        String proxy = world.address("proxy " + server.address());
        List<Integer> handled = new ArrayList<>();
        AtomicInteger breaks = new AtomicInteger();
        List<EventfoldException> lost = new ArrayList<>();
        ConsumeOptions options =
                ConsumeOptions.named("c")
                        .underWay(10)
                        .onReconnect(news -> breaks.incrementAndGet())
                        .onLost((delivery, error) -> lost.add(error));
        try (EventfoldClient cut = EventfoldClient.connect(proxy);
                GroupConsumer consumer = cut.consume("cut", options)) {
            int highest = 0;
            while (highest < 60) {
                Delivery delivery = consumer.next();
                int number = number(delivery);
                // In order; what was in hand at a break comes again.
                assertTrue(number <= highest + 1, number + " after " + highest);
                if (number > highest) {
                    highest = number;
                    handled.add(number);
                    if (number == 15 || number == 30) {
                        world.ask("cut " + proxy);
                    } else if (number == 45) {
                        world.ask("kill " + server.number());
                        world.ask("start " + server.number());
                    }
                }
                delivery.ack();
            }
        }
        assertEquals(60, handled.size());
        assertTrue(breaks.get() >= 3, "it broke " + breaks + " times");
        assertFalse(lost.isEmpty());
        assertEquals(60, client.groups().get("cut").getGroup().getProgress());
    }

    @Test
    void whoSettlesTooLateIsTold() {
        client.append("g-1", LogTest.numbered(2), 0);
        create("late");
        try (GroupConsumer consumer = client.consume("late")) {
            Delivery delivery = consumer.next();
            client.groups()
                    .reset("late", GroupStart.newBuilder().setFromPosition(1).build());
            delivery.ack();
            assertThrows(LeaseLostException.class, delivery::confirm);
            assertFalse(delivery.isOpen());
            Delivery again = consumer.next();
            while (number(again) != 1) {
                // It waited here under the lease that has ended.
                again = consumer.next();
            }
            again.skip();
            again.confirm();
            Delivery settled = again;
            assertThrows(IllegalStateException.class, settled::ack);
        }
    }

    @Test
    void groupsAreListedAndDeleted() {
        client.groups().create("one", "g");
        assertTrue(client.groups().create("two", "g", "h").getCreated());
        assertFalse(client.groups().create("two", "g", "h").getCreated());
        assertEquals(
                List.of("one", "two"),
                client.groups().list().map(group -> group.getName()).toList());
        client.groups().delete("one");
        assertThrows(GroupNotFoundException.class, () -> client.groups().get("one"));
        try (GroupConsumer consumer = client.consume("one")) {
            assertThrows(GroupNotFoundException.class, consumer::hasNext);
        }
        try (GroupConsumer consumer = client.consume("two")) {
            assertEquals(0, consumer.session());
        }
    }
}
