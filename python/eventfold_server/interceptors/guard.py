"""What happens around every call: identity, permission, deadline, and errors as statuses."""

import asyncio
import contextlib
import logging
import traceback
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from eventfold_server.domain.requests import PERSONAL, Caller
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.identity import ANONYMOUS, Identities
from eventfold_server.interceptors.permissions import PERMISSIONS, READ
from eventfold_server.limits import (
    ANSWER_TRIES_MAX,
    CALLER_CALLS_MAX,
    CONCURRENT_CALLS_MAX,
    UNARY_DEADLINE_S_DEFAULT,
    UNARY_DEADLINE_S_MAX,
)
from eventfold_server.opened import Opened
from eventfold_server.opened import begin as begin_opened
from eventfold_server.status import STATUS_TRAILER, code_of, to_status

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Decode = Callable[[bytes], Any]
Unary = Callable[[Any, Caller], Awaitable[Any]]
Streamed = Callable[[Any, Caller], AsyncIterator[Any]]
Bidirectional = Callable[[AsyncIterator[Any], Caller], AsyncIterator[Any]]

# Reasons that somebody has to look at.
_FAULTS = {"BUG", "EVENT_CORRUPT"}


class Guard:
    """Wraps the functions of services into handlers that gRPC calls."""

    def __init__(self, identities: Identities, may_leave: Callable[[int], bool]) -> None:
        """`may_leave` tells whether what was opened in an epoch of the keyring may."""
        self._identities = identities
        self._may_leave = may_leave
        # Set when the server stops: calls that come then are refused.
        self._shutting_down = False
        # Tasks that wait for the next message of a client, with what refuses those who may not go
        # on; and those of them that are being woken by a refusal.
        self._listening: dict[asyncio.Task[Any], Callable[[], Caller]] = {}
        self._woken: dict[asyncio.Task[Any], Refusal] = {}
        self._calls = 0
        # By the names of callers, of which the token file bounds the number.
        self._calls_of: Counter[str] = Counter()

    def shut_down(self) -> None:
        """Refuses new calls, and reads no more from streams of requests."""
        self._shutting_down = True
        self.admit_again()

    def admit_again(self) -> None:
        """Reads no more from streams of requests whose callers may not go on, at once. Streams of
        answers find out before their next message.
        """
        for task, admit in self._listening.items():
            try:
                admit()
            except Refusal as refusal:
                if task not in self._woken:
                    self._woken[task] = refusal
                    task.cancel()

    def admit(self, method: str, context: Context) -> Caller:
        """The caller, if the call may go on."""
        caller = self._identities.caller(context.invocation_metadata() or ())
        permission = PERMISSIONS[method]
        if permission is not None and permission not in caller.permissions:
            raise Refusal(
                "PERMISSION_DENIED",
                f"the call needs the permission {permission}",
                permission=permission,
                method=method,
            )
        if self._shutting_down:
            raise _shutting_down()
        return caller

    def _admit_again(self, method: str, context: Context, before: Caller) -> Caller:
        """The caller of a call that is under way, if it may go on as it was begun."""
        caller = self.admit(method, context)
        if before.personal and not caller.personal:
            raise Refusal(
                "PERMISSION_DENIED",
                f"the call was begun with the permission {PERSONAL}, which was withdrawn",
                permission=PERSONAL,
                method=method,
            )
        return caller

    @contextlib.contextmanager
    def _entered(self, method: str, context: Context, time_s: float | None) -> Iterator[Caller]:
        """Counts a call that may go on for as long as it lasts, which is at most so long."""
        caller = self.admit(method, context)
        if time_s is not None:
            expires = asyncio.get_running_loop().time() + time_s
            caller = Caller(caller.writer, caller.permissions, caller.trace_context, expires)
        if self._calls >= CONCURRENT_CALLS_MAX:
            raise _overloaded("calls", "concurrent_calls", CONCURRENT_CALLS_MAX)
        # Without tokens everybody is one and the same.
        named = caller.writer != ANONYMOUS
        if named and self._calls_of[caller.writer] >= CALLER_CALLS_MAX:
            raise _overloaded("calls of this caller", "caller_calls", CALLER_CALLS_MAX)
        self._calls += 1
        self._calls_of[caller.writer] += 1
        try:
            yield caller
        finally:
            self._calls -= 1
            self._calls_of[caller.writer] -= 1

    def unary(
        self, method: str, decode: Decode, function: Unary
    ) -> Callable[[bytes, Context], Awaitable[Any]]:
        """The handler of a call with one answer, under a deadline in any case."""

        async def handle(request: bytes, context: Context) -> Any:
            remaining: float | None = context.time_remaining()
            if remaining is None:
                remaining = UNARY_DEADLINE_S_DEFAULT
            deadline_s = min(remaining, UNARY_DEADLINE_S_MAX)
            try:
                with self._entered(method, context, deadline_s) as caller:
                    async with asyncio.timeout(deadline_s):
                        message = _decoded(decode, request)
                        return await self._answer(method, function, message, caller)
            except TimeoutError:
                await abort(context, too_late(deadline_s))
            except Exception as error:  # noqa: BLE001 - every fault gets its status here
                await abort(context, refusal_of_fault(method, error))

        return handle

    def streamed(
        self, method: str, decode: Decode, function: Streamed
    ) -> Callable[[bytes, Context], Any]:
        """The handler of a call with a stream of answers, under the caller's deadline if any. It
        may last for as long as it likes: when the tokens change, the caller must have one still.
        """

        async def handle(request: bytes, context: Context) -> AsyncIterator[Any]:
            try:
                edition = self._identities.edition
                with self._entered(method, context, context.time_remaining()) as caller:
                    noted = begin_opened()
                    async for message in function(_decoded(decode, request), caller):
                        self._check_opened(noted)
                        if edition != self._identities.edition:
                            edition = self._identities.edition
                            self._admit_again(method, context, caller)
                        yield message
            except Exception as error:  # noqa: BLE001 - every fault gets its status here
                await abort(context, refusal_of_fault(method, error))

        return handle

    def bidirectional(
        self, method: str, decode: Decode, function: Bidirectional
    ) -> Callable[[AsyncIterator[bytes], Context], Any]:
        """The handler of a call with a stream of requests and one of answers, under the caller's
        deadline if any. When the server stops, or the caller has no token any more that permits
        the call, reading the next request raises the refusal, so that the function can finish what
        it has before it lets that through.
        """

        async def handle(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            try:
                with self._entered(method, context, context.time_remaining()) as caller:
                    admit = partial(self._admit_again, method, context, caller)
                    decoded = self._decoded_each(decode, requests, admit)
                    noted = begin_opened()
                    async for message in function(decoded, caller):
                        self._check_opened(noted)
                        yield message
            except Exception as error:  # noqa: BLE001 - every fault gets its status here
                await abort(context, refusal_of_fault(method, error))

        return handle

    async def _answer(self, method: str, function: Unary, message: Any, caller: Caller) -> Any:
        """The answer to a call; what only reads is read anew if the answer may not leave."""
        tries_left = ANSWER_TRIES_MAX if PERMISSIONS[method] == READ else 1
        while True:
            opened = begin_opened()
            answer = await function(message, caller)
            tries_left -= 1
            try:
                self._check_opened(opened)
            except Refusal:
                if not tries_left:
                    raise
            else:
                return answer

    def _check_opened(self, opened: Opened) -> None:
        """Lets an answer leave only if the personal values in it may."""
        if opened.epoch is not None and not self._may_leave(opened.epoch):
            raise Refusal(
                "KEYS_UNAVAILABLE",
                "personal values were opened, and their keys are in force no more",
                problem="the lease has run out, or keys were taken out, since they were opened",
            )

    async def _decoded_each(
        self, decode: Decode, requests: AsyncIterator[bytes], admit: Callable[[], Caller]
    ) -> AsyncIterator[Any]:
        edition = self._identities.edition
        while True:
            # The tokens may have changed while nobody was listening here.
            if self._shutting_down or edition != self._identities.edition:
                edition = self._identities.edition
                admit()
            # Not always the same one: the first message may be read by another than the rest.
            task = asyncio.current_task()
            assert task is not None
            self._listening[task] = admit
            try:
                request = await anext(requests)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                refusal = self._woken.get(task)
                if refusal is None or task.uncancel() > 0:
                    raise
                raise refusal from None
            finally:
                del self._listening[task]
                self._woken.pop(task, None)
            yield _decoded(decode, request)


def _shutting_down() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the server is shutting down; nothing was stored")


def _decoded(decode: Decode, request: bytes) -> Any:
    """The request as a message; only callers who may call get as far as this."""
    try:
        return decode(request)
    except DecodeError:
        raise Refusal(
            "INVALID_REQUEST",
            "the request is not a message of the method, or has a text that is not UTF-8",
            field="request",
            problem="malformed",
        ) from None


def _overloaded(what: str, resource: str, limit: int) -> Refusal:
    message = f"{limit} {what} are under way; nothing was stored"
    return Refusal("OVERLOADED", message, resource=resource, limit=limit)


def too_late(deadline_s: float) -> Refusal:
    """The refusal of what waited for longer than it may."""
    return Refusal(
        "DEADLINE_EXCEEDED",
        "the deadline passed while the call waited; nothing was stored",
        deadline_ms=round(deadline_s * 1000),
    )


def refusal_of_fault(method: str, error: Exception) -> Refusal:
    """What a caller is told of an error; what somebody has to look at is logged."""
    if isinstance(error, Refusal) and error.reason not in _FAULTS:
        return error
    request_id = uuid.uuid4().hex
    log.error("fault in %s, request_id %s: %s", method, request_id, describe(error))
    if isinstance(error, Refusal) and error.reason != "BUG":
        return error
    return Refusal("BUG", "a fault of the server; its log has more", request_id=request_id)


def describe(error: BaseException) -> str:
    """What happened and where, for the log, with nothing that was stored or sent.

    What PostgreSQL and its driver say can quote rows and arguments, so only the class and the
    SQLSTATE of their errors are told.
    """
    told = []
    current: BaseException | None = error
    while current is not None:
        kind = type(current)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if state := getattr(current, "sqlstate", None):
            name += f" {state} {getattr(current, 'constraint_name', None) or ''}".rstrip()
        elif not kind.__module__.startswith("asyncpg"):
            name += f": {current}"
        frames = traceback.format_tb(current.__traceback__)
        told.append("".join([name, "\n", *frames]).rstrip())
        current = current.__cause__ or current.__context__
    return "\ncaused by ".join(told)


async def abort(context: Context, refusal: Refusal) -> None:
    """Ends the call with the status of the refusal; raises, as gRPC's own abort does."""
    status = to_status(refusal)
    await context.abort(
        code_of(refusal.reason),
        status.message,
        trailing_metadata=((STATUS_TRAILER, status.SerializeToString()),),
    )
