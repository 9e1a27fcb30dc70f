"""Where a transform can be, numbered as in the proto."""

TRYING, TRIED, COPYING, VERIFYING, VERIFIED, CUTTING_OVER = 1, 2, 3, 4, 5, 6
SWITCHING, DONE, UNDOING, CANCELLED, FAILED = 7, 8, 9, 10, 11

# What the facts of a refusal call them.
NAMES = {
    TRYING: "trying",
    TRIED: "tried",
    COPYING: "copying",
    VERIFYING: "verifying",
    VERIFIED: "verified",
    CUTTING_OVER: "cutting_over",
    SWITCHING: "switching",
    DONE: "done",
    UNDOING: "undoing",
    CANCELLED: "cancelled",
    FAILED: "failed",
}
