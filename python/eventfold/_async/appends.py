"""Appends on their way: each in a call of its own, or many over a few sessions."""

import threading
import time
from dataclasses import dataclass

from eventfold import _methods as methods
from eventfold._async import _platform
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._errors import EventfoldError
from eventfold._failures import is_retryable, is_unknown, may_be_done
from eventfold._methods import Safety
from eventfold._sessions import APPEND_BYTES_MAX, LIMITS, Appended, appended, appended_alone

# A further one is begun when all are full: one carries as much as several.
_SESSIONS_MAX = 4


@dataclass
class AsyncBegun:
    """An append that is under way, or waits for its turn."""

    request: bytes
    seconds: float
    deadline: float
    # None: its first attempt is made when the answer is asked for.
    sent: _platform.SentAppend | None

    @property
    def remaining(self) -> float:
        """Seconds that are left; a little, where none are."""
        return max(0.001, self.deadline - time.monotonic())


class AsyncAppends:
    """The appends of one client.

    The first is a call of its own, and all after it share sessions: a message on an open stream
    costs less than a call, and one message carries all that wait. An append whose session breaks
    is sent again with the same event ids, as if its own call had broken.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._sessions: list[_platform.Session] = []
        self._lock = threading.Lock()
        # Whoever appends only once does without a session.
        self._is_used = False
        # False: the server is older than sessions.
        self._knows_sessions = True

    async def append(self, request: bytes, timeout: float | None) -> Appended:
        """Appends, again after failures that allow it, all within one deadline.

        Raises:
            EventfoldError: the append was refused or failed.
            RuntimeError: the client is closed.
        """
        seconds = self._connection.timeout(timeout)
        is_first, self._is_used = not self._is_used, True

        async def attempt(remaining: float) -> Appended:
            sent = None if is_first else self._send(request, remaining)
            if sent is None:
                return await self._call(request, remaining)
            begun = AsyncBegun(request, seconds, time.monotonic() + remaining, sent)
            return await self._outcome(begun, sent)

        return await self._connection.repeated(attempt, Safety.APPEND, seconds)

    def begin(self, request: bytes, seconds: float) -> AsyncBegun:
        """Sends an append over a session without waiting for its answer; `finish` or `abandon` has
        to follow.

        Raises:
            RuntimeError: the client is closed.
        """
        deadline = time.monotonic() + seconds
        return AsyncBegun(request, seconds, deadline, self._send(request, seconds))

    async def finish(self, begun: AsyncBegun) -> Appended:
        """The answer to an append that was begun. It is sent again as `append` would, but at once:
        when a session breaks, all of its appends come by here one after the other.

        Raises: as `append`.
        """
        was_unsure = False
        if begun.sent is not None:
            try:
                return await self._outcome(begun, begun.sent)
            except EventfoldError as failure:
                if not is_retryable(failure, Safety.APPEND):
                    raise
                was_unsure = may_be_done(failure)

        async def attempt(remaining: float) -> Appended:
            return await self._call(begun.request, remaining)

        return await self._connection.repeated(attempt, Safety.APPEND, begun.remaining, was_unsure)

    async def abandon(self, begun: AsyncBegun) -> None:
        """Waits until an append that was begun has an outcome, and takes no interest in it."""
        if begun.sent is not None:
            try:
                await begun.sent.outcome()
            except CallError:
                return

    def _send(self, request: bytes, seconds: float) -> _platform.SentAppend | None:
        """Sends an append over a session; None: it has to be a call of its own."""
        if not self._knows_sessions or len(request) > APPEND_BYTES_MAX:
            return None
        while (sent := self._least_busy().put(request, seconds)) is None:
            pass
        return sent

    def _least_busy(self) -> _platform.Session:
        channel = self._connection.channel()
        with self._lock:
            self._sessions = [session for session in self._sessions if not session.is_over]
            session = min(self._sessions, key=len, default=None)
            is_busy = session is None or len(session) >= LIMITS["appends_max"]
            if session is None or (is_busy and len(self._sessions) < _SESSIONS_MAX):
                session = channel.append_session(methods.APPEND_SESSION.path, LIMITS)
                self._sessions.append(session)
            return session

    async def _outcome(self, begun: AsyncBegun, sent: _platform.SentAppend) -> Appended:
        try:
            outcome = await sent.outcome()
        except CallError as error:
            if not is_unknown(error):
                raise self._connection.failure(error, begun.seconds, Safety.APPEND) from error
            self._knows_sessions = False
            return await self._call(begun.request, begun.remaining)
        return appended(outcome, begun.seconds)

    async def _call(self, request: bytes, seconds: float) -> Appended:
        return appended_alone(await self._connection.call(methods.APPEND, request, seconds))
