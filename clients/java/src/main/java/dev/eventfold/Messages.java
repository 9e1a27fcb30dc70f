package dev.eventfold;

import com.google.common.util.concurrent.MoreExecutors;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The messages of one call that streams its answer; at most two wait here to be taken. */
final class Messages<A> implements AutoCloseable {
    private static final int AHEAD = 2;

    private final ClientCall<?, A> call;
    private final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();
    private Ended ended;

    /** How the call ended. */
    private record Ended(Status status, Metadata trailers) {}

    /** Nothing came for too long. */
    static final class SilenceException extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private Messages(ClientCall<?, A> call) {
        this.call = call;
    }

    /**
     * Begins a call.
     *
     * @param timeout null: it has no deadline
     */
    static <Q, A> Messages<A> begin(
            Channel channel, MethodDescriptor<Q, A> method, Q request, Duration timeout) {
        // What comes is put into the queue and nothing else, so it needs no thread of its own.
        CallOptions options =
                CallOptions.DEFAULT.withExecutor(MoreExecutors.directExecutor());
        if (timeout != null) {
            options = options.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
        }
        ClientCall<Q, A> call = channel.newCall(method, options);
        Messages<A> messages = new Messages<>(call);
        call.start(messages.new Incoming(), new Metadata());
        call.request(AHEAD);
        call.sendMessage(request);
        call.halfClose();
        return messages;
    }

    private final class Incoming extends ClientCall.Listener<A> {
        @Override
        public void onMessage(A message) {
            queue.add(message);
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            queue.add(new Ended(status, trailers));
        }
    }

    /** The next message; null: there are no more. */
    A next() {
        return next(null);
    }

    /**
     * The next message; null: there are no more.
     *
     * @param silence how long to wait for it; null: without limit
     * @throws StatusRuntimeException the call failed
     * @throws SilenceException nothing came for so long
     */
    A next(Duration silence) {
        if (ended == null) {
            Object found = take(silence);
            if (found instanceof Ended end) {
                ended = end;
            } else {
                call.request(1);
                @SuppressWarnings("unchecked")
                A message = (A) found;
                return message;
            }
        }
        if (ended.status().isOk()) {
            return null;
        }
        throw ended.status().asRuntimeException(ended.trailers());
    }

    private Object take(Duration silence) {
        try {
            if (silence == null) {
                return queue.take();
            }
            Object found = queue.poll(silence.toNanos(), TimeUnit.NANOSECONDS);
            if (found == null) {
                throw new SilenceException();
            }
            return found;
        } catch (InterruptedException error) {
            close();
            throw interrupted();
        }
    }

    /** What a call throws whose thread is interrupted; the thread stays so. */
    static CancellationException interrupted() {
        Thread.currentThread().interrupt();
        return new CancellationException("the thread was interrupted");
    }

    /** Ends the call; from any thread, and any number of times. */
    @Override
    public void close() {
        call.cancel("the client takes no more", null);
    }
}
