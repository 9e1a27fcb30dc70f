package dev.eventfold.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.Event;
import dev.eventfold.EventfoldClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Goal: the server does what every conformance case says, over the channel of the Java client.
 *
 * <p>Method: one test a case, at once, against the servers that pytest (test_java.py) starts and
 * hands out.
 */
class ConformanceTest {
    private static Servers servers;
    private static Runner runner;

    @BeforeAll
    static void begin() throws IOException {
        servers = Servers.ofEnvironment();
        Assumptions.assumeTrue(
                servers != null, "nobody hands out servers: run test_java.py by pytest");
        String reasons = Files.readString(folder().resolve("reasons.yaml"));
        runner = new Runner(Values.object(Case.yaml(reasons)), servers);
    }

    /** The folder `tests/conformance`. */
    static Path folder() {
        return Path.of(System.getProperty("basedir", ""), "../../tests/conformance");
    }

    @TestFactory
    Stream<DynamicTest> cases() throws IOException {
        List<Case> cases = Case.ofFolder(folder().resolve("cases"));
        assertFalse(cases.isEmpty());
        return cases.stream()
                .map(one -> DynamicTest.dynamicTest(one.id(), () -> runner.run(one)));
    }

    /** A runner that cannot fail proves nothing. */
    @TestFactory
    Stream<DynamicTest> wrongCasesFail() throws IOException {
        return Case.ofFile(folder().resolve("wrong.yaml")).stream()
                .map(one -> DynamicTest.dynamicTest(one.id(), () -> mustFail(one)));
    }

    private static void mustFail(Case one) {
        AssertionError error = assertThrows(AssertionError.class, () -> runner.run(one));
        assertTrue(
                error.getMessage().contains(one.fails()),
                () -> "should have said " + one.fails() + ", and said " + error.getMessage());
    }

    /** Cases make their calls by descriptors; programs make them by the methods of the client. */
    @Test
    void theClientCallsTheServer() throws IOException {
        try (Servers.Lease lease = servers.open("shared")) {
            EventfoldClient client = lease.client();
            String stream = "client-" + UUID.randomUUID();
            client.append(stream, List.of(Event.of("Greeted")), 0);
            assertEquals("Greeted", client.read(stream).next().type());
        }
    }
}
