package dev.eventfold;

import io.grpc.ClientInterceptor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Says how a client connects. */
public final class ClientBuilder {
    private static final Duration TIMEOUT = Duration.ofSeconds(10);

    private final String target;
    private final List<ClientInterceptor> interceptors = new ArrayList<>();
    private String token;
    private boolean isTls;
    private byte[] authorities;
    private Duration timeout = TIMEOUT;
    private boolean insecure;

    ClientBuilder(String target) {
        this.target = target;
    }

    /** A token, which is sent as {@code authorization: Bearer}. Default: none. */
    public ClientBuilder token(String token) {
        this.token = token;
        return this;
    }

    /** Encrypts, and trusts the authorities of this Java. Default: plain text. */
    public ClientBuilder tls() {
        isTls = true;
        return this;
    }

    /**
     * Encrypts, and trusts these authorities.
     *
     * @param pem certificates of authorities, in PEM
     */
    public ClientBuilder tls(byte[] pem) {
        isTls = true;
        authorities = pem.clone();
        return this;
    }

    /**
     * Encrypts, and trusts the authorities of a file.
     *
     * @param pem file with certificates of authorities, in PEM
     * @throws IOException it cannot be read
     */
    public ClientBuilder tls(Path pem) throws IOException {
        return tls(Files.readAllBytes(pem));
    }

    /** How long a call may take with its repetitions. Default: 10 s. */
    public ClientBuilder timeout(Duration timeout) {
        this.timeout = timeout;
        return this;
    }

    /** Lets the token travel in plain text to another machine: something else protects the way. */
    public ClientBuilder insecure() {
        insecure = true;
        return this;
    }

    /** Sees every call, such as those of tracing do. */
    public ClientBuilder interceptor(ClientInterceptor interceptor) {
        interceptors.add(interceptor);
        return this;
    }

    /**
     * The client. It connects with its first call.
     *
     * @throws dev.eventfold.errors.InsecureConnectionException the token would travel in plain text
     *     to another machine
     * @throws dev.eventfold.errors.InvalidValueException the target is no address, the authorities
     *     are none, or the timeout is not above 0
     */
    public EventfoldClient build() {
        Settings settings =
                new Settings(
                        target,
                        token,
                        isTls,
                        authorities,
                        timeout,
                        insecure,
                        List.copyOf(interceptors));
        return new EventfoldClient(new Calls(new Connection(settings), timeout));
    }
}
