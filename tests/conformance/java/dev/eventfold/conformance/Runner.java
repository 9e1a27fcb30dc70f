package dev.eventfold.conformance;

import com.google.protobuf.Descriptors;
import io.grpc.Channel;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Runs cases against servers that are running already. */
final class Runner {
    private static final int PROBLEMS_SHOWN_MAX = 10;
    private static final long PAUSE_MS = 50;

    private final Map<String, Object> reasons;
    private final Servers servers;

    Runner(Map<String, Object> reasons, Servers servers) {
        this.reasons = reasons;
        this.servers = servers;
    }

    /** Runs all steps; the exception is that of the first that goes wrong. */
    void run(Case one) throws Exception {
        Map<String, Servers.Lease> leases = new HashMap<>();
        try {
            for (String target : one.targets()) {
                leases.put(target, servers.open(target));
            }
            Variables variables = new Variables(one.texts());
            for (int i = 0; i < one.steps().size(); i++) {
                Map<String, Object> step = one.steps().get(i);
                Channel channel = leases.get(one.target(step)).channel();
                int repetitions = Values.integer(step.getOrDefault("repeat", 1));
                for (int n = 0; n < repetitions; n++) {
                    variables.set("n", n);
                    String where =
                            one.id() + ", step " + (i + 1) + " (" + step.get("call") + "): ";
                    try {
                        inTime(step, channel, variables);
                    } catch (CaseFailed | CaseError error) {
                        throw new AssertionError(where + error.getMessage(), error);
                    }
                }
            }
        } finally {
            for (Servers.Lease lease : leases.values()) {
                lease.close();
            }
        }
    }

    /** Runs a step, again and again if it says that it need not go well at once. */
    private void inTime(Map<String, Object> step, Channel channel, Variables variables)
            throws InterruptedException {
        long seconds = Values.integer(step.getOrDefault("eventually", 0));
        long ends = System.nanoTime() + seconds * 1_000_000_000L;
        while (true) {
            try {
                step(step, channel, variables);
                return;
            } catch (CaseFailed error) {
                if (System.nanoTime() >= ends) {
                    throw error;
                }
            }
            Thread.sleep(PAUSE_MS);
        }
    }

    private void step(Map<String, Object> step, Channel channel, Variables variables) {
        Expand expand = new Expand(variables);
        Outcome outcome = calling(step, channel, variables, expand);
        // What a step demands may name what its own conversation saved.
        if (step.containsKey("error")) {
            checkError(Values.object(expand.value(step.get("error"))), outcome);
            return;
        }
        if (!outcome.reason().isEmpty()) {
            throw new CaseFailed(
                    "refused: " + outcome.reason() + " " + outcome.facts() + " "
                            + outcome.message());
        }
        if (step.containsKey("expect")) {
            List<String> problems =
                    Compare.differences(expand.value(step.get("expect")), outcome.answer(), "");
            if (!problems.isEmpty()) {
                int shown = Math.min(PROBLEMS_SHOWN_MAX, problems.size());
                throw differing("the answer differs", problems.subList(0, shown));
            }
        }
        save(step, outcome.answer(), variables);
    }

    private Outcome calling(
            Map<String, Object> step, Channel channel, Variables variables, Expand expand) {
        Descriptors.MethodDescriptor method = Contract.method((String) step.get("call"));
        Map<String, Object> headers =
                Values.object(expand.value(step.getOrDefault("metadata", Map.of())));
        Object stopAt = expand.value(step.get("stop_at"));
        boolean converses = step.containsKey("conversation");
        List<byte[]> requests = converses ? List.of() : requests(step, method, expand);
        if (!converses && requests.size() != 1 && !method.isClientStreaming()) {
            throw new CaseError(step.get("call") + " takes one request");
        }
        try (Call call = new Call(channel, method, headers, reasons)) {
            if (converses) {
                converse(call, method, step, variables, expand);
            } else {
                requests.forEach(call::send);
                call.sendNoMore();
                call.readOn(stopAt);
            }
            return call.outcome();
        }
    }

    /** Sends requests that depend on what came; after the last turn it reads to the end. */
    private static void converse(
            Call call,
            Descriptors.MethodDescriptor method,
            Map<String, Object> step,
            Variables variables,
            Expand expand) {
        for (Object item : Values.list(step.get("conversation"))) {
            Map<String, Object> turn = Values.object(item);
            if (turn.containsKey("send")) {
                call.send(Contract.encoded(method, expand.value(turn.get("send"))));
            }
            Object wanted = turn.getOrDefault("receive", Map.of());
            if (!call.receiveLists(Values.object(wanted))) {
                return;
            }
            save(turn, call.soFar(), variables);
        }
        call.sendNoMore();
        call.readOn(null);
    }

    private static List<byte[]> requests(
            Map<String, Object> step, Descriptors.MethodDescriptor method, Expand expand) {
        if (step.containsKey("request_hex")) {
            return List.of(HexFormat.of().parseHex((String) step.get("request_hex")));
        }
        List<Object> written =
                step.containsKey("requests")
                        ? Values.list(step.get("requests"))
                        : List.of(step.getOrDefault("request", Map.of()));
        List<byte[]> requests = new ArrayList<>();
        written.forEach(one -> requests.add(Contract.encoded(method, expand.value(one))));
        return requests;
    }

    private static void checkError(Map<String, Object> expected, Outcome outcome) {
        if (outcome.reason().isEmpty()) {
            throw new CaseFailed(
                    "expected " + expected.get("reason") + ", got an answer: "
                            + Values.shown(outcome.answer()));
        }
        List<String> problems =
                new ArrayList<>(
                        Compare.differences(
                                expected.get("reason"), outcome.reason(), "reason"));
        problems.addAll(
                Compare.differences(
                        expected.getOrDefault("facts", Map.of()), outcome.facts(), "facts"));
        for (Object text : Values.list(expected.get("hidden"))) {
            if (outcome.tells(Values.text(text))) {
                problems.add("'" + text + "' must not stand in the error");
            }
        }
        problems.addAll(
                Compare.differences(
                        expected.getOrDefault("sent", Map.of()), outcome.answer(), "sent"));
        if (!problems.isEmpty()) {
            problems.add(
                    "it was " + outcome.reason() + " " + outcome.facts() + ": "
                            + outcome.message());
            throw differing("the error differs", problems);
        }
    }

    private static CaseFailed differing(String what, List<String> problems) {
        return new CaseFailed(what + "\n  " + String.join("\n  ", problems));
    }

    private static void save(Map<String, Object> step, Object answer, Variables variables) {
        Map<String, Object> names = Values.object(step.getOrDefault("save", Map.of()));
        names.forEach((name, path) -> variables.set(name, at(answer, (String) path)));
    }

    /** A value of the answer, by names of fields and indexes of lists. */
    private static Object at(Object answer, String path) {
        Object found = answer;
        for (String part : path.split("\\.")) {
            CaseFailed missing = new CaseFailed("the answer has no " + path + " to save");
            if (found instanceof Map && Values.object(found).containsKey(part)) {
                found = Values.object(found).get(part);
            } else if (found instanceof List && part.matches("[0-9]+")) {
                int index = Integer.parseInt(part);
                if (index >= Values.list(found).size()) {
                    throw missing;
                }
                found = Values.list(found).get(index);
            } else {
                throw missing;
            }
        }
        return found;
    }
}
