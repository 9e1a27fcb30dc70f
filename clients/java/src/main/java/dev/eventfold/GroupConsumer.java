package dev.eventfold;

import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;

/**
 * A consumer of a group; used once, in one of two ways. By hand, with any number of deliveries in
 * hand:
 *
 * <pre>{@code
 * try (GroupConsumer consumer = client.consume("mailer")) {
 *     for (Delivery delivery : consumer) {
 *         send(delivery.event());
 *         delivery.ack();
 *     }
 * }
 * }</pre>
 *
 * <p>Or with a function, which may run for several events at once: {@link #run}.
 *
 * <p>When the connection breaks, the consumer connects again by itself, as a {@link Subscription}
 * does. What was in hand is then delivered again, here or elsewhere: at least once. Closing sends
 * and awaits what is settled, and gives the rest to other consumers at once.
 */
public final class GroupConsumer
        implements Iterator<Delivery>, Iterable<Delivery>, AutoCloseable {
    private final Calls calls;
    private final String group;
    private final String name;
    private final int underWay;
    private final Reconnects reconnects;
    private final BiConsumer<Delivery, EventfoldException> onLost;
    private final CountDownLatch closing = new CountDownLatch(1);
    private volatile ConsumeSession session;
    private volatile Thread looper;
    private volatile boolean isRunning;
    private Delivery pending;

    /** Handles one delivery. */
    @FunctionalInterface
    public interface Handler {
        /**
         * Handles it. What it returns from is acknowledged, unless it was settled by hand; what it
         * throws out of is retried.
         */
        void handle(Delivery delivery) throws Exception;
    }

    GroupConsumer(
            Calls calls,
            String group,
            String name,
            int underWay,
            Reconnects reconnects,
            BiConsumer<Delivery, EventfoldException> onLost) {
        this.calls = calls;
        this.group = group;
        this.name = name;
        this.underWay = underWay;
        this.reconnects = reconnects;
        this.onLost = onLost;
    }

    /** Number of the session, as the status of the group lists it; 0: none at the moment. */
    public long session() {
        ConsumeSession open = session;
        return open == null ? 0 : open.number();
    }

    /** Waits for the next delivery; false: the consumer was closed. */
    @Override
    public boolean hasNext() {
        while (pending == null) {
            Delivery found = incoming();
            if (found == null) {
                return false;
            }
            // It may have gone back with an earlier one of its stream.
            pending = found.begin() ? found : null;
        }
        return true;
    }

    @Override
    public Delivery next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        Delivery found = pending;
        pending = null;
        return found;
    }

    @Override
    public Iterator<Delivery> iterator() {
        return this;
    }

    /**
     * Hands each delivery to a function, until the consumer is closed. Events of a stream are
     * handled one after the other, others at once.
     *
     * @param handler its event is acknowledged when it returns, and retried when it throws an
     *     exception, which is logged
     * @param concurrency most events at once, at least 1
     */
    public void run(Handler handler, int concurrency) {
        AtomicReference<Error> fault = new AtomicReference<>();
        isRunning = true;
        try (Workers workers = new Workers(concurrency)) {
            for (Delivery found = incoming(); found != null; found = incoming()) {
                Delivery delivery = found;
                workers.put(delivery.event().stream(), () -> handle(handler, delivery, fault));
            }
        } finally {
            isRunning = false;
            close();
        }
        if (fault.get() != null) {
            throw fault.get();
        }
    }

    private void handle(Handler handler, Delivery delivery, AtomicReference<Error> fault) {
        if (!delivery.begin()) {
            return;
        }
        try {
            handler.handle(delivery);
            if (delivery.isUnsettled()) {
                delivery.ack();
            }
        } catch (Exception error) {
            String text = group + ": event " + delivery.event().position() + " failed";
            Reconnects.LOGGER.log(System.Logger.Level.ERROR, text, error);
            if (delivery.isUnsettled()) {
                delivery.retry(faultOf(error));
            }
        } catch (Error error) {
            fault.compareAndSet(null, error);
            close();
        }
    }

    /** The class of an exception and where it was thrown: its text may hold personal data. */
    private static String faultOf(Exception error) {
        StackTraceElement[] trace = error.getStackTrace();
        return error.getClass().getName() + (trace.length == 0 ? "" : " at " + trace[0]);
    }

    /** The next delivery, which nobody handles yet; null: the consumer was closed. */
    private Delivery incoming() {
        looper = Thread.currentThread();
        while (!isClosed() || session != null) {
            RuntimeException broke;
            try {
                if (session == null) {
                    open();
                }
                Object found = session.next();
                if (found == null) {
                    if (!isRunning) {
                        end(session);
                    }
                    return null;
                }
                reconnects.heard(session.wasUseful());
                if (found instanceof DeskItem item) {
                    return new Delivery(session, item);
                }
                tell(session, (LostDelivery) found);
                continue;
            } catch (StatusRuntimeException | EventfoldException error) {
                broke = error;
            }
            mend(broke);
        }
        return null;
    }

    private void open() {
        reconnects.begin();
        session = new ConsumeSession(calls, new Desk(group, name, underWay, System::nanoTime));
        // `close` sets the one and looks at the other.
        if (isClosed()) {
            session.stop();
        }
    }

    private void mend(RuntimeException broke) {
        EventfoldException failure =
                broke instanceof StatusRuntimeException error
                        ? calls.failure(error, Safety.READ)
                        : (EventfoldException) broke;
        ConsumeSession broken = session;
        session = null;
        broken.cancel();
        if (broken.wasUseful()) {
            reconnects.heard(true);
        }
        if (isClosed()) {
            return;
        }
        Duration pause = reconnects.pause(failure, 0);
        try {
            closing.await(pause.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException error) {
            throw Messages.interrupted();
        }
    }

    private void tell(ConsumeSession from, LostDelivery lost) {
        Delivery delivery = new Delivery(from, lost.item());
        String text = group + ": " + delivery + " is not settled: " + lost.error().getMessage();
        Reconnects.LOGGER.log(System.Logger.Level.WARNING, text);
        onLost.accept(delivery, lost.error());
    }

    private void end(ConsumeSession open) {
        open.end(calls.timeout());
        for (LostDelivery lost = open.nextLost(); lost != null; lost = open.nextLost()) {
            tell(open, lost);
        }
    }

    private boolean isClosed() {
        return closing.getCount() == 0;
    }

    /**
     * Ends the session, from any thread. Called from elsewhere than the loop, it lets what is in
     * hand be handled to its end, and the loop then ends as if there were no more deliveries; so
     * does {@link #run}, which is not waited for.
     */
    @Override
    public void close() {
        closing.countDown();
        ConsumeSession open = session;
        if (open == null) {
            return;
        }
        open.stop();
        if (isRunning) {
            return;
        }
        Thread loops = looper;
        if (loops != null && loops != Thread.currentThread()) {
            // The loop ends the session when it comes back from what it has in hand.
            open.awaitEnd(calls.timeout());
        }
        end(open);
        pending = null;
    }
}
