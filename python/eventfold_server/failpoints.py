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
