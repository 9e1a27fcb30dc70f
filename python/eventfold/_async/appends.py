"""Appends on their way: each in a call of its own, or many over a few sessions."""

import threading
from dataclasses import dataclass

import grpc

from eventfold import _methods as methods
from eventfold._async import _session
from eventfold._async.connection import AsyncConnection
from eventfold._errors import EventfoldError
from eventfold._failures import is_retryable, is_unknown, may_be_done
from eventfold._methods import Safety
from eventfold._outbox import APPEND_BYTES_MAX, APPENDS_MAX, Sending, appended
from eventfold.v1 import event_store_pb2 as pb

# A further one is begun when all are full: one carries as much as several.
_SESSIONS_MAX = 4


@dataclass
class AsyncBegun:
    """An append that is under way, or waits for its turn."""

    sending: Sending[_session.Waiter]
    seconds: float
    # False: its first attempt is made when the answer is asked for.
    is_sent: bool


class AsyncAppends:
    """The appends of one client.

    The first is a call of its own, and all after it share sessions: a message on an open stream
    costs less than a call, and one message carries all that wait. An append whose session breaks
    is sent again with the same event ids, as if its own call had broken.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._sessions: list[_session.Session] = []
        self._lock = threading.Lock()
        # Whoever appends only once does without a session.
        self._is_used = False
        # False: the server is older than sessions.
        self._knows_sessions = True

    async def append(self, request: pb.AppendRequest, timeout: float | None) -> pb.AppendResponse:
        """Appends, again after failures that allow it, all within one deadline.

        Raises:
            EventfoldError: the append was refused or failed.
            RuntimeError: the client is closed.
        """
        seconds = self._connection.timeout(timeout)
        is_first, self._is_used = not self._is_used, True

        async def attempt(remaining: float) -> pb.AppendResponse:
            if not is_first:
                sending = Sending(request, remaining, _session.Waiter())
                if self._send(sending):
                    return await self._outcome(sending, seconds)
            return await self._connection.call(methods.APPEND, request, remaining)

        return await self._connection.repeated(attempt, Safety.APPEND, seconds)

    def begin(self, request: pb.AppendRequest, seconds: float) -> AsyncBegun:
        """Sends an append over a session without waiting for its answer; `finish` or `abandon` has
        to follow.

        Raises:
            RuntimeError: the client is closed.
        """
        sending = Sending(request, seconds, _session.Waiter())
        return AsyncBegun(sending, seconds, self._send(sending))

    async def finish(self, begun: AsyncBegun) -> pb.AppendResponse:
        """The answer to an append that was begun. It is sent again as `append` would, but at once:
        when a session breaks, all of its appends come by here one after the other.

        Raises: as `append`.
        """
        sending, seconds = begun.sending, begun.seconds
        was_unsure = False
        if begun.is_sent:
            try:
                return await self._outcome(sending, seconds)
            except EventfoldError as failure:
                if not is_retryable(failure, Safety.APPEND):
                    raise
                was_unsure = may_be_done(failure)

        async def attempt(remaining: float) -> pb.AppendResponse:
            return await self._connection.call(methods.APPEND, sending.request, remaining)

        return await self._connection.repeated(
            attempt, Safety.APPEND, sending.remaining, was_unsure
        )

    async def abandon(self, begun: AsyncBegun) -> None:
        """Waits until an append that was begun has an outcome, and takes no interest in it."""
        if begun.is_sent:
            await begun.sending.waiter.wait(begun.sending.remaining)

    def _send(self, sending: Sending[_session.Waiter]) -> bool:
        """Sends an append over a session; False: it has to be a call of its own."""
        if not self._knows_sessions or sending.size > APPEND_BYTES_MAX:
            return False
        while not self._least_busy().put(sending):
            pass
        return True

    def _least_busy(self) -> _session.Session:
        self._connection.check()
        with self._lock:
            self._sessions = [session for session in self._sessions if not session.is_over]
            session = min(self._sessions, key=len, default=None)
            is_busy = session is None or len(session) >= APPENDS_MAX
            if session is None or (is_busy and len(self._sessions) < _SESSIONS_MAX):
                begin = self._connection.session(methods.APPEND_SESSION)
                session = _session.Session(begin, self._connection.settings.target)
                self._sessions.append(session)
            return session

    async def _outcome(
        self, sending: Sending[_session.Waiter], seconds: float
    ) -> pb.AppendResponse:
        outcome = await sending.waiter.wait(sending.remaining)
        if not isinstance(outcome, grpc.RpcError):
            return appended(outcome, sending, seconds)
        if not is_unknown(outcome):
            raise self._connection.failure(outcome, seconds, Safety.APPEND)
        self._knows_sessions = False
        return await self._connection.call(methods.APPEND, sending.request, sending.remaining)
