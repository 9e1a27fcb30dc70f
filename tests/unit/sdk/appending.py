"""A server that stores appends in memory, on a real socket, and breaks calls when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from eventfold import _methods as methods
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import schemas_pb2


class Broken(Exception):
    """The call ends here."""


def refusal(reason: str, code: str, **facts: object) -> status_pb2.Status:
    """An error of the catalogue."""
    metadata = {name: str(value) for name, value in facts.items()}
    info = error_details_pb2.ErrorInfo(reason=reason, domain="eventfold", metadata=metadata)
    detail = any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(code=code_pb2.Code.Value(code), message=reason, details=[detail])


@dataclass
class AppendServer:
    """Keeps what is appended; `before` and `after` an append a test may break its call."""

    target: str = ""
    knows_sessions: bool = True
    # Called around each append; what they raise breaks its call, before or after it is stored.
    before: Callable[[pb.AppendRequest], object] = lambda _: None
    after: Callable[[pb.AppendRequest], object] = lambda _: None
    # Refuses all; in sessions these stand beside it.
    refuses: status_pb2.Status | None = None
    violations: list[schemas_pb2.SchemaViolation] = field(default_factory=list)
    streams: dict[str, list[str]] = field(default_factory=dict)
    # Appends that came alone, by message of a session, and sessions.
    alone: int = 0
    messages: list[int] = field(default_factory=list)
    sessions: int = 0
    timeouts: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, request: pb.AppendRequest) -> pb.AppendResponse | status_pb2.Status:
        """Stores an append, or finds it stored."""
        self.before(request)
        if self.refuses is not None:
            return self.refuses
        with self.lock:
            answer = self._append(request)
        self.after(request)
        return answer

    def _append(self, request: pb.AppendRequest) -> pb.AppendResponse | status_pb2.Status:
        stored = self.streams.setdefault(request.stream, [])
        ids = [event.id for event in request.events]
        if set(ids) <= set(stored):
            first = stored.index(ids[0]) + 1
            return pb.AppendResponse(
                first_version=first, last_version=first + len(ids) - 1, duplicate=True
            )
        expected = request.expected_version
        if expected.HasField("exact") and expected.exact != len(stored):
            return refusal("VERSION_CONFLICT", "ABORTED", stream=request.stream, actual=len(stored))
        stored.extend(ids)
        first = len(stored) - len(ids) + 1
        return pb.AppendResponse(first_version=first, last_version=len(stored))

    def unary(self, request: pb.AppendRequest, context: grpc.ServicerContext) -> Any:
        """`Append`."""
        self.alone += 1
        try:
            answer = self.append(request)
        except Broken:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        if isinstance(answer, status_pb2.Status):
            context.abort_with_status(rpc_status.to_status(answer))
        return answer

    def session(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """`AppendSession`."""
        self.sessions += 1
        for message in requests:
            self.messages.append(len(message.appends))
            response = pb.AppendSessionResponse()
            for append in message.appends:
                self.timeouts.append(append.timeout.ToMicroseconds() / 1e6)
                try:
                    answer = self.append(append.append)
                except Broken:
                    if response.answers:
                        yield response
                    context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
                if isinstance(answer, status_pb2.Status):
                    response.answers.add(
                        number=append.number, refused=answer, violations=self.violations
                    )
                else:
                    response.answers.add(number=append.number, appended=answer)
            yield response


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server: AppendServer) -> None:
        self._server = server

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == methods.APPEND.path:
            return grpc.unary_unary_rpc_method_handler(
                self._server.unary,
                request_deserializer=pb.AppendRequest.FromString,
                response_serializer=pb.AppendResponse.SerializeToString,
            )
        if details.method == methods.APPEND_SESSION.path and self._server.knows_sessions:
            return grpc.stream_stream_rpc_method_handler(
                self._server.session,
                request_deserializer=pb.AppendSessionRequest.FromString,
                response_serializer=pb.AppendSessionResponse.SerializeToString,
            )
        return None


@contextmanager
def serving(target: str = "127.0.0.1:0") -> Iterator[AppendServer]:
    """A server in memory."""
    server = AppendServer()
    grpc_server = grpc.server(
        futures.ThreadPoolExecutor(64),
        handlers=[_Handler(server)],
        options=[("grpc.so_reuseport", 0)],
    )
    port = grpc_server.add_insecure_port(target)
    server.target = f"127.0.0.1:{port}"
    grpc_server.start()
    yield server
    grpc_server.stop(None).wait(5)
