package dev.eventfold.conformance;

import dev.eventfold.EventfoldClient;
import io.grpc.Channel;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Semaphore;

/** Who hands out the servers that cases run on; tests/conformance/servers.py. */
final class Servers {
    private static final String VARIABLE = "EVENTFOLD_CONFORMANCE_SERVERS";

    private final String host;
    private final int port;
    // A fresh store is a server of its own: not more start at once than there are processors.
    private final Semaphore fresh = new Semaphore(Runtime.getRuntime().availableProcessors());

    private Servers(String address) {
        int colon = address.lastIndexOf(':');
        host = address.substring(0, colon);
        port = Integer.parseInt(address.substring(colon + 1));
    }

    /** Those that the environment names; null: it names none. */
    static Servers ofEnvironment() {
        String address = System.getenv(VARIABLE);
        return address == null ? null : new Servers(address);
    }

    /** A server, and a client of it. */
    final class Lease implements AutoCloseable {
        private final boolean isFresh;
        private final Socket socket;
        private final EventfoldClient client;

        private Lease(String target) throws IOException {
            isFresh = target.equals("fresh");
            if (isFresh) {
                fresh.acquireUninterruptibly();
            }
            socket = new Socket(host, port);
            byte[] line = (target + "\n").getBytes(StandardCharsets.UTF_8);
            socket.getOutputStream().write(line);
            String address =
                    new BufferedReader(
                                    new InputStreamReader(
                                            socket.getInputStream(), StandardCharsets.UTF_8))
                            .readLine();
            if (address == null) {
                throw new IOException("no server is handed out for " + target);
            }
            client = EventfoldClient.connect(address);
        }

        EventfoldClient client() {
            return client;
        }

        Channel channel() {
            return client.raw().channel();
        }

        @Override
        public void close() throws IOException {
            client.close();
            socket.close();
            if (isFresh) {
                fresh.release();
            }
        }
    }

    Lease open(String target) throws IOException {
        return new Lease(target);
    }
}
