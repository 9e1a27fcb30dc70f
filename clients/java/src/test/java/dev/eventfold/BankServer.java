package dev.eventfold;

import java.nio.file.Path;

/** A server for the example of the bank, which is in no package, and its fold. */
public final class BankServer implements AutoCloseable {
    private final World world = new World();
    private final String address = world.server().address();

    /** Address of the server. */
    public String address() {
        return address;
    }

    /** The fold that the example of the Python SDK has too. */
    public Path fold() {
        return ReadmeTest.folder().resolve("../../examples/bank/account.fold.yaml");
    }

    @Override
    public void close() {
        world.close();
    }
}
