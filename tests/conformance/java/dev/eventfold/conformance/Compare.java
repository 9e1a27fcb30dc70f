package dev.eventfold.conformance;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.regex.Pattern;

/** Compares answers with what a case expects; see docs/conformance.md. */
final class Compare {
    private static final Map<String, Pattern> PATTERNS =
            Map.of(
                    "$uuid", Pattern.compile("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
                    "$uuid7",
                            Pattern.compile(
                                    "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}"
                                            + "-[0-9a-f]{12}"),
                    "$time",
                            Pattern.compile(
                                    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                                            + "(\\.[0-9]+)?Z"),
                    "$digest", Pattern.compile("[0-9a-f]{64}"),
                    "$positive", Pattern.compile("[1-9][0-9]*"),
                    "$nonempty", Pattern.compile("(?s).+"));

    // JSON of protobuf may leave out fields that have their default.
    private static final Set<String> DEFAULTS = Set.of("", "0", "false");

    // Each tells what is wrong; empty: nothing is.
    private static final Map<String, BiFunction<Object, Object, String>> OPERATORS =
            new LinkedHashMap<>();

    static {
        OPERATORS.put("$count", Compare::count);
        OPERATORS.put("$at_least", (expected, actual) -> bound(expected, actual, 1));
        OPERATORS.put("$at_most", (expected, actual) -> bound(expected, actual, -1));
        OPERATORS.put("$bytes_at_most", Compare::bytesAtMost);
        OPERATORS.put("$all", Compare::all);
        OPERATORS.put("$contains", Compare::contains);
        OPERATORS.put("$not", Compare::not);
    }

    private Compare() {}

    /** What of the answer is not as expected, one sentence each; none: it is. */
    static List<String> differences(Object expected, Object actual, String path) {
        if (expected instanceof Map) {
            return ofObject(Values.object(expected), actual, path);
        }
        if (expected instanceof List) {
            return ofList(Values.list(expected), actual, path);
        }
        return isScalar(expected, actual) ? List.of() : List.of(differs(path, expected, actual));
    }

    private static boolean isScalar(Object expected, Object actual) {
        if (expected == null) {
            return actual == null;
        }
        if ("$any".equals(expected)) {
            return true;
        }
        Pattern pattern = expected instanceof String text ? PATTERNS.get(text) : null;
        if (pattern != null) {
            return actual != null && pattern.matcher(Values.text(actual)).matches();
        }
        if (actual == null) {
            return DEFAULTS.contains(Values.text(expected));
        }
        boolean isWhole = actual instanceof Map || actual instanceof List;
        return !isWhole && Values.text(expected).equals(Values.text(actual));
    }

    private static List<String> ofObject(
            Map<String, Object> expected, Object actual, String path) {
        for (Map.Entry<String, BiFunction<Object, Object, String>> one : OPERATORS.entrySet()) {
            if (expected.containsKey(one.getKey())) {
                String problem = one.getValue().apply(expected.get(one.getKey()), actual);
                return problem.isEmpty() ? List.of() : List.of(path + ": " + problem);
            }
        }
        boolean demandsNothing = expected.values().stream().allMatch(item -> item == null);
        if (!(actual instanceof Map)) {
            boolean isMissing = actual == null && demandsNothing && !expected.isEmpty();
            return isMissing ? List.of() : List.of(differs(path, expected, actual));
        }
        List<String> problems = new ArrayList<>();
        Map<String, Object> found = Values.object(actual);
        expected.forEach(
                (key, item) ->
                        problems.addAll(
                                differences(
                                        item,
                                        found.get(key),
                                        path.isEmpty() ? key : path + "." + key)));
        return problems;
    }

    private static List<String> ofList(List<Object> expected, Object actual, String path) {
        if (actual != null && !(actual instanceof List)) {
            return List.of(differs(path, expected, actual));
        }
        List<Object> found = Values.list(actual);
        if (found.size() != expected.size()) {
            return List.of(
                    path + ": expected " + expected.size() + " items, got " + found.size() + ": "
                            + Values.shown(found));
        }
        List<String> problems = new ArrayList<>();
        for (int i = 0; i < expected.size(); i++) {
            problems.addAll(differences(expected.get(i), found.get(i), path + "." + i));
        }
        return problems;
    }

    private static String count(Object expected, Object actual) {
        int found = Values.list(actual).size();
        return found == Values.integer(expected)
                ? ""
                : "expected " + Values.text(expected) + " items, got " + found;
    }

    private static String bound(Object expected, Object actual, int sign) {
        Object found = actual == null ? Integer.valueOf(0) : actual;
        String wanted = Values.text(expected);
        int compared =
                PATTERNS.get("$time").matcher(wanted).matches()
                        ? Instant.parse(Values.text(found)).compareTo(Instant.parse(wanted))
                        : new BigInteger(Values.text(found)).compareTo(new BigInteger(wanted));
        String word = sign > 0 ? "least" : "most";
        return compared * sign >= 0
                ? ""
                : "expected at " + word + " " + wanted + ", got " + Values.shown(actual);
    }

    private static String bytesAtMost(Object expected, Object actual) {
        String text = actual == null ? "" : Values.text(actual);
        int found = Base64.getDecoder().decode(text).length;
        return found <= Values.integer(expected)
                ? ""
                : "expected at most " + Values.text(expected) + " bytes, got " + found;
    }

    private static String all(Object expected, Object actual) {
        List<String> problems = new ArrayList<>();
        List<Object> items = Values.list(actual);
        for (int i = 0; i < items.size(); i++) {
            problems.addAll(differences(expected, items.get(i), Integer.toString(i)));
        }
        return String.join("; ", problems.subList(0, Math.min(3, problems.size())));
    }

    private static String contains(Object expected, Object actual) {
        Iterator<Object> rest = Values.list(actual).iterator();
        for (Object item : Values.list(expected)) {
            boolean isThere = false;
            while (!isThere && rest.hasNext()) {
                isThere = differences(item, rest.next(), "").isEmpty();
            }
            if (!isThere) {
                return "expected somewhere in order " + Values.shown(item) + ", got "
                        + Values.shown(actual);
            }
        }
        return "";
    }

    private static String not(Object expected, Object actual) {
        return differences(expected, actual, "").isEmpty()
                ? "expected anything but " + Values.shown(expected)
                : "";
    }

    private static String differs(String path, Object expected, Object actual) {
        String wanted = expected == null ? "nothing" : decoded(expected);
        String found = actual == null ? "nothing" : decoded(actual);
        return path + ": expected " + wanted + ", got " + found;
    }

    /** The value, and its text if it looks like bytes of text in base64: for people. */
    private static String decoded(Object value) {
        String shown = Values.shown(value);
        if (value instanceof String text && text.length() >= 4) {
            try {
                byte[] data = Base64.getDecoder().decode(text);
                String told =
                        StandardCharsets.UTF_8
                                .newDecoder()
                                .decode(ByteBuffer.wrap(data))
                                .toString();
                if (told.chars().noneMatch(Character::isISOControl)) {
                    return shown + " (" + Values.shown(told) + ")";
                }
            } catch (IllegalArgumentException | CharacterCodingException error) {
                return shown;
            }
        }
        return shown;
    }
}
