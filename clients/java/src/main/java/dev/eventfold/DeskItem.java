package dev.eventfold;

import dev.eventfold.errors.LeaseLostException;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** A delivered event, as the desk of its session has it. */
final class DeskItem {
    /** What is with a delivery. */
    enum State {
        WAITING,
        IN_HAND,
        SETTLING,
        SETTLED,
        LOST
    }

    final RecordedEvent event;
    final long lease;
    final int attempt;
    final CompletableFuture<Void> outcome = new CompletableFuture<>();
    // When the lease began, or was extended, by the clock of this process.
    long touched;
    State state = State.WAITING;
    boolean wasParked;

    DeskItem(RecordedEvent event, long lease, int attempt, long touched) {
        this.event = event;
        this.lease = lease;
        this.attempt = attempt;
        this.touched = touched;
    }

    /** Whether it can be settled. */
    boolean isOpen() {
        return state == State.WAITING || state == State.IN_HAND;
    }

    /** Whether nobody has settled it, be it lost or not. */
    boolean isUnsettled() {
        return isOpen() || state == State.LOST;
    }

    /** Notes what became of it; {@code why} it is lost, or null. */
    void end(State last, EventfoldException why) {
        state = last;
        if (why == null) {
            outcome.complete(null);
        } else {
            outcome.completeExceptionally(why);
        }
    }

    /** Why it is lost when its session is over. */
    LeaseLostException broken(String group) {
        return new LeaseLostException(
                "the session broke, and the event is delivered again",
                Map.of(
                        "group", group,
                        "position", Long.toString(event.position()),
                        "lease", Long.toString(lease)));
    }
}
