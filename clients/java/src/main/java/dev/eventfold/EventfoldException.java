package dev.eventfold;

import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * A call was refused, or failed.
 *
 * <p>Each reason of the catalogue has a class of its own in {@link dev.eventfold.errors}, named
 * after it: {@code VERSION_CONFLICT} is {@code VersionConflictException}. A reason that this
 * version of the client does not know (the server is newer) arrives as this class itself. Branch on
 * the class or on {@link #reason()}; never on the message.
 */
public class EventfoldException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String reason;
    private final String code;
    private final String text;
    private final TreeMap<String, String> facts;

    /**
     * An error.
     *
     * @param reason name of the reason
     * @param code name of the gRPC status code that goes with it
     * @param message prose for people
     * @param facts the facts of the reason by name
     */
    public EventfoldException(
            String reason, String code, String message, Map<String, String> facts) {
        super(reason + ": " + message);
        this.reason = reason;
        this.code = code;
        this.text = message;
        this.facts = new TreeMap<>(facts);
    }

    /**
     * The error that a failed call of a generated stub stands for. Calls of {@link RawCalls} throw
     * it themselves.
     *
     * @param error what the stub has thrown
     */
    public static EventfoldException of(StatusRuntimeException error) {
        return of(error.getStatus(), error.getTrailers());
    }

    /** The error that a failed call of a generated stub stands for. */
    public static EventfoldException of(StatusException error) {
        return of(error.getStatus(), error.getTrailers());
    }

    /**
     * The error that a failed call stands for.
     *
     * @param status how the call ended
     * @param trailers what came with it; null: nothing
     */
    public static EventfoldException of(Status status, Metadata trailers) {
        return Failures.ofCall(status, trailers, "the server", null, Safety.READ);
    }

    /** Name of the reason, such as {@code VERSION_CONFLICT}. */
    public String reason() {
        return reason;
    }

    /** Name of the gRPC status code, such as {@code ABORTED}. */
    public String code() {
        return code;
    }

    /** Prose for people, without the reason. */
    public String message() {
        return text;
    }

    /** The facts of the reason by name. The classes of the reasons have methods for them. */
    public Map<String, String> facts() {
        return Map.copyOf(facts);
    }

    /** A fact; empty: it does not apply. */
    protected final Optional<String> text(String fact) {
        return Optional.ofNullable(facts.get(fact));
    }

    /** A fact that is a whole number; empty: it does not apply. */
    protected final OptionalLong number(String fact) {
        try {
            String found = facts.get(fact);
            return found == null ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(found));
        } catch (NumberFormatException error) {
            return OptionalLong.empty();
        }
    }
}
