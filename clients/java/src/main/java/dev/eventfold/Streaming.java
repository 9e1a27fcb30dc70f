package dev.eventfold;

import dev.eventfold.errors.UnexpectedAnswerException;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** Answers that come in many messages, and go on when the connection breaks. */
final class Streaming {
    private Streaming() {}

    /**
     * What has come of an answer, and what is still to be asked for.
     *
     * @param <Q> the request
     * @param <A> a message of the answer
     */
    interface Progress<Q, A> {
        /** The request for what is still to come. */
        Q request();

        /** Takes a message; says whether something in it is new. */
        boolean accept(A message);

        /** Called at the end of a call: whether nothing is still to come. */
        boolean finish();
    }

    /**
     * Reads an answer to its end, each item once, however often it breaks.
     *
     * @param resumes whether a call that broke goes on where it was, and the timeout bounds the
     *     time in which nothing new comes; else it begins anew, and the timeout is for all of it
     */
    static <Q, A> void read(
            Calls calls, MethodDescriptor<Q, A> method, Progress<Q, A> progress, boolean resumes) {
        Safety safety = Safety.of(method.getBareMethodName());
        Long deadline = resumes ? null : System.nanoTime() + calls.timeout().toNanos();
        int failures = 0;
        while (true) {
            boolean hasProgress = false;
            EventfoldException failure;
            Duration left =
                    deadline == null
                            ? calls.timeout()
                            : Duration.ofNanos(Math.max(1_000_000, deadline - System.nanoTime()));
            try (Messages<A> call =
                    Messages.begin(calls.channel(), method, progress.request(), left)) {
                for (A message = call.next(); message != null; message = call.next()) {
                    hasProgress |= progress.accept(message);
                }
                if (progress.finish()) {
                    return;
                }
                if (!(hasProgress && resumes)) {
                    throw new UnexpectedAnswerException(
                            "OK", "the answer stopped before its end", Map.of());
                }
                continue;
            } catch (StatusRuntimeException error) {
                failure = calls.failure(error, safety);
            }
            failures = hasProgress && resumes ? 0 : failures + 1;
            calls.pauseOrThrow(failure, failures, safety, deadline);
        }
    }

    /**
     * The last message of an answer whose messages tell how far a long work is.
     *
     * @param isLast whether a message is the last
     * @param told called with each message, the last included
     */
    static <Q, A> A report(
            Calls calls,
            MethodDescriptor<Q, A> method,
            Q request,
            Predicate<A> isLast,
            Consumer<A> told) {
        var progress =
                new Progress<Q, A>() {
                    private A last;

                    @Override
                    public Q request() {
                        return request;
                    }

                    @Override
                    public boolean accept(A message) {
                        last = message;
                        told.accept(message);
                        return true;
                    }

                    @Override
                    public boolean finish() {
                        return last != null && isLast.test(last);
                    }
                };
        read(calls, method, progress, false);
        return progress.last;
    }
}
