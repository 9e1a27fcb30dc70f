package dev.eventfold;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * Every call of the contract, by its generated descriptor, so that nothing of it is out of reach:
 *
 * <pre>{@code
 * client.raw().unary(TransformsGrpc.getStartTransformMethod(), request);
 * }</pre>
 *
 * <p>The calls carry the token, have the timeout of the client, and throw the errors of {@link
 * dev.eventfold.errors}. What may be repeated is repeated: calls that only read, and appends.
 */
public final class RawCalls {
    private final Calls calls;

    RawCalls(Calls calls) {
        this.calls = calls;
    }

    /**
     * Makes a call with one request and one answer.
     *
     * @throws EventfoldException it was refused, or failed
     */
    public <Q, A> A unary(MethodDescriptor<Q, A> method, Q request) {
        return calls.unary(method, request);
    }

    /**
     * Makes a call that streams its answer: one attempt, without a deadline. Close the stream, to
     * end the call before its end.
     *
     * @throws EventfoldException the call was refused, or failed; thrown by the stream
     */
    public <Q, A> Stream<A> stream(MethodDescriptor<Q, A> method, Q request) {
        Messages<A> messages = calls.endless(method, request);
        Iterator<A> iterator = new Answer<>(calls, messages);
        Iterable<A> once = () -> iterator;
        return StreamSupport.stream(once.spliterator(), false).onClose(messages::close);
    }

    /**
     * The channel for generated stubs, synchronous and asynchronous. Calls carry the token; those
     * with one answer get the timeout of the client where they have no deadline. Their failures are
     * gRPC's own; {@link EventfoldException#of(StatusRuntimeException)} makes errors of them.
     */
    public Channel channel() {
        return ClientInterceptors.intercept(calls.connection().raw(), new DefaultDeadline(calls));
    }

    /** The messages of an answer, with errors of eventfold. */
    private static final class Answer<A> implements Iterator<A> {
        private final Calls calls;
        private final Messages<A> messages;
        private A next;
        private boolean isOver;

        Answer(Calls calls, Messages<A> messages) {
            this.calls = calls;
            this.messages = messages;
        }

        @Override
        public boolean hasNext() {
            if (next == null && !isOver) {
                try {
                    next = messages.next();
                } catch (StatusRuntimeException error) {
                    throw calls.failure(error, Safety.READ);
                }
                isOver = next == null;
            }
            return next != null;
        }

        @Override
        public A next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            A found = next;
            next = null;
            return found;
        }
    }

    /** Gives calls with one answer a deadline. */
    private record DefaultDeadline(Calls calls) implements ClientInterceptor {
        @Override
        public <Q, A> ClientCall<Q, A> interceptCall(
                MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            boolean isBounded =
                    options.getDeadline() != null
                            || method.getType() != MethodDescriptor.MethodType.UNARY;
            return next.newCall(
                    method,
                    isBounded
                            ? options
                            : options.withDeadlineAfter(
                                    calls.timeout().toNanos(), TimeUnit.NANOSECONDS));
        }
    }
}
