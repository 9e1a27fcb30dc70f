"""Calls with deadlines, repeated where that is safe."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import grpc

from eventfold._async import _platform
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
    """A gRPC channel, opened with the first call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._channel: Any = None
        self._owner: object = None
        self._calls: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._closed = False
        # Read here, so that a missing file is found where the client is made.
        settings.credentials()

    def timeout(self, seconds: float | None) -> float:
        """The timeout of a call in seconds; None is that of the client."""
        return self.settings.timeout if seconds is None else check_timeout(seconds)

    def failure(self, error: grpc.RpcError, timeout: float, safety: Safety) -> EventfoldError:
        """The error of a failed call, with the call's own as its cause."""
        failure = error_from_call(error, self.settings.target, timeout, safety)
        failure.__cause__ = error
        return failure

    def check(self) -> None:
        """Opens the channel if it is not open.

        Raises:
            RuntimeError: the client is closed, or belongs to somebody else.
        """
        with self._lock:
            self._opened()

    def _opened(self) -> Any:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._channel is None:
            self._channel = _platform.open_channel(self.settings)
            self._owner = _platform.owner()
        elif self._owner != _platform.owner():
            # gRPC would hang or fail with an error of its own.
            raise RuntimeError(
                "the client was used in another process or event loop before; make a client "
                "for each"
            )
        return self._channel

    def _callable(self, method: Method[RequestT, AnswerT]) -> Any:
        with self._lock:
            channel = self._opened()
            call = self._calls.get(method.path)
            if call is None:
                if method.is_session:
                    kind = channel.stream_stream
                else:
                    kind = channel.unary_stream if method.streams else channel.unary_unary
                call = self._calls[method.path] = kind(
                    method.path,
                    request_serializer=method.request.SerializeToString,
                    response_deserializer=method.deserializer,
                )
            return call

    def session(self, method: Method[RequestT, AnswerT]) -> Callable[..., Any]:
        """What begins a session: a call without a deadline, of many requests and answers."""
        return partial(self._callable(method), metadata=self.settings.metadata())

    def stream(
        self, method: Method[RequestT, AnswerT], request: RequestT, timeout: float | None
    ) -> Any:
        """Begins one attempt of a call that streams its answer; None: it has no deadline."""
        metadata = self.settings.metadata()
        return self._callable(method)(request, timeout=timeout, metadata=metadata)

    async def unary(
        self, method: Method[RequestT, AnswerT], request: RequestT, timeout: float | None
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
        self, method: Method[RequestT, AnswerT], request: RequestT, timeout: float
    ) -> AnswerT:
        """Makes one attempt of a call.

        Raises:
            grpc.RpcError: the call was refused or failed.
            RuntimeError: the client is closed.
        """
        metadata = self.settings.metadata()
        answer = await self._callable(method)(request, timeout=timeout, metadata=metadata)
        return cast(AnswerT, answer)

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
            except grpc.RpcError as error:
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

    async def pause_or_raise(self, failure: EventfoldError, failures: int) -> None:
        """Waits before a streamed answer is asked for again, or raises what broke it.

        `failures` counts the calls in a row in which nothing new came, this one included.
        """
        # The deadline of a long answer passes again and again; that is no failure as long as
        # something comes. So no timer is needed, and the server too sees a deadline on every call.
        if isinstance(failure, DeadlineExceeded) and failures == 0:
            return
        if failures >= ATTEMPTS_MAX or not is_retryable(failure, Safety.READ):
            raise failure
        await _platform.sleep(backoff_s(max(1, failures)))

    async def close(self) -> None:
        """Ends the connection. Calls under way fail; closing twice is allowed."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
            self._calls.clear()
        if channel is not None:
            await channel.close()
