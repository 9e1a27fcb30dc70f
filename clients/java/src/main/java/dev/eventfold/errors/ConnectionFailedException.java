package dev.eventfold.errors;

import dev.eventfold.EventfoldException;
import java.util.Map;
import java.util.Optional;

/**
 * The server cannot be reached, or the connection broke before an answer came.
 *
 * <p>Calls that are safe to repeat have been repeated. A call that changes something may have been
 * done or not; an append may be repeated with the same events, and is stored once.
 */
public final class ConnectionFailedException extends EventfoldException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this reason.
     *
     * @param message prose for people
     * @param facts the facts by name
     */
    public ConnectionFailedException(String message, Map<String, String> facts) {
        super("CONNECTION_FAILED", "UNAVAILABLE", message, facts);
    }

    /** Address that was called. */
    public Optional<String> target() {
        return text("target");
    }
}
