package dev.eventfold;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.junit.jupiter.api.Assumptions;

/** Servers that a test may do any harm; see tests/clients/servers.py. */
final class World implements AutoCloseable {
    private static final String VARIABLE = "EVENTFOLD_CLIENT_SERVERS";

    private final Socket socket;
    private final BufferedReader answers;

    /** A server. */
    record Server(String address, String number) {}

    World() {
        String desk = System.getenv(VARIABLE);
        Assumptions.assumeTrue(
                desk != null, VARIABLE + " names nobody who hands out servers");
        int colon = desk.lastIndexOf(':');
        try {
            socket =
                    new Socket(
                            desk.substring(0, colon),
                            Integer.parseInt(desk.substring(colon + 1)));
            answers =
                    new BufferedReader(
                            new InputStreamReader(
                                    socket.getInputStream(), StandardCharsets.UTF_8));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    synchronized JsonNode ask(String line) {
        try {
            socket.getOutputStream().write((line + "\n").getBytes(StandardCharsets.UTF_8));
            JsonNode answer = Json.of(answers.readLine()).node();
            if (answer.has("error")) {
                throw new IllegalStateException(answer.get("error").asText());
            }
            return answer;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    Server server() {
        JsonNode told = ask("server");
        return new Server(told.get("address").asText(), told.get("number").asText());
    }

    String address(String line) {
        return ask(line).get("address").asText();
    }

    /** A name that no other test uses. */
    static String fresh(String category) {
        return category + "-" + UUID.randomUUID();
    }

    @Override
    public void close() {
        try {
            socket.close();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
