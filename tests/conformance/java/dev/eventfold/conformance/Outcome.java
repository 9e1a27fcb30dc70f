package dev.eventfold.conformance;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import dev.eventfold.EventfoldException;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a call gave: an answer, or the reason and the facts of an error, and of a stream of messages
 * what came before it.
 *
 * @param answer the answer
 * @param reason of the error; empty: there is none
 * @param facts of the error
 * @param message of the error
 */
record Outcome(
        Map<String, Object> answer, String reason, Map<String, Object> facts, String message) {
    private static final int DETAILS_BYTES_MAX = 4096;

    static Outcome of(Map<String, Object> answer) {
        return new Outcome(answer, "", Map.of(), "");
    }

    Outcome with(Map<String, Object> sent) {
        return new Outcome(sent, reason, facts, message);
    }

    /** Whether the text stands in the message or in a fact. */
    boolean tells(String text) {
        return message.contains(text)
                || facts.values().stream().anyMatch(fact -> Values.text(fact).contains(text));
    }

    /** Reads the status of a call that failed; the client makes the same error of it. */
    static Outcome ofCall(Status status, Metadata trailers, Map<String, Object> reasons) {
        com.google.rpc.Status told = StatusProto.fromStatusAndTrailers(status, trailers);
        if (told == null || told.getDetailsCount() == 0) {
            throw new CaseFailed("an error without details: " + status);
        }
        boolean isSame =
                told.getCode() == status.getCode().value()
                        && told.getMessage().equals(status.getDescription());
        if (!isSame) {
            throw new CaseFailed("the status is not that of the call: " + status);
        }
        Outcome outcome = of(told, reasons);
        EventfoldException error = EventfoldException.of(status, trailers);
        boolean isTyped =
                error.reason().equals(outcome.reason)
                        && error.facts().equals(outcome.facts)
                        && error.message().equals(outcome.message)
                        && error.code().equals(status.getCode().name())
                        && error.getClass() != EventfoldException.class;
        if (!isTyped) {
            throw new CaseFailed("the client makes another error of " + status + ": " + error);
        }
        return outcome;
    }

    /** What a status says; checks what is true of every error, wherever it stands. */
    static Outcome of(com.google.rpc.Status status, Map<String, Object> reasons) {
        Code code = Code.forNumber(status.getCode());
        String told = code + ": " + status.getMessage();
        if (status.getSerializedSize() > DETAILS_BYTES_MAX) {
            throw new CaseFailed(
                    "a status of " + status.getSerializedSize() + " bytes: " + told);
        }
        ErrorInfo info = info(status, told);
        Map<String, Object> known = Values.object(reasons.get(info.getReason()));
        if (!info.getDomain().equals("eventfold") || known == null) {
            throw new CaseFailed(
                    "a reason outside the catalogue: " + info.getDomain() + " "
                            + info.getReason());
        }
        if (code == null || !code.name().equals(known.get("code"))) {
            throw new CaseFailed(
                    info.getReason() + " goes with " + known.get("code") + ": " + told);
        }
        List<Object> names = Values.list(known.get("facts"));
        for (String name : info.getMetadataMap().keySet()) {
            if (!names.contains(name)) {
                throw new CaseFailed(
                        "a fact of " + info.getReason() + " outside the catalogue: " + name);
            }
        }
        if (status.getMessage().isEmpty()) {
            throw new CaseFailed("the status has no message: " + told);
        }
        return new Outcome(
                Map.of(),
                info.getReason(),
                new LinkedHashMap<>(info.getMetadataMap()),
                status.getMessage());
    }

    private static ErrorInfo info(com.google.rpc.Status status, String told) {
        try {
            if (status.getDetailsCount() == 1) {
                return status.getDetails(0).unpack(ErrorInfo.class);
            }
        } catch (InvalidProtocolBufferException error) {
            // The same as too many of them.
        }
        throw new CaseFailed("details that are not one ErrorInfo: " + told);
    }

    /** The value with each {@code google.rpc.Status} in it checked, and as cases see it. */
    static Object withErrors(Object value, Map<String, Object> reasons) {
        if (value instanceof List) {
            List<Object> checked = new ArrayList<>();
            Values.list(value).forEach(item -> checked.add(withErrors(item, reasons)));
            return checked;
        }
        if (!(value instanceof Map)) {
            return value;
        }
        Map<String, Object> found = Values.object(value);
        if (isStatus(found)) {
            com.google.rpc.Status.Builder status = com.google.rpc.Status.newBuilder();
            Contract.merge(found, status, "Status");
            Outcome told = of(status.build(), reasons);
            Map<String, Object> shown = new LinkedHashMap<>();
            shown.put("reason", told.reason);
            shown.put("facts", told.facts);
            shown.put("message", told.message);
            return shown;
        }
        Map<String, Object> checked = new LinkedHashMap<>();
        found.forEach((key, item) -> checked.put(key, withErrors(item, reasons)));
        return checked;
    }

    private static boolean isStatus(Map<String, Object> value) {
        return value.get("details") instanceof List<?> details
                && details.stream()
                        .anyMatch(one -> one instanceof Map<?, ?> map && map.containsKey("@type"));
    }
}
