"""Named points at which a test can have the process kill itself, or stand still.

`EVENTFOLD_FAILPOINT=NAME` in the environment arms the point NAME for the first time that it is
reached, `NAME:N` for the N-th. The process then ends by SIGKILL, as if the machine had lost power.
With `NAME:N:stop` it stops itself by SIGSTOP, and goes on from there at SIGCONT. Points of Rust are
armed by the same variable; `_core.failpoints()` names them.
"""

import os
import signal

from eventfold import _core

ENVIRONMENT = "EVENTFOLD_FAILPOINT"

# Where the server's Python may be killed.
NAMES = (
    # A new generation and its table are committed.
    "generation_made",
    # A generation has caught up with the head; nothing says so yet.
    "caught_up",
    # The next statement switches queries to another generation.
    "before_switch",
    # Queries see the other generation; the caller does not know it.
    "after_switch",
    # A generation and its table are gone; the caller does not know it.
    "dropped",
    # A change of the catalogue is written; it is not committed.
    "catalogue_written",
    # It is committed; the caller does not know it.
    "catalogue_changed",
    # The next statement cancels an event.
    "before_compensation",
    # The cancellation is committed; the caller does not know it.
    "compensated",
    # The states of a stream that is to be closed are folded; nothing is stored.
    "close_folded",
    # The stream is closed and its successor opened; the caller does not know it.
    "close_stored",
    # A transform is stored; the caller does not know it.
    "transform_started",
    # A chunk was tried; nothing says so yet.
    "transform_tried",
    # The next statement ends the trial.
    "transform_trial_over",
    # A chunk was read and transformed; it is not written.
    "transform_chunk",
    # It is written; this process does not know it.
    "transform_copied",
    # Another server has stored a chunk; nothing says so here.
    "copies_sent",
    # Copies of another server are committed; it does not know it.
    "copies_received",
    # A transform has caught up; nothing says so yet.
    "transform_caught_up",
    # A chunk was compared; nothing says so yet.
    "transform_compared",
    # All was compared; nothing says so yet.
    "transform_verified",
    # A cut-over is to begin; the caller does not know it.
    "transform_cut_over_asked",
    # Appends are held up; nothing is written.
    "transform_held",
    # Sources are closed; that is not committed.
    "transform_closing",
    # It is committed; this process does not know it.
    "transform_closed",
    # The next statement says that successors are to be named.
    "transform_all_closed",
    # Successors of some sources are named.
    "transform_succeeded",
    # The next statement ends the cut-over.
    "transform_switched",
    # A cancellation is stored; the caller does not know it.
    "transform_cancel_asked",
    # Some of a cut-over is undone.
    "transform_undone",
    # A fence stands in the ledger; the subject has its keys.
    "fence_written",
    # Its keys are gone; the log does not know it.
    "keys_destroyed",
    # Servers are told; the caller does not know it.
    "fence_in_log",
    # A re-admission stands in the ledger, and nowhere else.
    "readmission_written",
    # It stands everywhere; $audit does not say so.
    "readmission_followed",
    # Streams are deleted, and the job is stored; the caller does not know it.
    "deletion_asked",
    # It is in $audit; the job does not say so.
    "deletion_audited",
    # Some events are emptied.
    "deletion_chunk",
    # The next statement says that all are.
    "deletion_emptied",
    # Kept states are dropped; nothing says so.
    "deletion_kept",
    # Rows of a generation are dropped.
    "deletion_rows",
    # A generation is to be built anew in place of another.
    "deletion_rebuilt",
    # The next statement ends the job.
    "deletion_cleaned",
    # An erasure is stored; the caller does not know it.
    "erasure_asked",
    # The fence stands everywhere, and the keys are gone; the job does not say so.
    "erasure_fenced",
    # No server has a key any more; the job does not say so.
    "erasure_evicted",
    # Private streams are deleted; their events may hold what they held.
    "erasure_deleting",
    # Kept states are dropped; nothing says so.
    "erasure_kept",
    # All is cleaned up but the subject index.
    "erasure_cleaned",
    # That too; the job does not say so.
    "erasure_forgotten",
    # It is in $audit; the job does not say so.
    "erasure_announced",
    # The next statement ends the job with its receipt.
    "erasure_receipt",
)


class _Armed:
    """The point that is armed, and how often it will still be passed."""

    def __init__(self, setting: str) -> None:
        self.name, times, action, *_ = (*setting.split(":"), "", "")
        self.left = int(times or 1)
        self.signal = signal.SIGSTOP if action == "stop" else signal.SIGKILL
        if self.name and self.name not in (*NAMES, *_core.failpoints()):
            raise ValueError(f"{ENVIRONMENT}: there is no point {self.name}")


_armed = _Armed(os.environ.get(ENVIRONMENT, ""))


def reach(name: str) -> None:
    """Ends or stops the process here if this point is armed."""
    assert name in NAMES, name
    if _armed.name != name:
        return
    _armed.left -= 1
    if _armed.left == 0:
        os.kill(os.getpid(), _armed.signal)
