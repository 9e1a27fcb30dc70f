package dev.eventfold;

import dev.eventfold.errors.InsecureConnectionException;
import dev.eventfold.errors.InvalidValueException;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** All that a client knows about its connection. */
record Settings(
        String target,
        String token,
        boolean isTls,
        byte[] authorities,
        Duration timeout,
        boolean insecure,
        List<ClientInterceptor> interceptors) {

    static final String VERSION = "0.1.0";

    // Pages and states stay under gRPC's default of 4 MiB; one event with all its parts may come
    // close, so there is room.
    static final int MESSAGE_BYTES_MAX = 8 << 20;

    // A peer that is dead while calls are under way is found within 80 s.
    private static final long KEEPALIVE_S = 60;
    private static final long KEEPALIVE_TIMEOUT_S = 20;

    private static final Pattern LOOPBACK_V4 =
            Pattern.compile("127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}");
    private static final Pattern LOOPBACK_V6 =
            Pattern.compile("(0{0,4}:){1,7}0{0,3}1|::ffff:127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}");
    private static final Pattern TOKEN = Pattern.compile("[\\x21-\\x7e]+");

    Settings {
        checkTimeout(timeout);
        if (token != null && !TOKEN.matcher(token).matches()) {
            throw invalid("token", "a token is visible ASCII without blanks");
        }
        if (authorities != null && !areCertificates(authorities)) {
            throw invalid("authorities", "the authorities are no certificates in PEM");
        }
        if (token != null && !isTls && !insecure && !isLoopback(target)) {
            throw new InsecureConnectionException(
                    "the token would travel in plain text to "
                            + target
                            + "; use TLS, or say insecure() if something else protects the way",
                    Map.of("target", target));
        }
    }

    static InvalidValueException invalid(String path, String problem) {
        return new InvalidValueException(problem, Map.of("path", path, "problem", problem));
    }

    static Duration checkTimeout(Duration timeout) {
        if (timeout.isZero() || timeout.isNegative()) {
            throw invalid("timeout", "a timeout is above 0, not " + timeout);
        }
        return timeout;
    }

    /** Whether a target stays on this machine. */
    static boolean isLoopback(String target) {
        if (target.startsWith("unix:")) {
            return true;
        }
        String host = target.startsWith("dns:") ? target.substring(4) : target;
        host = host.substring(host.lastIndexOf('/') + 1);
        if (host.startsWith("[")) {
            int end = host.indexOf(']');
            host = end < 0 ? host : host.substring(1, end);
        } else if (host.indexOf(':') == host.lastIndexOf(':') && host.indexOf(':') >= 0) {
            host = host.substring(0, host.indexOf(':'));
        }
        return host.equals("localhost")
                || LOOPBACK_V4.matcher(host).matches()
                || LOOPBACK_V6.matcher(host).matches();
    }

    /** A channel; it connects with the first call. */
    ManagedChannel open() {
        ManagedChannelBuilder<?> builder;
        try {
            builder = Grpc.newChannelBuilder(target, credentials());
            return builder.userAgent("eventfold-java/" + VERSION)
                    .maxInboundMessageSize(MESSAGE_BYTES_MAX)
                    .keepAliveTime(KEEPALIVE_S, TimeUnit.SECONDS)
                    .keepAliveTimeout(KEEPALIVE_TIMEOUT_S, TimeUnit.SECONDS)
                    .disableServiceConfigLookUp()
                    .build();
        } catch (RuntimeException error) {
            // Of several classes, one of which cannot be named.
            throw invalid("target", target + " is no address: " + error.getMessage());
        }
    }

    private ChannelCredentials credentials() {
        if (!isTls) {
            return InsecureChannelCredentials.create();
        }
        TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
        try {
            if (authorities != null) {
                tls.trustManager(new ByteArrayInputStream(authorities));
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return tls.build();
    }

    private static boolean areCertificates(byte[] pem) {
        try {
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            return !factory.generateCertificates(new ByteArrayInputStream(pem)).isEmpty();
        } catch (CertificateException error) {
            return false;
        }
    }
}
