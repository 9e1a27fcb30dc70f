package dev.eventfold;

import com.google.common.util.concurrent.MoreExecutors;
import dev.eventfold.v1.ConsumeRequest;
import dev.eventfold.v1.ConsumeResponse;
import dev.eventfold.v1.ConsumerGroupsGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * One call on a group. It begins at once. A thread of its own sends what time makes due: acks that
 * have waited for company, and extensions of leases.
 */
final class ConsumeSession {
    private final Desk desk;
    private final String target;
    private final ClientCall<ConsumeRequest, ConsumeResponse> call;
    private final ScheduledThreadPoolExecutor timer;
    // The monitor of this object guards the desk and all of these.
    private boolean wasUseful;
    private boolean isStopping;
    private boolean isHalfClosed;
    private boolean isOver;
    private RuntimeException failure;
    private ScheduledFuture<?> planned;

    ConsumeSession(Calls calls, Desk desk) {
        this.desk = desk;
        this.target = calls.target();
        timer =
                new ScheduledThreadPoolExecutor(
                        1,
                        task -> {
                            Thread thread = new Thread(task, "eventfold-consumer");
                            thread.setDaemon(true);
                            return thread;
                        });
        timer.setRemoveOnCancelPolicy(true);
        call =
                calls.channel()
                        .newCall(
                                ConsumerGroupsGrpc.getConsumeMethod(),
                                CallOptions.DEFAULT.withExecutor(
                                        MoreExecutors.directExecutor()));
        call.start(new Incoming(), new Metadata());
        call.request(2);
        pump();
    }

    private final class Incoming extends ClientCall.Listener<ConsumeResponse> {
        @Override
        public void onMessage(ConsumeResponse message) {
            synchronized (ConsumeSession.this) {
                try {
                    wasUseful |= desk.receive(message);
                } catch (EventfoldException error) {
                    failure = error;
                    cancel();
                }
                ConsumeSession.this.notifyAll();
                pump();
            }
            // Credits bound how much comes.
            call.request(1);
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            synchronized (ConsumeSession.this) {
                if (failure == null && !status.isOk()) {
                    failure = new StatusRuntimeException(status, trailers);
                }
                isOver = true;
                desk.fail();
                timer.shutdownNow();
                ConsumeSession.this.notifyAll();
            }
        }
    }

    /** Sends what is due, and sees to be called again when more is. */
    private synchronized void pump() {
        if (isOver || isHalfClosed) {
            return;
        }
        ConsumeRequest message;
        while ((message = desk.nextMessage()) != null) {
            call.sendMessage(message);
        }
        if (desk.isFinished()) {
            isHalfClosed = true;
            call.halfClose();
            return;
        }
        if (desk.isStuck()) {
            failure = Reconnects.silent(target);
            cancel();
            return;
        }
        if (planned != null) {
            planned.cancel(false);
        }
        Duration pause = desk.untilDue();
        if (pause != null) {
            try {
                planned = timer.schedule(this::pump, pause.toNanos() + 1, TimeUnit.NANOSECONDS);
            } catch (RejectedExecutionException error) {
                // The session is over.
                return;
            }
        }
    }

    synchronized long number() {
        return desk.session();
    }

    synchronized boolean wasUseful() {
        return wasUseful;
    }

    /**
     * The next delivery ({@code DeskItem}), or one that was lost ({@code LostDelivery}); null: the
     * session was stopped here.
     *
     * @throws RuntimeException what broke it
     */
    synchronized Object next() {
        while (true) {
            Object found = desk.nextLost();
            found = found == null ? desk.next() : found;
            if (found != null) {
                return found;
            }
            if (isStopping) {
                return null;
            }
            if (isOver) {
                throw failure == null ? Reconnects.ended(target) : failure;
            }
            pump();
            await(Long.MAX_VALUE);
        }
    }

    private void await(long nanos) {
        try {
            TimeUnit.NANOSECONDS.timedWait(this, nanos);
        } catch (InterruptedException error) {
            throw Messages.interrupted();
        }
    }

    synchronized LostDelivery nextLost() {
        return desk.nextLost();
    }

    /** Notes that somebody handles it from now on; false: it was lost before. */
    synchronized boolean begin(DeskItem item) {
        boolean begun = desk.begin(item);
        pump();
        return begun;
    }

    synchronized void settle(DeskItem item, Settling kind) {
        desk.settle(item, kind);
        pump();
    }

    synchronized boolean isOpen(DeskItem item) {
        return item.isOpen();
    }

    synchronized boolean isUnsettled(DeskItem item) {
        return item.isUnsettled();
    }

    synchronized boolean wasParked(DeskItem item) {
        return item.wasParked;
    }

    synchronized void hurry() {
        desk.hurry();
        pump();
    }

    /** Hands nothing out any more. */
    synchronized void stop() {
        isStopping = true;
        desk.stop();
        notifyAll();
        pump();
    }

    /** Waits until it is over, so long at the most. */
    synchronized boolean awaitEnd(Duration limit) {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!isOver) {
            long left = deadline - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            await(left);
        }
        return true;
    }

    /** Sends what is settled, gives back the rest, and waits for the answers. */
    void end(Duration limit) {
        stop();
        synchronized (this) {
            desk.close();
            pump();
        }
        if (!awaitEnd(limit)) {
            cancel();
        }
    }

    /** Breaks it off. */
    void cancel() {
        call.cancel("the consumer takes no more", null);
    }
}
