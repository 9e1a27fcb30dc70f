package dev.eventfold.conformance;

import dev.eventfold.Json;
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;

/** Values of JSON, as cases and comparisons see them. */
final class Values {
    private static final int SHOWN_CHARACTERS_MAX = 300;

    private Values() {}

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) {
        return (Map<String, Object>) value;
    }

    /** A list; one that is missing has no items. */
    @SuppressWarnings("unchecked")
    static List<Object> list(Object value) {
        return value == null ? List.of() : (List<Object>) value;
    }

    /** A scalar as comparisons see it: numbers in digits, booleans in lower case. */
    static String text(Object value) {
        if (value instanceof BigDecimal number && number.stripTrailingZeros().scale() <= 0) {
            return number.toBigInteger().toString();
        }
        return value instanceof Map || value instanceof List ? json(value) : String.valueOf(value);
    }

    static int integer(Object value) {
        try {
            return Integer.parseInt(text(value));
        } catch (NumberFormatException error) {
            throw new CaseError(shown(value) + " is no integer");
        }
    }

    static String json(Object value) {
        return Json.encode(value).text();
    }

    /** The value for people, not too long. */
    static String shown(Object value) {
        String text = value instanceof String told ? told : json(value);
        return text.codePointCount(0, text.length()) <= SHOWN_CHARACTERS_MAX
                ? text
                : text.substring(0, text.offsetByCodePoints(0, SHOWN_CHARACTERS_MAX)) + "...";
    }
}
