"""How the Python runner makes calls: over plain stubs, or over the connection of the SDK."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import grpc
from google.rpc import code_pb2, status_pb2

import eventfold
from eventfold._core import CallError
from eventfold._generated.errors import BY_REASON
from eventfold._methods import Method, Safety

ResultT = TypeVar("ResultT")

DEADLINE_SECONDS = 30.0
_BEARER = "Bearer "


def sdk_can_say(metadata: dict[str, str]) -> bool:
    """Whether the SDK sends such metadata: a token and nothing else, never another scheme."""
    authorization = metadata.get("authorization", f"{_BEARER}token")
    is_token = authorization.startswith(_BEARER) and authorization != _BEARER
    return is_token and metadata.keys() <= {"authorization"}


class TransportFault(Exception):
    """A call went wrong in a way that no server should be able to bring about."""


class Refused(Exception):
    """The call was refused, with this status."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Answers(Protocol):
    """The messages of an answer, of which the last may be followed by Refused."""

    def __iter__(self) -> Iterator[bytes]: ...

    def cancel(self) -> None:
        """Ends the call."""


class Transport(Protocol):
    """A way to a server."""

    def unary(self, path: str, request: bytes, metadata: dict[str, str]) -> bytes:
        """Makes a call of one message and one answer, or raises Refused."""

    def stream(
        self, path: str, requests: Iterable[bytes], metadata: dict[str, str], *, many: bool
    ) -> Answers:
        """Begins a call of many answers; `many` says that requests are many too."""


class Stubs:
    """Plain gRPC, without a line of eventfold's."""

    def __init__(self, channel: grpc.Channel) -> None:
        # Without a serializer, which gRPC's types do not know of, the bytes go out as they are.
        self._calls: Any = channel

    def unary(self, path: str, request: bytes, metadata: dict[str, str]) -> bytes:
        try:
            answer: bytes = self._calls.unary_unary(path)(request, **_options(metadata))
        except grpc.RpcError as error:
            raise Refused(_status_of(error)) from None
        return answer

    def stream(
        self, path: str, requests: Iterable[bytes], metadata: dict[str, str], *, many: bool
    ) -> Answers:
        if many:
            call = self._calls.stream_stream(path)(iter(requests), **_options(metadata))
        else:
            (request,) = requests
            call = self._calls.unary_stream(path)(request, **_options(metadata))
        return _StubAnswers(call)


def _options(metadata: dict[str, str]) -> dict[str, Any]:
    return {"timeout": DEADLINE_SECONDS, "metadata": tuple(metadata.items())}


class _StubAnswers:
    def __init__(self, call: Any) -> None:
        self._call = call
        self.cancel = call.cancel

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise Refused(_status_of(error)) from None


def _status_of(error: Any) -> status_pb2.Status:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    told = f"{error.code().name}: {error.details()}"
    if details is None:
        raise TransportFault(f"an error without details: {told}")
    status = status_pb2.Status.FromString(details)
    if status.code != error.code().value[0] or status.message != error.details():
        raise TransportFault(f"the status is not that of the call: {told}")
    return status


class _Sdk:
    """The connection of the SDK: its channel, its token, and its typed errors."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._clients: dict[str | None, Any] = {}
        self._lock = threading.Lock()

    def _connection(self, metadata: dict[str, str]) -> Any:
        token = metadata.get("authorization", "").removeprefix(_BEARER) or None
        with self._lock:
            if token not in self._clients:
                self._clients[token] = self._client(token)
            return self._clients[token]._connection

    def _client(self, token: str | None) -> Any:
        raise NotImplementedError

    def unary(self, path: str, request: bytes, metadata: dict[str, str]) -> bytes:
        connection = self._connection(metadata)
        try:
            answer: bytes = self._done(connection.call(_method(path), request, DEADLINE_SECONDS))
        except CallError as error:
            raise _refused(connection, error) from None
        return answer

    def stream(
        self, path: str, requests: Iterable[bytes], metadata: dict[str, str], *, many: bool
    ) -> Answers:
        connection = self._connection(metadata)
        if many:
            call = self._made(lambda: connection.session(_method(path)))
            threading.Thread(target=self._send, args=(call, requests), daemon=True).start()
        else:
            (request,) = requests
            call = self._made(lambda: connection.stream(_method(path), request, DEADLINE_SECONDS))
        return _SdkAnswers(self, connection, call)

    def _send(self, call: Any, requests: Iterable[bytes]) -> None:
        # Of a call that is over `next` says why.
        with contextlib.suppress(CallError, asyncio.CancelledError):
            for request in requests:
                self._done(call.send(request))
            call.done_sending()

    def _made(self, make: Callable[[], Any]) -> Any:
        return make()

    def _done(self, result: Any) -> Any:
        return result

    def close(self) -> None:
        """Ends all connections."""
        for client in self._clients.values():
            self._done(client.close())


class _SdkAnswers:
    def __init__(self, sdk: _Sdk, connection: Any, call: Any) -> None:
        self._sdk = sdk
        self._connection = connection
        self._call = call
        self.cancel = call.cancel

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (message := self._sdk._done(self._call.next())) is not None:
                yield message
        except CallError as error:
            raise _refused(self._connection, error) from None


def _method(path: str) -> Method[Any, bytes]:
    return Method(path, bytes, bytes)  # type: ignore[type-var]


def _refused(connection: Any, error: CallError) -> Refused:
    """The refusal, when the SDK has made the right exception of it."""
    status = status_pb2.Status.FromString(error.details)
    failure = connection.failure(error, DEADLINE_SECONDS, Safety.READ)
    if type(failure) is not BY_REASON.get(failure.reason):
        raise TransportFault(f"{error.code} arrives as {failure!r}")
    if (failure.code, failure.message) != (code_pb2.Code.Name(status.code), status.message):
        raise TransportFault(f"{status} arrives as {failure!r}")
    return Refused(status)


class SyncSdk(_Sdk):
    """The SDK as a program without an event loop uses it."""

    def _client(self, token: str | None) -> Any:
        return eventfold.Client(self._address, token=token)


class AsyncSdk(_Sdk):
    """The SDK on an event loop, which is on a thread of its own."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _client(self, token: str | None) -> Any:
        return eventfold.AsyncClient(self._address, token=token)

    def _made(self, make: Callable[[], Any]) -> Any:
        async def made() -> Any:
            return make()

        return self._done(made())

    def _done(self, result: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(result, self._loop).result()

    def close(self) -> None:
        """Ends all connections and the event loop."""
        super().close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
