package dev.eventfold.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * Goal: the runner expands and compares as docs/conformance.md says, whatever the server does.
 *
 * <p>Method: the examples of tests/conformance/examples.yaml, which every runner reads.
 */
class ExamplesTest {
    private static List<Object> examples(String list) throws IOException {
        String text = Files.readString(ConformanceTest.folder().resolve("examples.yaml"));
        List<Object> found = Values.list(Values.object(Case.yaml(text)).get(list));
        assertFalse(found.isEmpty());
        return found;
    }

    private static Variables variables() {
        Map<String, Object> texts = new LinkedHashMap<>();
        texts.put("x", "X");
        texts.put("y", "${x}!");
        Variables variables = new Variables(texts);
        variables.set("n", 4);
        return variables;
    }

    @Test
    void comparing() throws IOException {
        for (Object item : examples("comparing")) {
            Map<String, Object> one = Values.object(item);
            List<String> problems =
                    Compare.differences(one.get("expected"), one.get("actual"), "");
            assertEquals(
                    one.get("differs"), !problems.isEmpty(), () -> one + ": " + problems);
        }
    }

    @Test
    void expanding() throws IOException {
        for (Object item : examples("expanding")) {
            Map<String, Object> one = Values.object(item);
            assertEquals(
                    one.get("becomes"), new Expand(variables()).value(one.get("value")));
        }
    }

    @Test
    void aWrongCaseIsToldFromAWrongServer() throws IOException {
        for (Object value : examples("refused")) {
            assertThrows(
                    CaseError.class, () -> new Expand(variables()).value(value), value::toString);
        }
    }

    @Test
    void freshIdsKeepTheirNames() {
        String[] ids =
                variables()
                        .fillIn("${uuid.a} ${uuid.a} ${uuid_upper.a} ${uuid.b}")
                        .split(" ");
        assertEquals(ids[0], ids[1]);
        assertEquals(ids[0].toUpperCase(Locale.ROOT), ids[2]);
        assertNotEquals(ids[0], ids[3]);
        assertEquals(List.of(), Compare.differences("$uuid", ids[0], ""));
    }

    @Test
    void numbersKeepTheirDigits() {
        Case one =
                Case.parse(
                                "subject: numbers\n"
                                        + "cases:\n"
                                        + "  - name: one\n"
                                        + "    steps: [{call: A.B, request: {plain:"
                                        + " 123456789012345678901234567890, quoted: \"1\","
                                        + " off: no}}]\n")
                        .get(0);
        assertEquals(
                "{\"plain\":123456789012345678901234567890,\"quoted\":\"1\",\"off\":\"no\"}",
                Values.json(one.steps().get(0).get("request")));
    }
}
