package dev.eventfold;

import com.google.protobuf.Empty;

/** What an append expects of its stream. The version of a stream is the number of its events. */
public sealed interface ExpectedVersion {
    /** The stream has at least one event. */
    ExpectedVersion EXISTS = Kind.EXISTS;

    /** The stream may be at any version: for facts that depend on no decision. */
    ExpectedVersion ANY = Kind.ANY;

    /**
     * The stream is at this version.
     *
     * @param version 0: it has no event yet
     */
    static ExpectedVersion exact(long version) {
        return new Exact(version);
    }

    /**
     * An exact version.
     *
     * @param version the version
     */
    record Exact(long version) implements ExpectedVersion {}

    /** Expectations that are no exact version. */
    enum Kind implements ExpectedVersion {
        /** The stream has at least one event. */
        EXISTS,
        /** The stream may be at any version. */
        ANY
    }

    /** As requests have it. */
    default dev.eventfold.v1.ExpectedVersion toWire() {
        dev.eventfold.v1.ExpectedVersion.Builder wire =
                dev.eventfold.v1.ExpectedVersion.newBuilder();
        if (this instanceof Exact exact) {
            return wire.setExact(exact.version()).build();
        }
        return this == EXISTS
                ? wire.setExists(Empty.getDefaultInstance()).build()
                : wire.setAny(Empty.getDefaultInstance()).build();
    }
}
