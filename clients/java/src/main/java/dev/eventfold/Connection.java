package dev.eventfold;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A channel to the server, with what every call carries. */
final class Connection implements AutoCloseable {
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final long RECONNECT_MS_MAX = 200;
    private static final long CLOSE_S_MAX = 5;

    private final Settings settings;
    private final ManagedChannel managed;
    private final Channel channel;
    private volatile boolean closed;

    Connection(Settings settings) {
        this.settings = settings;
        managed = settings.open();
        List<ClientInterceptor> interceptors = new ArrayList<>(settings.interceptors());
        if (settings.token() != null) {
            interceptors.add(new Bearer("Bearer " + settings.token()));
        }
        channel = ClientInterceptors.intercept(managed, interceptors);
    }

    Settings settings() {
        return settings;
    }

    String target() {
        return settings.target();
    }

    /**
     * The channel for the next attempt of a call. One that could not connect before tries again
     * now, and gets a moment for it: gRPC itself would wait for up to two minutes, and refuse all
     * calls until then.
     */
    Channel channel() {
        if (closed) {
            throw new IllegalStateException("the client is closed");
        }
        if (managed.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
            managed.resetConnectBackoff();
            awaitChange();
        }
        return channel;
    }

    private void awaitChange() {
        CountDownLatch changed = new CountDownLatch(1);
        managed.notifyWhenStateChanged(ConnectivityState.TRANSIENT_FAILURE, changed::countDown);
        try {
            changed.await(RECONNECT_MS_MAX, TimeUnit.MILLISECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    /** The channel for generated stubs. */
    Channel raw() {
        return channel;
    }

    @Override
    public void close() {
        closed = true;
        managed.shutdownNow();
        try {
            managed.awaitTermination(CLOSE_S_MAX, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    /** Puts the token on every call. */
    private record Bearer(String value) implements ClientInterceptor {
        @Override
        public <Q, A> ClientCall<Q, A> interceptCall(
                MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
                @Override
                public void start(Listener<A> listener, Metadata headers) {
                    headers.put(AUTHORIZATION, value);
                    super.start(listener, headers);
                }
            };
        }
    }
}
