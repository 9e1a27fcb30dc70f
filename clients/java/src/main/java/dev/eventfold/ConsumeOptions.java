package dev.eventfold;

import java.time.Duration;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/** How a consumer of a group works. */
public final class ConsumeOptions {
    private static final int UNDER_WAY_MAX = 10_000;

    private String consumer = "";
    private int underWay = 100;
    private Duration giveUpAfter;
    private Consumer<Reconnect> onReconnect = news -> {};
    private BiConsumer<Delivery, EventfoldException> onLost = (delivery, error) -> {};

    private ConsumeOptions() {}

    /** A consumer of this name, for people who look at the group. */
    public static ConsumeOptions named(String consumer) {
        ConsumeOptions options = new ConsumeOptions();
        options.consumer = consumer;
        return options;
    }

    /** Most events that are here and not settled, 1 to 10,000. Default: 100. */
    public ConsumeOptions underWay(int events) {
        if (events < 1 || events > UNDER_WAY_MAX) {
            throw Settings.invalid(
                    "underWay", "underWay is between 1 and " + UNDER_WAY_MAX + ", not " + events);
        }
        underWay = events;
        return this;
    }

    /** How long a broken session is begun again until its error is thrown. Default: for ever. */
    public ConsumeOptions giveUpAfter(Duration limit) {
        giveUpAfter = limit;
        return this;
    }

    /** Told when the session broke, before the pause. */
    public ConsumeOptions onReconnect(Consumer<Reconnect> told) {
        onReconnect = told;
        return this;
    }

    /** Told of a delivery that was settled too late: it is delivered again. */
    public ConsumeOptions onLost(BiConsumer<Delivery, EventfoldException> told) {
        onLost = told;
        return this;
    }

    GroupConsumer begin(Calls calls, String group) {
        Reconnects reconnects =
                new Reconnects(
                        "consumer of " + group, calls.timeout(), giveUpAfter, onReconnect);
        return new GroupConsumer(calls, group, consumer, underWay, reconnects, onLost);
    }
}
