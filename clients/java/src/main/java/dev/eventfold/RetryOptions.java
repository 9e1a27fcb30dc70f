package dev.eventfold;

/**
 * How a decision is repeated.
 *
 * @param attempts how often to try, at least 1
 * @param followAll whether the state is that through all periods; else that of the open stream of
 *     the line of periods alone
 */
public record RetryOptions(int attempts, boolean followAll) {
    /** Five attempts, on the open stream. */
    public static final RetryOptions DEFAULT = new RetryOptions(Failures.ATTEMPTS_MAX, false);

    /** Options. */
    public RetryOptions {
        if (attempts < 1) {
            throw Settings.invalid("attempts", "attempts are at least 1, not " + attempts);
        }
    }
}
