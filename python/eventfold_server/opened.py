"""What of a call's answer was opened: noted while it is made, and held to before it leaves.

A value may be opened under the lease of this process, which may run out, or its keys be taken out,
before the answer is on its way. Whoever erases counts on that nothing leaves then.
"""

from contextvars import ContextVar


class Opened:
    """The personal values that a call has opened and not sent yet."""

    def __init__(self) -> None:
        self.epoch: int | None = None

    def note(self, epoch: int) -> None:
        """Values were opened in an epoch of the keyring."""
        self.epoch = epoch if self.epoch is None else min(self.epoch, epoch)


_OF_CALL: ContextVar[Opened | None] = ContextVar("opened", default=None)


def begin() -> Opened:
    """Begins to note for the call that this task answers; what it had noted is forgotten."""
    opened = Opened()
    _OF_CALL.set(opened)
    return opened


def note(epoch: int | None) -> None:
    """Notes the lowest epoch of what was opened; None: nothing was, or nobody is answered."""
    opened = _OF_CALL.get()
    if opened is not None and epoch is not None:
        opened.note(epoch)


def sent() -> None:
    """All that was opened is on its way, and nothing of it is kept for the rest of the call."""
    opened = _OF_CALL.get()
    if opened is not None:
        opened.epoch = None
