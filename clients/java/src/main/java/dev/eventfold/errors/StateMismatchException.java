package dev.eventfold.errors;

import dev.eventfold.EventfoldException;
import java.util.Map;
import java.util.Optional;

/**
 * JSON does not fit the class that was named: a state, columns of a row, or data of an event.
 *
 * <p>A field is missing or has another type, or there is no state, because the fold deleted the
 * aggregate: look at {@code exists} first. The message names types, never values.
 */
public final class StateMismatchException extends EventfoldException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this reason.
     *
     * @param message prose for people
     * @param facts the facts by name
     */
    public StateMismatchException(String message, Map<String, String> facts) {
        super("STATE_MISMATCH", "FAILED_PRECONDITION", message, facts);
    }

    /** Name of the class. */
    public Optional<String> model() {
        return text("model");
    }

    /** Where in the JSON the fault is, such as {@code items[2].price}; empty: the whole. */
    public Optional<String> path() {
        return text("path");
    }

    /** What is wrong there. */
    public Optional<String> problem() {
        return text("problem");
    }
}
