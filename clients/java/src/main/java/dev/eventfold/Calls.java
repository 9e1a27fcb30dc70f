package dev.eventfold;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * Calls over one connection, with the timeout of one view of the client, repeated where that is
 * safe.
 */
record Calls(Connection connection, Duration timeout) {

    Calls withTimeout(Duration timeout) {
        return new Calls(connection, Settings.checkTimeout(timeout));
    }

    String target() {
        return connection.target();
    }

    /** Makes a call, again after failures that allow it, all within one deadline. */
    <Q, A> A unary(MethodDescriptor<Q, A> method, Q request) {
        Safety safety = Safety.of(method.getBareMethodName());
        return repeated(safety, left -> attempt(method, request, left));
    }

    private <Q, A> A attempt(MethodDescriptor<Q, A> method, Q request, Duration left) {
        CallOptions options =
                CallOptions.DEFAULT.withDeadlineAfter(left.toNanos(), TimeUnit.NANOSECONDS);
        return ClientCalls.blockingUnaryCall(connection.channel(), method, options, request);
    }

    /** Makes attempts, given the time that is left, until one succeeds or is the last. */
    <T> T repeated(Safety safety, Function<Duration, T> attempt) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean wasUnsure = false;
        for (int failures = 1; ; failures++) {
            EventfoldException failure;
            try {
                long left = Math.max(1_000_000, deadline - System.nanoTime());
                return attempt.apply(Duration.ofNanos(left));
            } catch (StatusRuntimeException error) {
                failure = failure(error, safety);
            }
            Duration pause = Failures.backoff(failures);
            boolean isLate = System.nanoTime() + pause.toNanos() >= deadline;
            if (failures >= Failures.ATTEMPTS_MAX
                    || isLate
                    || !Failures.isRetryable(failure, safety)) {
                throw Failures.last(failure, safety, wasUnsure);
            }
            wasUnsure = wasUnsure || Failures.mayBeDone(failure);
            pause(pause);
        }
    }

    /** The error of a failed call. */
    EventfoldException failure(StatusRuntimeException error, Safety safety) {
        if (Thread.currentThread().isInterrupted()) {
            throw Messages.interrupted();
        }
        return Failures.ofCall(
                error.getStatus(), error.getTrailers(), target(), timeout, safety);
    }

    /** Begins one attempt of a call that streams its answer, within the timeout. */
    <Q, A> Messages<A> stream(MethodDescriptor<Q, A> method, Q request) {
        return Messages.begin(connection.channel(), method, request, timeout);
    }

    /** Begins one attempt of a call that has no deadline. */
    <Q, A> Messages<A> endless(MethodDescriptor<Q, A> method, Q request) {
        return Messages.begin(connection.channel(), method, request, null);
    }

    Channel channel() {
        return connection.channel();
    }

    /**
     * Waits before a streamed answer is asked for again, or throws what broke it.
     *
     * @param failures calls in a row in which nothing new came, this one included
     * @param deadline by {@code System.nanoTime}: there is no further call behind it; null: none
     */
    void pauseOrThrow(EventfoldException failure, int failures, Safety safety, Long deadline) {
        // The deadline of a long answer passes again and again; that is no failure as long as
        // something comes.
        boolean isLate = failure instanceof dev.eventfold.errors.DeadlineExceededException;
        if (isLate && failures == 0) {
            return;
        }
        Duration pause = Failures.backoff(Math.max(1, failures));
        if (failures >= Failures.ATTEMPTS_MAX
                || deadline != null && System.nanoTime() + pause.toNanos() >= deadline
                || !Failures.isRetryable(failure, safety)) {
            throw failure;
        }
        pause(pause);
    }

    static void pause(Duration pause) {
        try {
            TimeUnit.NANOSECONDS.sleep(pause.toNanos());
        } catch (InterruptedException error) {
            throw Messages.interrupted();
        }
    }
}
