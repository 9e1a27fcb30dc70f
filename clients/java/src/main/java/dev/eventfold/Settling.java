package dev.eventfold;

import dev.eventfold.v1.SettleAction;
import java.time.Duration;

/** How events are settled; those of one kind go together. A delay that is null is not named. */
record Settling(SettleAction action, String reason, Duration delay) {
    static final Settling EXTEND = new Settling(SettleAction.SETTLE_ACTION_EXTEND, "", null);
}
