package dev.eventfold;

import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A call without an end that is begun again whenever it breaks.
 *
 * @param <A> a message of the answer
 * @param <F> what is made of one
 */
abstract class Live<A, F> implements AutoCloseable {
    private final Calls calls;
    private final Reconnects reconnects;
    private final CountDownLatch closing = new CountDownLatch(1);
    private volatile Messages<A> call;

    Live(Calls calls, Reconnects reconnects) {
        this.calls = calls;
        this.reconnects = reconnects;
    }

    /** Begins a call for what is still to come. */
    abstract Messages<A> begin(Calls calls);

    /** Whether a message has what the call is there for. */
    abstract boolean isNew(A message);

    /** What is made of a message; null: it has nothing for the reader. */
    abstract F accept(A message);

    /** What a failure means here. */
    abstract EventfoldException meaning(EventfoldException failure);

    /** Position from which a broken call goes on. */
    abstract long position();

    final Calls calls() {
        return calls;
    }

    final boolean isClosed() {
        return closing.getCount() == 0;
    }

    /** The next of what comes; null: it was closed. */
    final F take() {
        while (!isClosed()) {
            EventfoldException failure;
            try {
                F found = receive();
                if (found != null) {
                    return found;
                }
                continue;
            } catch (Messages.SilenceException error) {
                failure = Reconnects.silent(calls.target());
            } catch (StatusRuntimeException error) {
                failure = isClosed() ? null : meaning(calls.failure(error, Safety.READ));
            } catch (EventfoldException error) {
                failure = error;
            }
            drop();
            if (!isClosed()) {
                pause(reconnects.pause(failure, position()));
            }
        }
        return null;
    }

    private F receive() {
        if (call == null) {
            reconnects.begin();
            call = begin(calls);
            // `close` sets the one and looks at the other.
            if (isClosed()) {
                drop();
                return null;
            }
        }
        A message = call.next(Reconnects.SILENCE);
        if (message == null) {
            throw Reconnects.ended(calls.target());
        }
        reconnects.heard(isNew(message));
        return accept(message);
    }

    private void drop() {
        Messages<A> broken = call;
        call = null;
        if (broken != null) {
            broken.close();
        }
    }

    private void pause(Duration pause) {
        try {
            closing.await(pause.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException error) {
            throw Messages.interrupted();
        }
    }

    @Override
    public void close() {
        closing.countDown();
        Messages<A> open = call;
        if (open != null) {
            open.close();
        }
    }
}
