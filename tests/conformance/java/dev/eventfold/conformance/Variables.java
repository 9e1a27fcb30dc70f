package dev.eventfold.conformance;

import java.math.BigInteger;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What {@code ${...}} stands for within one run of a case. */
final class Variables {
    private static final Pattern VARIABLE =
            Pattern.compile("\\$\\{([a-z][a-z0-9_]*(?:\\.[a-z0-9_]+)?)([+-][0-9]+)?}");

    private final Map<String, String> values = new HashMap<>();

    /** Begins a run with the texts that the file declares; one may hold those before it. */
    Variables(Map<String, Object> texts) {
        values.put("run", UUID.randomUUID().toString().replace("-", "").substring(20));
        texts.forEach((name, text) -> values.put(name, fillIn((String) text)));
    }

    /** Gives the name a value; numbers and booleans are kept as their text. */
    void set(String name, Object value) {
        values.put(name, Values.text(value));
    }

    /** The text with every variable replaced, inner ones first. */
    String fillIn(String text) {
        String filled = text;
        while (filled.contains("${")) {
            Matcher found = VARIABLE.matcher(filled);
            if (!found.find()) {
                throw new CaseError("no variable can be read in " + Values.shown(filled));
            }
            filled =
                    found.replaceAll(
                            one ->
                                    Matcher.quoteReplacement(
                                            replacement(one.group(1), one.group(2))));
        }
        return filled;
    }

    private String replacement(String name, String offset) {
        String value = value(name);
        if (offset == null) {
            return value;
        }
        try {
            String digits = offset.startsWith("+") ? offset.substring(1) : offset;
            return new BigInteger(value).add(new BigInteger(digits)).toString();
        } catch (NumberFormatException error) {
            throw new CaseError(name + " is no integer to add to: " + Values.shown(value));
        }
    }

    private String value(String name) {
        if (!values.containsKey(name)) {
            int dot = name.indexOf('.');
            String kind = dot < 0 ? name : name.substring(0, dot);
            String label = dot < 0 ? "" : name.substring(dot + 1);
            if (kind.equals("uuid_upper")) {
                return value("uuid." + label).toUpperCase(Locale.ROOT);
            }
            if (!kind.equals("uuid") || label.isEmpty()) {
                throw new CaseError("nothing is known as " + name);
            }
            values.put(name, UUID.randomUUID().toString());
        }
        return values.get(name);
    }
}
