package dev.eventfold.errors;

import dev.eventfold.EventfoldException;
import java.util.Map;
import java.util.Optional;

/**
 * A token would travel in plain text to another machine. Nothing was sent.
 *
 * <p>Use TLS, or say {@code insecure} if something else protects the way there.
 */
public final class InsecureConnectionException extends EventfoldException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this reason.
     *
     * @param message prose for people
     * @param facts the facts by name
     */
    public InsecureConnectionException(String message, Map<String, String> facts) {
        super("INSECURE_CONNECTION", "FAILED_PRECONDITION", message, facts);
    }

    /** Address that was to be called. */
    public Optional<String> target() {
        return text("target");
    }
}
