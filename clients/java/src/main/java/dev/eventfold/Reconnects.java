package dev.eventfold;

import dev.eventfold.errors.ConnectionFailedException;
import dev.eventfold.errors.DeadlineExceededException;
import dev.eventfold.errors.OverloadedException;
import dev.eventfold.errors.UnexpectedAnswerException;
import java.time.Duration;
import java.util.Map;
import java.util.function.Consumer;

/** Counts the failures in a row of a call without an end, and says when to call again. */
final class Reconnects {
    static final System.Logger LOGGER = System.getLogger("eventfold");

    /** The server sends something every 10 s at least: whoever hears nothing is cut off. */
    static final Duration SILENCE = Duration.ofSeconds(30);

    // A call that held for so long was no failure, whether or not something came.
    private static final Duration HELD = Duration.ofSeconds(10);

    private final String what;
    private final Duration timeout;
    private final Duration giveUpAfter;
    private final Consumer<Reconnect> told;
    private boolean wasHeard;
    private boolean isDown;
    private long began;
    private long failingSince;
    private int failures;

    /**
     * Of one call.
     *
     * @param what what it is about, for the log
     * @param timeout how long it is tried until the first answer came
     * @param giveUpAfter the same for every later break; null: without limit
     * @param told who is told of each break, beside the log
     */
    Reconnects(
            String what, Duration timeout, Duration giveUpAfter, Consumer<Reconnect> told) {
        this.what = what;
        this.timeout = timeout;
        this.giveUpAfter = giveUpAfter;
        this.told = told;
    }

    void begin() {
        began = System.nanoTime();
    }

    /** Called when something came; {@code isNew}: something that the call is there for. */
    void heard(boolean isNew) {
        wasHeard = true;
        if (isDown) {
            isDown = false;
            LOGGER.log(System.Logger.Level.INFO, () -> what + ": connected again");
        }
        if (isNew || System.nanoTime() - began >= HELD.toNanos()) {
            // A call that breaks before it brings anything new is not tried faster and faster.
            failures = 0;
        }
    }

    /**
     * How long to wait until the next attempt.
     *
     * @throws EventfoldException the error itself, if no further attempt can mend it, or it took
     *     too long
     */
    Duration pause(EventfoldException error, long position) {
        if (!isMendable(error)) {
            throw error;
        }
        long now = System.nanoTime();
        if (failures == 0) {
            failingSince = now;
        }
        failures++;
        Duration pause = Failures.backoff(failures);
        Duration limit = wasHeard ? giveUpAfter : timeout;
        if (limit != null && now + pause.toNanos() - failingSince > limit.toNanos()) {
            throw error;
        }
        isDown = true;
        Reconnect news = new Reconnect(what, error, failures, pause, position);
        LOGGER.log(System.Logger.Level.WARNING, news::toString);
        told.accept(news);
        return pause;
    }

    private static boolean isMendable(EventfoldException error) {
        if (error instanceof UnexpectedAnswerException) {
            // What gRPC makes of a connection that is reset in the middle of a message.
            return error.code().equals("INTERNAL") || error.code().equals("UNKNOWN");
        }
        return error.code().equals("UNAVAILABLE")
                || error instanceof OverloadedException
                || error instanceof DeadlineExceededException;
    }

    /** The error of a call that went silent. */
    static ConnectionFailedException silent(String target) {
        return new ConnectionFailedException(
                target + ": nothing came for " + Failures.shown(SILENCE),
                Map.of("target", target));
    }

    /** The error of a call that ended though it has no end. */
    static ConnectionFailedException ended(String target) {
        return new ConnectionFailedException(
                target + ": the server ended the call", Map.of("target", target));
    }
}
