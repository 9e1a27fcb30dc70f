package dev.eventfold.conformance;

import com.google.protobuf.Descriptors;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.DynamicMessage;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A call that is under way, and what came so far. */
final class Call implements AutoCloseable {
    private static final long DEADLINE_S = 30;

    private final Descriptors.MethodDescriptor method;
    private final Map<String, Object> reasons;
    private final ClientCall<byte[], DynamicMessage> call;
    private final BlockingQueue<Object> incoming = new LinkedBlockingQueue<>();
    private final List<Map<String, Object>> parts = new ArrayList<>();
    private Ended ended;

    private record Ended(Status status, Metadata trailers) {}

    Call(
            Channel channel,
            Descriptors.MethodDescriptor method,
            Map<String, Object> headers,
            Map<String, Object> reasons) {
        this.method = method;
        this.reasons = reasons;
        CallOptions options =
                CallOptions.DEFAULT.withDeadlineAfter(DEADLINE_S, TimeUnit.SECONDS);
        call = channel.newCall(Contract.call(method), options);
        Metadata metadata = new Metadata();
        headers.forEach(
                (name, value) ->
                        metadata.put(
                                Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER),
                                Values.text(value)));
        call.start(
                new ClientCall.Listener<>() {
                    @Override
                    public void onMessage(DynamicMessage message) {
                        incoming.add(message);
                    }

                    @Override
                    public void onClose(Status status, Metadata trailers) {
                        incoming.add(new Ended(status, trailers));
                    }
                },
                metadata);
        // gRPC looks for a second answer of a call that has one.
        call.request(2);
    }

    void send(byte[] request) {
        if (ended == null) {
            call.sendMessage(request);
        }
    }

    void sendNoMore() {
        if (ended == null) {
            call.halfClose();
        }
    }

    /** Reads one more message; false: the call has ended. */
    boolean receive() {
        if (ended != null) {
            return false;
        }
        try {
            Object found = incoming.take();
            if (found instanceof Ended end) {
                ended = end;
                return false;
            }
            call.request(1);
            parts.add(
                    Values.object(
                            Outcome.withErrors(
                                    Contract.json((DynamicMessage) found), reasons)));
            return true;
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new CaseFailed("interrupted");
        }
    }

    /** Reads to the end, or to the first message that is as {@code stopAt} says. */
    void readOn(Object stopAt) {
        while (receive()) {
            Map<String, Object> last = parts.get(parts.size() - 1);
            if (stopAt != null && Compare.differences(stopAt, last, "").isEmpty()) {
                ended = new Ended(Status.OK, new Metadata());
                return;
            }
        }
        if (stopAt != null && ended.status().isOk()) {
            throw new CaseFailed("the call ended before " + Values.shown(stopAt) + " had come");
        }
    }

    /** Reads until lists of the answer are as long as is wanted; false: the call failed. */
    boolean receiveLists(Map<String, Object> wanted) {
        for (Map.Entry<String, Object> one : wanted.entrySet()) {
            FieldDescriptor field = method.getOutputType().findFieldByName(one.getKey());
            if (field == null || !field.isRepeated()) {
                throw new CaseError("the answer has no list " + one.getKey() + " to receive");
            }
            int count = Values.integer(one.getValue());
            while (Values.list(merged(false).get(one.getKey())).size() < count) {
                if (!receive()) {
                    if (ended.status().isOk()) {
                        throw new CaseFailed(
                                "the call ended before " + Values.shown(wanted) + " had come");
                    }
                    return false;
                }
            }
        }
        return true;
    }

    /** All that came, as one answer. */
    Map<String, Object> soFar() {
        return merged(false);
    }

    /** What the call gave; it has ended. */
    Outcome outcome() {
        boolean isOk = ended.status().isOk();
        if (isOk && !method.isServerStreaming()) {
            return Outcome.of(parts.get(0));
        }
        Map<String, Object> merged = merged(isOk);
        return isOk
                ? Outcome.of(merged)
                : Outcome.ofCall(ended.status(), ended.trailers(), reasons).with(merged);
    }

    /**
     * All messages as one: lists joined, else what the last one says, and how many they were. A
     * stream that broke off is not whole: it has no last message.
     */
    private Map<String, Object> merged(boolean whole) {
        Map<String, Object> merged = new LinkedHashMap<>();
        merged.put("messages", parts.size());
        for (FieldDescriptor field : method.getOutputType().getFields()) {
            String name = field.getName();
            if ((name.equals("end") || name.equals("done")) && !marksTheLast(name, whole)) {
                throw new CaseFailed(
                        "`" + name + "` must stand in the last message, and only there");
            }
            if (field.isRepeated()) {
                List<Object> items = new ArrayList<>();
                parts.forEach(part -> items.addAll(Values.list(part.get(name))));
                merged.put(name, sorted(items));
            } else if (!parts.isEmpty() && parts.get(parts.size() - 1).containsKey(name)) {
                merged.put(name, parts.get(parts.size() - 1).get(name));
            }
        }
        return merged;
    }

    private boolean marksTheLast(String mark, boolean whole) {
        for (int i = 0; i < parts.size(); i++) {
            boolean isLast = whole && i == parts.size() - 1;
            if (parts.get(i).containsKey(mark) != isLast) {
                return false;
            }
        }
        return !whole || !parts.isEmpty();
    }

    /** Answers of these calls come in no order that a case could name. */
    private List<Object> sorted(List<Object> items) {
        if (method.getName().equals("HydrateMany")) {
            items.sort(
                    (a, b) ->
                            Arrays.compareUnsigned(
                                    bytes(Values.object(a).get("stream")),
                                    bytes(Values.object(b).get("stream"))));
        } else if (method.getName().equals("AppendSession")) {
            items.sort(
                    (a, b) ->
                            number(Values.object(a).get("number"))
                                    .compareTo(number(Values.object(b).get("number"))));
        }
        return items;
    }

    private static byte[] bytes(Object text) {
        return Values.text(text).getBytes(StandardCharsets.UTF_8);
    }

    private static BigInteger number(Object value) {
        return value == null ? BigInteger.ZERO : new BigInteger(Values.text(value));
    }

    @Override
    public void close() {
        call.cancel("the case is over", null);
    }
}
