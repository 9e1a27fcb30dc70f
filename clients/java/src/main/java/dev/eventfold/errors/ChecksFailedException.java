package dev.eventfold.errors;

import dev.eventfold.EventfoldException;
import dev.eventfold.FailedCheck;
import java.util.List;
import java.util.Map;

/**
 * An append to several streams was refused, and nothing was stored. {@link #failed} lists every
 * demand that was not met, with the version at which its stream is.
 */
public final class ChecksFailedException extends EventfoldException {
    private static final long serialVersionUID = 1;

    private final transient List<FailedCheck> failed;

    /**
     * An error of this reason.
     *
     * @param failed the demands that were not met
     */
    public ChecksFailedException(List<FailedCheck> failed) {
        super(
                "CHECKS_FAILED",
                "ABORTED",
                told(failed),
                Map.of("failed", Integer.toString(failed.size())));
        this.failed = List.copyOf(failed);
    }

    /** Every demand that was not met: appends before checks, each in the order of the request. */
    public List<FailedCheck> failed() {
        return failed == null ? List.of() : failed;
    }

    private static String told(List<FailedCheck> failed) {
        if (failed.isEmpty()) {
            return "the server does not say why";
        }
        String first = failed.get(0).error().message();
        return failed.size() == 1 ? first : first + ", and " + (failed.size() - 1) + " more";
    }
}
