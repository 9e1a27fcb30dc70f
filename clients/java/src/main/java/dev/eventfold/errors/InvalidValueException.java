package dev.eventfold.errors;

import dev.eventfold.EventfoldException;
import java.util.Map;
import java.util.Optional;

/**
 * A value that was handed to the client cannot be sent. Found before anything is sent: NaN in event
 * data, a timeout of nothing, a target that is no address.
 */
public final class InvalidValueException extends EventfoldException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this reason.
     *
     * @param message prose for people
     * @param facts the facts by name
     */
    public InvalidValueException(String message, Map<String, String> facts) {
        super("INVALID_VALUE", "INVALID_ARGUMENT", message, facts);
    }

    /** Where in the value the fault is, or the name of the parameter. */
    public Optional<String> path() {
        return text("path");
    }

    /** What is wrong with it. */
    public Optional<String> problem() {
        return text("problem");
    }
}
