package dev.eventfold;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import dev.eventfold.errors.Catalogue;
import dev.eventfold.errors.ConnectionFailedException;
import dev.eventfold.errors.DeadlineExceededException;
import dev.eventfold.errors.OutcomeUnknownException;
import dev.eventfold.errors.PermissionDeniedException;
import dev.eventfold.errors.ShuttingDownException;
import dev.eventfold.errors.StorageUnavailableException;
import dev.eventfold.errors.UnauthenticatedException;
import dev.eventfold.errors.UnexpectedAnswerException;
import io.grpc.Metadata;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/** From a failed call to an error of the client, and whether to try again. */
final class Failures {
    static final int ATTEMPTS_MAX = 5;

    private static final double BACKOFF_FIRST_S = 0.05;
    private static final double BACKOFF_MAX_S = 2.0;
    private static final double CONFLICT_FIRST_S = 0.005;
    private static final double CONFLICT_MAX_S = 0.25;
    private static final String DOMAIN = "eventfold";

    // Codes that say nothing sure about an append when an earlier attempt may have been stored.
    private static final Set<String> UNSURE =
            Set.of(
                    "UNAVAILABLE",
                    "DEADLINE_EXCEEDED",
                    "RESOURCE_EXHAUSTED",
                    "CANCELLED",
                    "INTERNAL",
                    "UNKNOWN");

    private Failures() {}

    private static Optional<ErrorInfo> infoOf(Status status) {
        for (Any detail : status.getDetailsList()) {
            try {
                if (detail.is(ErrorInfo.class)) {
                    ErrorInfo info = detail.unpack(ErrorInfo.class);
                    if (info.getDomain().equals(DOMAIN)) {
                        return Optional.of(info);
                    }
                }
            } catch (InvalidProtocolBufferException error) {
                return Optional.empty();
            }
        }
        return Optional.empty();
    }

    private static EventfoldException ofCatalogue(ErrorInfo info, String message, String code) {
        Map<String, String> facts = info.getMetadataMap();
        return Catalogue.make(info.getReason(), message, facts)
                .orElseGet(() -> new EventfoldException(info.getReason(), code, message, facts));
    }

    /** The error of a part of an answer. */
    static EventfoldException ofStatus(Status status) {
        Code known = Code.forNumber(status.getCode());
        String code = known == null ? "UNKNOWN" : known.name();
        return infoOf(status)
                .map(info -> ofCatalogue(info, status.getMessage(), code))
                .orElseGet(
                        () ->
                                new EventfoldException(
                                        "UNKNOWN", code, status.getMessage(), Map.of()));
    }

    /**
     * The error of a failed call: that of the catalogue, or one of the connection.
     *
     * @param timeout what the call had; null: it is not known
     */
    static EventfoldException ofCall(
            io.grpc.Status status,
            Metadata trailers,
            String target,
            Duration timeout,
            Safety safety) {
        EventfoldException found = found(status, trailers, target, timeout, safety);
        if (status.getCause() != null) {
            found.initCause(status.getCause());
        }
        return found;
    }

    private static EventfoldException found(
            io.grpc.Status status,
            Metadata trailers,
            String target,
            Duration timeout,
            Safety safety) {
        String code = status.getCode().name();
        String text = text(status);
        Status details = details(status, trailers);
        Optional<ErrorInfo> info = details == null ? Optional.empty() : infoOf(details);
        if (info.isPresent()) {
            String said = details.getMessage().isEmpty() ? text : details.getMessage();
            return ofCatalogue(info.get(), said, code);
        }
        if (code.equals("DEADLINE_EXCEEDED")) {
            return noAnswer(timeout, safety);
        }
        Map<String, String> facts = Map.of("target", target);
        if (isForeign(status)) {
            return new UnexpectedAnswerException(
                    code, target + " does not speak the protocol of eventfold: " + text, facts);
        }
        if (isBroken(status)) {
            return new ConnectionFailedException(target + ": " + text, facts);
        }
        return switch (code) {
            case "UNAVAILABLE", "CANCELLED" ->
                    new ConnectionFailedException(target + ": " + text, facts);
            case "UNAUTHENTICATED" -> new UnauthenticatedException(text, Map.of());
            case "PERMISSION_DENIED" -> new PermissionDeniedException(text, Map.of());
            default ->
                    new UnexpectedAnswerException(
                            code,
                            target + " answered " + code + " without a reason: " + text,
                            facts);
        };
    }

    private static Status details(io.grpc.Status status, Metadata trailers) {
        try {
            return StatusProto.fromStatusAndTrailers(status, trailers);
        } catch (RuntimeException error) {
            // Bytes of an unknown server; any fault means that they are not ours.
            return null;
        }
    }

    private static String text(io.grpc.Status status) {
        StringBuilder text = new StringBuilder();
        text.append(
                status.getDescription() == null
                        ? status.getCode().name()
                        : status.getDescription());
        for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
            if (cause.getMessage() != null && text.indexOf(cause.getMessage()) < 0) {
                text.append(": ").append(cause.getMessage());
            }
        }
        return text.toString();
    }

    /** Whether something answered, and what it said is neither gRPC nor a message of ours. */
    private static boolean isForeign(io.grpc.Status status) {
        for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
            if (cause instanceof InvalidProtocolBufferException) {
                return true;
            }
        }
        String text = text(status);
        return text.contains("First received frame was not SETTINGS")
                || text.contains("HTTP/1.");
    }

    /** Whether the connection broke, which gRPC does not always call UNAVAILABLE. */
    private static boolean isBroken(io.grpc.Status status) {
        for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
            if (cause instanceof IOException) {
                return true;
            }
        }
        return false;
    }

    private static EventfoldException noAnswer(Duration timeout, Safety safety) {
        String text = timeout == null ? "no answer in time" : "no answer within " + shown(timeout);
        if (safety != Safety.READ) {
            // DEADLINE_EXCEEDED of the server means "surely not stored", which is not known here.
            return new OutcomeUnknownException(
                    text + "; it may be stored or not, and may be repeated", Map.of());
        }
        return new DeadlineExceededException(
                text,
                timeout == null
                        ? Map.of()
                        : Map.of("deadline_ms", Long.toString(timeout.toMillis())));
    }

    static String shown(Duration timeout) {
        return timeout.toMillis() / 1000.0 + " s";
    }

    /** Whether the same request may be sent again, and has a chance to succeed. */
    static boolean isRetryable(EventfoldException error, Safety safety) {
        if (safety == Safety.WRITE) {
            return error instanceof StorageUnavailableException
                    || error instanceof ShuttingDownException;
        }
        return error.code().equals("UNAVAILABLE") && !(error instanceof UnexpectedAnswerException);
    }

    /** Whether the failed attempt may have changed something. */
    static boolean mayBeDone(EventfoldException error) {
        return error instanceof OutcomeUnknownException
                || error instanceof ConnectionFailedException;
    }

    /**
     * The error to throw after the last attempt. "Nothing was stored" of the last attempt says
     * nothing about the attempts before it.
     */
    static EventfoldException last(EventfoldException error, Safety safety, boolean wasUnsure) {
        boolean unsure = UNSURE.contains(error.code()) && !mayBeDone(error);
        if (safety == Safety.READ || !wasUnsure || !unsure) {
            return error;
        }
        EventfoldException found =
                new OutcomeUnknownException(
                        "an attempt broke, and its repetition failed with "
                                + error.getMessage()
                                + "; the same events may be appended again",
                        error.facts());
        found.initCause(error);
        return found;
    }

    /**
     * How long to wait after so many failures in a row: between half and all of a doubling pause,
     * so that clients that failed together do not come back together.
     */
    static Duration backoff(int failures) {
        double pause = Math.min(BACKOFF_MAX_S, BACKOFF_FIRST_S * Math.pow(2, failures - 1));
        return seconds(pause * ThreadLocalRandom.current().nextDouble(0.5, 1.0));
    }

    /** How long to wait before deciding again: any part of a doubling pause. */
    static Duration conflictPause(int conflicts) {
        double pause = Math.min(CONFLICT_MAX_S, CONFLICT_FIRST_S * Math.pow(2, conflicts));
        return seconds(ThreadLocalRandom.current().nextDouble() * pause);
    }

    private static Duration seconds(double seconds) {
        return Duration.ofNanos((long) (seconds * 1e9));
    }
}
