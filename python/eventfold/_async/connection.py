"""Calls with deadlines, repeated where that is safe."""

import threading
import time
from typing import TypeVar

from eventfold._async import _platform
from eventfold._core import CallError
from eventfold._errors import EventfoldError
from eventfold._failures import (
    ATTEMPTS_MAX,
    backoff_s,
    error_from_call,
    final_error,
    is_retryable,
    may_be_done,
)
from eventfold._generated.errors import DeadlineExceeded
from eventfold._methods import AnswerT, Method, RequestT, Safety
from eventfold._settings import Settings, check_timeout

ResultT = TypeVar("ResultT")


class AsyncConnection:
    """A channel to the server, opened with the first call.

    Its calls are `unary`, which repeats what may be repeated, and single attempts: `call`,
    `stream`, `session`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._channel: _platform.Channel | None = None
        self._owner: object = None
        self._lock = threading.Lock()
        self._closed = False
        # So that a missing file or a mistyped target is found where the client is made.
        settings.check()

    def timeout(self, seconds: float | None) -> float:
        """The timeout of a call in seconds; None is that of the client."""
        return self.settings.timeout if seconds is None else check_timeout(seconds)

    def failure(self, error: CallError, timeout: float, safety: Safety) -> EventfoldError:
        """The error of a failed call, with the call's own as its cause."""
        failure = error_from_call(error, self.settings.target, timeout, safety)
        failure.__cause__ = error
        return failure

    def _opened(self) -> _platform.Channel:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._channel is None:
            self._channel = _platform.Channel(self.settings)
            self._owner = _platform.owner()
        elif self._owner != _platform.owner():
            # The channel's thread is in the other process, and tells the other event loop.
            raise RuntimeError(
                "the client was used in another process or event loop before; make a client "
                "for each"
            )
        return self._channel

    def channel(self) -> _platform.Channel:
        """The channel, opened if it is not yet.

        Raises:
            RuntimeError: the client is closed, or belongs to somebody else.
        """
        with self._lock:
            return self._opened()

    def session(self, method: Method[RequestT, AnswerT]) -> _platform.Call:
        """Begins a session: a call without a deadline, of many requests and answers.

        Its messages are bytes both ways: `method.encode` and `method.decode`.
        """
        return self.channel().session(method.path)

    def stream(
        self, method: Method[RequestT, AnswerT], request: RequestT, timeout: float | None
    ) -> _platform.Call:
        """Begins one attempt of a call that streams its answer, in messages of bytes; None: it has
        no deadline.
        """
        return self.channel().stream(method.path, method.encode(request), timeout)

    async def unary(
        self, method: Method[RequestT, AnswerT], request: RequestT | bytes, timeout: float | None
    ) -> AnswerT:
        """Makes a call, again after failures that allow it, all within one deadline.

        Raises:
            EventfoldError: the call was refused or failed.
            RuntimeError: the client is closed.
        """
        seconds = self.timeout(timeout)

        async def attempt(remaining: float) -> AnswerT:
            return await self.call(method, request, remaining)

        return await self.repeated(attempt, method.safety, seconds)

    async def call(
        self, method: Method[RequestT, AnswerT], request: RequestT | bytes, timeout: float
    ) -> AnswerT:
        """Makes one attempt of a call.

        Raises:
            CallError: the call was refused or failed.
            RuntimeError: the client is closed.
        """
        return method.decode(
            await self.channel().unary(method.path, method.encode(request), timeout)
        )

    async def repeated(
        self,
        attempt: _platform.Attempt[ResultT],
        safety: Safety,
        seconds: float,
        was_unsure: bool = False,
    ) -> ResultT:
        """Makes attempts, given the seconds that are left, until one succeeds or is the last.

        `was_unsure` says that an earlier attempt may have changed something.

        Raises:
            EventfoldError: the call was refused or failed.
            RuntimeError: the client is closed.
        """
        deadline = time.monotonic() + seconds
        failures = 0
        while True:
            try:
                return await attempt(max(0.001, deadline - time.monotonic()))
            except CallError as error:
                failure = self.failure(error, seconds, safety)
            except EventfoldError as error:
                failure = error
            failures += 1
            pause = backoff_s(failures)
            is_late = time.monotonic() + pause >= deadline
            if failures >= ATTEMPTS_MAX or is_late or not is_retryable(failure, safety):
                final = final_error(failure, safety, was_unsure)
                raise final from failure.__cause__ if final is failure else failure
            was_unsure = was_unsure or may_be_done(failure)
            await _platform.sleep(pause)

    async def pause_or_raise(
        self,
        failure: EventfoldError,
        failures: int,
        safety: Safety = Safety.READ,
        deadline: float | None = None,
    ) -> None:
        """Waits before a streamed answer is asked for again, or raises what broke it.

        `failures` counts the calls in a row in which nothing new came, this one included. There is
        no further call behind `deadline`, a time of the monotonic clock; None: there is no such.
        """
        # The deadline of a long answer passes again and again; that is no failure as long as
        # something comes. So no timer is needed, and the server too sees a deadline on every call.
        if isinstance(failure, DeadlineExceeded) and failures == 0:
            return
        pause = backoff_s(max(1, failures))
        is_late = deadline is not None and time.monotonic() + pause >= deadline
        if failures >= ATTEMPTS_MAX or is_late or not is_retryable(failure, safety):
            raise failure
        await _platform.sleep(pause)

    async def close(self) -> None:
        """Ends the connection. Calls under way fail; closing twice is allowed."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
