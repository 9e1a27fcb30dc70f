package dev.eventfold.conformance;

/** The server did not do what the case expects. */
final class CaseFailed extends RuntimeException {
    private static final long serialVersionUID = 1;

    CaseFailed(String problem) {
        super(problem);
    }
}
