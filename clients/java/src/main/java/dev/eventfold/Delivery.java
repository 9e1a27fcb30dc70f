package dev.eventfold;

import dev.eventfold.errors.OutcomeUnknownException;
import dev.eventfold.v1.SettleAction;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * An event that a consumer has, until it settles it. {@link #ack}, {@link #retry}, {@link #park}
 * and {@link #skip} settle it, once, from any thread; they do not wait for the server. What is
 * settled too late comes to {@code onLost} of the consumer; {@link #confirm} waits for the answer.
 */
public final class Delivery {
    private final ConsumeSession session;
    private final DeskItem item;

    Delivery(ConsumeSession session, DeskItem item) {
        this.session = session;
        this.item = item;
    }

    /** The event. */
    public RecordedEvent event() {
        return item.event;
    }

    /** Which delivery of it this is, from 1. */
    public int attempt() {
        return item.attempt;
    }

    /** Whether it can be settled: it is not yet, and its lease is not known to be lost. */
    public boolean isOpen() {
        return session.isOpen(item);
    }

    /** Whether a retry parked it because its attempts are used up; known after a confirmation. */
    public boolean wasParked() {
        return session.wasParked(item);
    }

    boolean isUnsettled() {
        return session.isUnsettled(item);
    }

    boolean begin() {
        return session.begin(item);
    }

    /** It is handled: the group never delivers it again. */
    public void ack() {
        settle(SettleAction.SETTLE_ACTION_ACK, "", null);
    }

    /** It failed, and is delivered again after the wait that the settings of the group give. */
    public void retry(String reason) {
        settle(SettleAction.SETTLE_ACTION_RETRY, reason, null);
    }

    /**
     * It failed, and is delivered again; parked when its attempts are used up. The later events of
     * its stream that are here go back with it.
     *
     * @param reason why, for people who look at parked events; no personal data
     * @param delay how long to wait, up to 24 h
     */
    public void retry(String reason, Duration delay) {
        settle(SettleAction.SETTLE_ACTION_RETRY, reason, delay);
    }

    /** It is set aside, until somebody replays or purges it. */
    public void park(String reason) {
        settle(SettleAction.SETTLE_ACTION_PARK, reason, null);
    }

    /** It is not to be handled: the group never delivers it again. */
    public void skip() {
        settle(SettleAction.SETTLE_ACTION_SKIP, "", null);
    }

    /** It takes longer: it stays here for another {@code ack_timeout} from now. */
    public void extend() {
        settle(SettleAction.SETTLE_ACTION_EXTEND, "", null);
    }

    private void settle(SettleAction action, String reason, Duration delay) {
        session.settle(item, new Settling(action, reason, delay));
    }

    /** Waits up to 30 s until the server has settled it. */
    public void confirm() {
        confirm(Reconnects.SILENCE);
    }

    /**
     * Waits until the server has settled it, which is on disk then.
     *
     * @throws dev.eventfold.errors.LeaseLostException it was settled too late: it is delivered
     *     again, maybe to another consumer
     * @throws dev.eventfold.errors.ConnectionFailedException the connection broke; it is settled,
     *     or delivered again
     * @throws OutcomeUnknownException no answer came in time
     * @throws IllegalStateException it is not settled yet
     */
    public void confirm(Duration timeout) {
        if (isOpen()) {
            throw new IllegalStateException("settle the delivery before it is confirmed");
        }
        session.hurry();
        try {
            item.outcome.get(timeout.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException error) {
            throw (EventfoldException) error.getCause();
        } catch (TimeoutException error) {
            throw new OutcomeUnknownException(
                    "no answer within " + Failures.shown(timeout), Map.of());
        } catch (InterruptedException error) {
            throw Messages.interrupted();
        }
    }

    @Override
    public String toString() {
        return "Delivery[position=" + item.event.position() + ", attempt=" + item.attempt + "]";
    }
}
