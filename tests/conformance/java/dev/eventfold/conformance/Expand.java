package dev.eventfold.conformance;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Requests and expectations as cases write them become plain JSON; see docs/conformance.md. */
final class Expand {
    private final Variables variables;

    Expand(Variables variables) {
        this.variables = variables;
    }

    /** The value with variables filled in, generators run, and fields of bytes in base64. */
    Object value(Object value) {
        if (value instanceof String text) {
            return variables.fillIn(text);
        }
        if (value instanceof List) {
            return items(Values.list(value));
        }
        if (!(value instanceof Map)) {
            return value;
        }
        Map<String, Object> written = Values.object(value);
        if (written.containsKey("$fill")) {
            return fill(written);
        }
        if (written.containsKey("$times")) {
            String text = Values.text(value(written.get("text")));
            return text.repeat(Values.integer(written.get("$times")));
        }
        if (written.containsKey("$concat")) {
            return joined(items(Values.list(written.get("$concat"))), "");
        }
        if (written.containsKey("$each")) {
            return each(written);
        }
        Map<String, Object> expanded = new LinkedHashMap<>();
        written.forEach((key, item) -> put(expanded, key, value(item)));
        return expanded;
    }

    private List<Object> items(List<Object> list) {
        List<Object> expanded = new ArrayList<>();
        list.forEach(item -> expanded.add(value(item)));
        return expanded;
    }

    private static void put(Map<String, Object> expanded, String key, Object value) {
        if (key.endsWith("_text") && value instanceof String text) {
            byte[] data = text.getBytes(StandardCharsets.UTF_8);
            expanded.put(cut(key, "_text"), Base64.getEncoder().encodeToString(data));
        } else if (key.endsWith("_hex") && value instanceof String digits) {
            try {
                byte[] data = HexFormat.of().parseHex(digits);
                expanded.put(cut(key, "_hex"), Base64.getEncoder().encodeToString(data));
            } catch (IllegalArgumentException error) {
                throw new CaseError(key + ": " + error.getMessage());
            }
        } else {
            expanded.put(key, value);
        }
    }

    private static String cut(String key, String ending) {
        return key.substring(0, key.length() - ending.length());
    }

    private static int size(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }

    private String fill(Map<String, Object> written) {
        String before = Values.text(value(written.getOrDefault("before", "")));
        String after = Values.text(value(written.getOrDefault("after", "")));
        String unit = Values.text(written.getOrDefault("with", "x"));
        int room = Values.integer(written.get("$fill")) - size(before) - size(after);
        if (unit.isEmpty() || room < 0 || room % size(unit) != 0) {
            throw new CaseError("$fill: " + room + " bytes cannot be filled with '" + unit + "'");
        }
        return before + unit.repeat(room / size(unit)) + after;
    }

    private Object each(Map<String, Object> written) {
        List<Object> items = new ArrayList<>();
        int count = Values.integer(written.get("$each"));
        for (int i = 0; i < count; i++) {
            variables.set("i", i);
            items.add(value(written.get("item")));
        }
        return written.containsKey("join")
                ? joined(items, Values.text(written.get("join")))
                : items;
    }

    private static String joined(List<Object> items, String separator) {
        List<String> texts = new ArrayList<>();
        for (Object item : items) {
            if (!(item instanceof String text)) {
                throw new CaseError(Values.shown(item) + " is no text to join");
            }
            texts.add(text);
        }
        return String.join(separator, texts);
    }
}
