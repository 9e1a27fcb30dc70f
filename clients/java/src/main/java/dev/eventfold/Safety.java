package dev.eventfold;

import java.util.Set;
import java.util.regex.Pattern;

/** What may be repeated after a failure. */
enum Safety {
    /** Changes nothing: repeat whenever the server or the connection was unavailable. */
    READ,
    /** Idempotent by its event ids: the same, also when the outcome is unknown. */
    APPEND,
    /** Repeat only if the server said that nothing was stored. */
    WRITE;

    private static final Set<String> APPENDS =
            Set.of(
                    "Append",
                    "AppendMany",
                    "AppendSession",
                    "Compensate",
                    "CloseStream",
                    "AppendCopies");

    // What a call does stands first in its name; a call that is not known changes something.
    private static final Pattern READS =
            Pattern.compile(
                    "(Get|List|Check|Read|Hydrate|Explain|Watch|Query|Count|Try|Verify|Plan|Find"
                            + "|Export|Digest|Subscribe|Consume)([A-Z].*)?");

    // What was wrapped anew is not wrapped again.
    private static final String ROTATION = "RotateMasterKey";

    /** What may be repeated of a call, by its name in its service. */
    static Safety of(String call) {
        if (APPENDS.contains(call)) {
            return APPEND;
        }
        return call.equals(ROTATION) || READS.matcher(call).matches() ? READ : WRITE;
    }
}
