package dev.eventfold;

import dev.eventfold.errors.ConnectionFailedException;
import dev.eventfold.errors.LeaseLostException;
import dev.eventfold.v1.ConsumeRequest;
import dev.eventfold.v1.ConsumeResponse;
import dev.eventfold.v1.ConsumeStart;
import dev.eventfold.v1.GroupSettings;
import dev.eventfold.v1.OnPark;
import dev.eventfold.v1.SettleAction;
import dev.eventfold.v1.SettleAnswer;
import dev.eventfold.v1.Settlement;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.function.LongSupplier;

/**
 * The deliveries of one session of a consumer: waiting, in hand, and to be settled. It does no I/O,
 * and is not safe for threads: the session around it has a lock. Times are those of {@code
 * System.nanoTime}.
 */
final class Desk {
    // Acks wait so long for company, unless the consumer waits too: one message for many costs
    // both sides less, and one that is lost with the session is delivered again.
    private static final long ACK_DELAY_NS = 10_000_000L;
    // A settlement that the storage refused is sent again after so long.
    private static final long REPEAT_NS = 250_000_000L;
    private static final int POSITIONS_MAX = 10_000;
    private static final int REASON_CHARACTERS_MAX = 1_024;

    private record Sent(long at, Settling kind, List<DeskItem> items) {}

    private final String group;
    private final int creditsMax;
    private final LongSupplier clock;
    private final Queue<DeskItem> waiting = new ArrayDeque<>();
    // By position, in the order of delivery.
    private final Map<Long, DeskItem> open = new LinkedHashMap<>();
    // Also those that were lost meanwhile, until their handlers come back or forget them.
    private final Set<DeskItem> inHand = Collections.newSetFromMap(new WeakHashMap<>());
    private final Queue<LostDelivery> lost = new ArrayDeque<>();
    private final Map<Settling, List<DeskItem>> due = new LinkedHashMap<>();
    private final List<Sent> repeated = new ArrayList<>();
    private final Map<Long, Sent> sent = new LinkedHashMap<>();
    private ConsumeStart start;
    private GroupSettings settings = GroupSettings.getDefaultInstance();
    private long session;
    private long number;
    private int creditsDue;
    private Long dueSince;
    private boolean isUrgent;
    private boolean isStarving;
    private boolean isStopping;
    private boolean isClosing;

    Desk(String group, String consumer, int underWayMax, LongSupplier clock) {
        this.group = group;
        this.creditsMax = underWayMax;
        this.creditsDue = underWayMax;
        this.clock = clock;
        start = ConsumeStart.newBuilder().setGroup(group).setConsumer(consumer).build();
    }

    long session() {
        return session;
    }

    /** Takes what the server sent; says whether it was of use to the work of the group. */
    boolean receive(ConsumeResponse message) {
        if (message.hasStarted()) {
            session = message.getStarted().getSession();
            settings = message.getStarted().getSettings();
        }
        long now = clock.getAsLong();
        for (int i = 0; i < message.getEventsCount(); i++) {
            RecordedEvent event = RecordedEvent.of(message.getEvents(i));
            DeskItem item = new DeskItem(event, message.getLeases(i), message.getAttempts(i), now);
            open.put(event.position(), item);
            waiting.add(item);
        }
        if (isStopping) {
            waiting.clear();
        }
        message.getAnswersList().forEach(this::answered);
        return message.getEventsCount() > 0 || message.getAnswersCount() > 0;
    }

    private void answered(SettleAnswer answer) {
        Sent found = sent.remove(answer.getNumber());
        if (found == null) {
            return;
        }
        boolean isExtension = found.kind().action() == SettleAction.SETTLE_ACTION_EXTEND;
        EventfoldException error =
                answer.hasRefused() ? Failures.ofStatus(answer.getRefused()) : null;
        if (error != null && error.code().equals("UNAVAILABLE") && !isExtension) {
            repeated.add(new Sent(clock.getAsLong() + REPEAT_NS, found.kind(), found.items()));
            return;
        }
        Set<Long> late = new HashSet<>(answer.getRefusedPositionsList());
        Set<Long> parked = new HashSet<>(answer.getSettled().getParkedList());
        for (DeskItem item : found.items()) {
            long position = item.event.position();
            if (error != null && (late.isEmpty() || late.contains(position))) {
                lose(item, error);
            } else if (isExtension) {
                item.touched = clock.getAsLong();
            } else {
                item.wasParked = parked.contains(position);
                item.end(DeskItem.State.SETTLED, null);
            }
        }
    }

    private void lose(DeskItem item, EventfoldException error) {
        boolean wasWaiting = item.state == DeskItem.State.WAITING;
        forget(item);
        item.end(DeskItem.State.LOST, error);
        if (!wasWaiting) {
            lost.add(new LostDelivery(item, error));
        }
    }

    /** It is not under way any more, and makes room for another one. */
    private void forget(DeskItem item) {
        if (open.get(item.event.position()) == item) {
            open.remove(item.event.position());
            creditsDue++;
        }
    }

    /** The next that was lost; null: none. */
    LostDelivery nextLost() {
        return lost.poll();
    }

    /** The next delivery; null: there is none yet. */
    DeskItem next() {
        while (!waiting.isEmpty()) {
            DeskItem item = waiting.remove();
            if (item.isOpen()) {
                isStarving = false;
                return item;
            }
        }
        isStarving = true;
        return null;
    }

    /** Notes that somebody handles it from now on; false: it was lost before. */
    boolean begin(DeskItem item) {
        if (item.state != DeskItem.State.WAITING) {
            return false;
        }
        item.state = DeskItem.State.IN_HAND;
        inHand.add(item);
        if (clock.getAsLong() - item.touched > ackTimeoutNs() / 3) {
            // What it waited here is not to be missing for its handling.
            settle(item, Settling.EXTEND);
        }
        return true;
    }

    /** Settles a delivery with the next message; one that is lost comes to nothing. */
    void settle(DeskItem item, Settling asked) {
        boolean isExtension = asked.action() == SettleAction.SETTLE_ACTION_EXTEND;
        if (!isExtension) {
            inHand.remove(item);
        }
        if (item.state == DeskItem.State.LOST) {
            return;
        }
        if (!item.isOpen()) {
            throw new IllegalStateException(
                    "event " + item.event.position() + " of " + group + " is settled already");
        }
        String reason = asked.reason();
        if (reason.length() > REASON_CHARACTERS_MAX) {
            reason = reason.substring(0, REASON_CHARACTERS_MAX);
        }
        Settling kind = new Settling(asked.action(), reason, asked.delay());
        due.computeIfAbsent(kind, none -> new ArrayList<>()).add(item);
        if (isExtension) {
            item.touched = clock.getAsLong();
            isUrgent = true;
            return;
        }
        item.state = DeskItem.State.SETTLING;
        forget(item);
        if (kind.action() == SettleAction.SETTLE_ACTION_ACK) {
            dueSince = dueSince == null ? Long.valueOf(clock.getAsLong()) : dueSince;
            return;
        }
        isUrgent = true;
        boolean holdsBack =
                kind.action() == SettleAction.SETTLE_ACTION_PARK
                        && settings.getOnPark() != OnPark.ON_PARK_LET_PASS;
        if (kind.action() == SettleAction.SETTLE_ACTION_RETRY || holdsBack) {
            giveBack(item);
        }
    }

    /** Drops the later events of a stream that goes back with one of them. */
    private void giveBack(DeskItem first) {
        if (settings.getUnordered()) {
            return;
        }
        for (DeskItem item : List.copyOf(open.values())) {
            if (item.lease == first.lease && item.event.stream().equals(first.event.stream())) {
                lose(
                        item,
                        new LeaseLostException(
                                "an earlier event of its stream was given back", Map.of()));
            }
        }
    }

    /** Somebody waits for an outcome: acks wait for no company. */
    void hurry() {
        isUrgent = true;
    }

    private long ackTimeoutNs() {
        long found = Times.of(settings.getAckTimeout()).toNanos();
        return found == 0 ? Long.MAX_VALUE / 4 : found;
    }

    /**
     * Extends the leases of what waits here; returns when to look again. It waits because of this
     * process, not because of a handler; one that hangs is told by the lease of what it has in
     * hand, and then nothing is extended.
     */
    private long extendWaiting(long now) {
        long third = ackTimeoutNs() / 3;
        if (inHand.stream().anyMatch(item -> now - item.touched > 3 * third)) {
            return now + third;
        }
        Set<Long> busy = new HashSet<>();
        inHand.forEach(item -> busy.add(item.lease));
        long soonest = now + third;
        for (DeskItem item : open.values()) {
            if (item.state == DeskItem.State.WAITING && !busy.contains(item.lease)) {
                if (now - item.touched >= third) {
                    settle(item, Settling.EXTEND);
                }
                soonest = Math.min(soonest, item.touched + third);
            }
        }
        return soonest;
    }

    /** All that is due; null: nothing is. */
    ConsumeRequest nextMessage() {
        long now = clock.getAsLong();
        ConsumeRequest.Builder message = ConsumeRequest.newBuilder();
        if (start != null) {
            message.setStart(start);
            start = null;
        } else if (!isDue(now)) {
            return null;
        }
        due.forEach(
                (kind, items) -> {
                    for (int from = 0; from < items.size(); from += POSITIONS_MAX) {
                        int to = Math.min(items.size(), from + POSITIONS_MAX);
                        add(message, now, kind, List.copyOf(items.subList(from, to)));
                    }
                });
        for (Sent one : List.copyOf(repeated)) {
            if (one.at() <= now) {
                add(message, now, one.kind(), one.items());
                repeated.remove(one);
            }
        }
        due.clear();
        dueSince = null;
        isUrgent = false;
        if (!isStopping) {
            message.setCredits(creditsDue);
            creditsDue = 0;
        }
        ConsumeRequest built = message.build();
        return built.getSerializedSize() > 0 ? built : null;
    }

    private boolean isDue(long now) {
        if (isUrgent || repeated.stream().anyMatch(one -> one.at() <= now)) {
            return true;
        }
        boolean waits = isStarving || isStopping;
        if (!isStopping && creditsDue > (waits ? 0 : creditsMax / 4)) {
            return true;
        }
        return dueSince != null && (waits || now - dueSince >= ACK_DELAY_NS);
    }

    private void add(
            ConsumeRequest.Builder message, long now, Settling kind, List<DeskItem> items) {
        number++;
        sent.put(number, new Sent(now, kind, items));
        Settlement.Builder one = message.addSettlementsBuilder();
        one.setNumber(number).setAction(kind.action()).setReason(kind.reason());
        for (DeskItem item : items) {
            one.addPositions(item.event.position()).addLeases(item.lease);
        }
        if (kind.delay() != null) {
            one.setDelay(Times.toWire(kind.delay()));
        }
    }

    /** Until something may be due though nothing happens; null: never. */
    Duration untilDue() {
        long now = clock.getAsLong();
        long soonest = Long.MAX_VALUE;
        for (Sent one : repeated) {
            soonest = Math.min(soonest, one.at());
        }
        if (!open.isEmpty() && !isStopping) {
            soonest = Math.min(soonest, extendWaiting(now));
        }
        if (isUrgent) {
            return Duration.ZERO;
        }
        if (dueSince != null) {
            soonest = Math.min(soonest, dueSince + ACK_DELAY_NS);
        }
        for (Sent one : sent.values()) {
            soonest = Math.min(soonest, one.at() + Reconnects.SILENCE.toNanos());
        }
        return soonest == Long.MAX_VALUE ? null : Duration.ofNanos(Math.max(0, soonest - now));
    }

    /** Whether the server has left something unanswered for too long. */
    boolean isStuck() {
        long now = clock.getAsLong();
        long silence = Reconnects.SILENCE.toNanos();
        return sent.values().stream().anyMatch(one -> now - one.at() > silence);
    }

    // The end.

    /** Nothing more is handed out; what is in hand can still be settled. */
    void stop() {
        isStopping = true;
        waiting.clear();
    }

    /** What was settled until now is the last. */
    void close() {
        stop();
        isClosing = true;
    }

    /** Whether the last has been sent. */
    boolean isFinished() {
        return isClosing && due.isEmpty() && repeated.isEmpty();
    }

    /** The session is over: nothing of it can be settled any more. */
    void fail() {
        for (Sent one : sent.values()) {
            for (DeskItem item : one.items()) {
                if (item.state == DeskItem.State.SETTLING) {
                    lose(
                            item,
                            new ConnectionFailedException(
                                    "the session broke before the answer came; the event may be"
                                            + " delivered again",
                                    Map.of()));
                }
            }
        }
        List<DeskItem> unsent = new ArrayList<>();
        due.values().forEach(unsent::addAll);
        repeated.forEach(one -> unsent.addAll(one.items()));
        for (DeskItem item : unsent) {
            if (item.state == DeskItem.State.SETTLING) {
                lose(item, item.broken(group));
            }
        }
        for (DeskItem item : List.copyOf(open.values())) {
            item.end(DeskItem.State.LOST, item.broken(group));
        }
        open.clear();
        waiting.clear();
    }
}
