package dev.eventfold.conformance;

/** The case itself is wrong: an unknown variable, a generator that cannot work. */
final class CaseError extends RuntimeException {
    private static final long serialVersionUID = 1;

    CaseError(String problem) {
        super(problem);
    }
}
