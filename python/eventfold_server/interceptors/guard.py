"""What happens around every call: identity, permission, deadline, and errors as statuses."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.identity import Identities
from eventfold_server.interceptors.permissions import PERMISSIONS
from eventfold_server.limits import UNARY_DEADLINE_S_DEFAULT, UNARY_DEADLINE_S_MAX
from eventfold_server.status import STATUS_TRAILER, code_of, to_status

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Unary = Callable[[Any, Caller], Awaitable[Any]]
Parse = Callable[[bytes], Any]
Streamed = Callable[[Any, Caller], AsyncIterator[Any]]


class Guard:
    """Wraps the functions of services into handlers that gRPC calls."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        # Set when the server stops: calls that come then are refused.
        self.shutting_down = False

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
        if self.shutting_down:
            raise Refusal("SHUTTING_DOWN", "the server is shutting down; nothing was stored")
        return caller

    def unary(
        self, method: str, parse: Parse, function: Unary
    ) -> Callable[[bytes, Context], Awaitable[Any]]:
        """The handler of a call with one answer, under a deadline in any case."""

        async def handle(request: bytes, context: Context) -> Any:
            remaining: float | None = context.time_remaining()
            if remaining is None:
                remaining = UNARY_DEADLINE_S_DEFAULT
            deadline_s = min(remaining, UNARY_DEADLINE_S_MAX)
            try:
                caller = self.admit(method, context)
                async with asyncio.timeout(deadline_s):
                    return await function(_parsed(parse, request), caller)
            except TimeoutError:
                await abort(context, _too_late(deadline_s))
            except Exception as error:  # noqa: BLE001 - every fault gets its status here
                await abort(context, _refusal(method, error))

        return handle

    def streamed(
        self, method: str, parse: Parse, function: Streamed
    ) -> Callable[[bytes, Context], Any]:
        """The handler of a call with a stream of answers, under the caller's deadline if any."""

        async def handle(request: bytes, context: Context) -> AsyncIterator[Any]:
            try:
                caller = self.admit(method, context)
                async for message in function(_parsed(parse, request), caller):
                    yield message
            except Exception as error:  # noqa: BLE001 - every fault gets its status here
                await abort(context, _refusal(method, error))

        return handle


def _too_late(deadline_s: float) -> Refusal:
    return Refusal(
        "DEADLINE_EXCEEDED",
        "the deadline passed while the call waited; nothing was stored",
        deadline_ms=round(deadline_s * 1000),
    )


def _parsed(parse: Parse, request: bytes) -> Any:
    """The request; gRPC itself would answer bytes that are none without a reason."""
    try:
        return parse(request)
    except DecodeError as error:
        raise Refusal(
            "INVALID_REQUEST",
            "the request is no message of this method, or holds a text that is not UTF-8",
            field="request",
            problem="malformed",
        ) from error


def _refusal(method: str, error: Exception) -> Refusal:
    # The core can find a fault too; its log line is written here like that of any other.
    if isinstance(error, Refusal) and error.reason != "BUG":
        return error
    request_id = uuid.uuid4().hex
    log.error("fault in %s, request_id %s", method, request_id, exc_info=error)
    return Refusal("BUG", "a fault of the server; its log has more", request_id=request_id)


async def abort(context: Context, refusal: Refusal) -> None:
    """Ends the call with the status of the refusal; raises, as gRPC's own abort does."""
    status = to_status(refusal)
    await context.abort(
        code_of(refusal.reason),
        status.message,
        trailing_metadata=((STATUS_TRAILER, status.SerializeToString()),),
    )
