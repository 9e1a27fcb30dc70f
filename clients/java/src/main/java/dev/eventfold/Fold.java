package dev.eventfold;

import dev.eventfold.v1.FoldRef;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;

/** Which fold to use: one that is registered, or a document that comes with the call. */
public final class Fold {
    private final FoldRef wire;

    private Fold(FoldRef wire) {
        this.wire = wire;
    }

    /** The newest revision of the fold that is registered under a name. */
    public static Fold named(String name) {
        return new Fold(FoldRef.newBuilder().setName(name).build());
    }

    /** A fold document, YAML 1.2 or JSON; at most 64 KiB. */
    public static Fold source(String document) {
        return new Fold(FoldRef.newBuilder().setSource(document).build());
    }

    /**
     * The document of a file.
     *
     * @throws IOException it cannot be read
     */
    public static Fold file(Path path) throws IOException {
        return source(Files.readString(path));
    }

    /** The document; empty: the fold is named. */
    public Optional<String> document() {
        return wire.hasSource() ? Optional.of(wire.getSource()) : Optional.empty();
    }

    FoldRef toWire() {
        return wire;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Fold fold && wire.equals(fold.wire);
    }

    @Override
    public int hashCode() {
        return Objects.hashCode(wire);
    }

    @Override
    public String toString() {
        return wire.hasName() ? "Fold[" + wire.getName() + "]" : "Fold[document]";
    }
}
