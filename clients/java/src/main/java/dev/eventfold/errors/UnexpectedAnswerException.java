package dev.eventfold.errors;

import dev.eventfold.EventfoldException;
import java.util.Map;
import java.util.Optional;

/**
 * What answered does not speak the eventfold protocol, or speaks another version of it.
 *
 * <p>{@code code} has the gRPC status code that came: {@code UNIMPLEMENTED} from a gRPC server of
 * another kind.
 */
public final class UnexpectedAnswerException extends EventfoldException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this reason.
     *
     * @param code name of the gRPC status code that came
     * @param message prose for people
     * @param facts the facts by name
     */
    public UnexpectedAnswerException(String code, String message, Map<String, String> facts) {
        super("UNEXPECTED_ANSWER", code, message, facts);
    }

    /** Address that was called. */
    public Optional<String> target() {
        return text("target");
    }
}
