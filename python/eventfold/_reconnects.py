"""When calls without an end are begun again, and who is told. No I/O."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from eventfold._errors import ConnectionFailed, EventfoldError, UnexpectedAnswer
from eventfold._failures import backoff_s
from eventfold._generated.errors import DeadlineExceeded, Overloaded
from eventfold._settings import check_timeout

LOGGER = logging.getLogger("eventfold")

SILENCE_S = 30.0
"""A subscription that hears nothing for so long has lost its connection: the server sends a frame
every 10 s at least."""

# A call that held for so long was no failure, whether or not something came.
_HELD_S = 10.0


@dataclass(frozen=True)
class Reconnect:
    """A call broke, and is begun again.

    Attributes:
        what: what the call is about, for people.
        error: what broke it.
        failures: failures in a row without anything new, this one included.
        pause: seconds until the next attempt.
        position: position from which it goes on; 0: from its start, or not known (groups).
    """

    what: str
    error: EventfoldError
    failures: int
    pause: float
    position: int


OnReconnect: TypeAlias = Callable[[Reconnect], None]
"""Called when a call broke, before the pause."""


def _is_mendable(error: EventfoldError) -> bool:
    if isinstance(error, UnexpectedAnswer):
        # What gRPC makes of a connection that a proxy resets.
        return error.code in ("INTERNAL", "UNKNOWN")
    return error.code == "UNAVAILABLE" or isinstance(error, Overloaded | DeadlineExceeded)


class Reconnects:
    """Counts the failures in a row of a call without an end, and says when to call again.

    Args:
        what: what the call is about, for the log.
        timeout: seconds for which it is tried until the first answer came.
        give_up_after: the same for every later break; None: without limit.
        on_reconnect: who is told of each break, beside the log.
        clock: seconds that never go back.
        uniform: a random number between two.
    """

    def __init__(
        self,
        what: str,
        timeout: float,
        give_up_after: float | None = None,
        on_reconnect: OnReconnect | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if give_up_after:
            check_timeout(give_up_after)
        self._what = what
        self._timeout = timeout
        self._give_up_after = give_up_after
        self._on_reconnect = on_reconnect
        self._clock = clock
        self._uniform = uniform
        self._was_heard = False
        self._began = 0.0
        self._failures = 0
        # When the first failure in a row came.
        self._failing_since = 0.0
        self._is_down = False

    def begin(self) -> None:
        """Called when an attempt begins."""
        self._began = self._clock()

    def heard(self, is_new: bool) -> None:
        """Called when something came; `is_new`: something that the call is there for."""
        self._was_heard = True
        if self._is_down:
            self._is_down = False
            LOGGER.info("%s: connected again", self._what)
        if is_new or self._clock() - self._began >= _HELD_S:
            # A call that breaks before it brings anything new is not tried faster and faster.
            self._failures = 0

    def pause_s(self, error: EventfoldError, position: int = 0) -> float:
        """Seconds to wait until the next attempt.

        Raises:
            EventfoldError: the error itself, if no further attempt can mend it, or it took too
                long.
        """
        if not _is_mendable(error):
            raise error
        now = self._clock()
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        pause = backoff_s(self._failures, self._uniform)
        limit = self._give_up_after if self._was_heard else self._timeout
        if limit is not None and now + pause - self._failing_since > limit:
            raise error
        self._is_down = True
        text = "%s: %s; trying again in %.2f s (failure %d in a row, position %d)"
        LOGGER.warning(text, self._what, error, pause, self._failures, position)
        if self._on_reconnect is not None:
            told = Reconnect(self._what, error, self._failures, pause, position)
            self._on_reconnect(told)
        return pause


def silent(target: str) -> ConnectionFailed:
    """The error of a call that went silent."""
    return ConnectionFailed(f"{target}: nothing came for {SILENCE_S:g} s", {"target": target})


def ended(target: str) -> ConnectionFailed:
    """The error of a call that ended though it has no end."""
    return ConnectionFailed(f"{target}: the server ended the call", {"target": target})
