"""A gRPC server on a real socket that answers by script, and one way to drive both clients."""

from __future__ import annotations

import inspect
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

import eventfold
from eventfold import _methods as methods
from eventfold.v1 import event_store_pb2 as pb

Step = Callable[[Any, grpc.ServicerContext], Any]

METHODS = {
    method.path: method for method in vars(methods).values() if isinstance(method, methods.Method)
}


def refuse(reason: str, code: str = "UNAVAILABLE", **facts: object) -> Step:
    """A step that answers with an error of the catalogue."""

    def step(_: Any, context: grpc.ServicerContext) -> Any:
        info = error_details_pb2.ErrorInfo(
            reason=reason,
            domain="eventfold",
            metadata={name: str(value) for name, value in facts.items()},
        )
        detail = any_pb2.Any()
        detail.Pack(info)
        status = status_pb2.Status(
            code=code_pb2.Code.Value(code), message=f"refused: {reason}", details=[detail]
        )
        context.abort_with_status(rpc_status.to_status(status))

    return step


def fail(code: grpc.StatusCode, text: str = "failed") -> Step:
    """A step that fails as something else than eventfold would."""

    def step(_: Any, context: grpc.ServicerContext) -> Any:
        context.abort(code, text)

    return step


def hang(_: Any, context: grpc.ServicerContext) -> Any:
    """A step that never answers."""
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(30)
    context.abort(grpc.StatusCode.CANCELLED, "gone")


@dataclass
class Call:
    """What came in."""

    name: str
    request: Any
    metadata: dict[str, str]
    seconds: float


@dataclass
class ScriptedServer:
    """Answers each call of a method with the next step of its script; the last step stays."""

    target: str = ""
    calls: list[Call] = field(default_factory=list)
    scripts: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))

    def script(self, name: str, *steps: Any) -> None:
        """Sets the steps of a method: functions, or answers as they are."""
        self.scripts[name] = [step if callable(step) else _answer(step) for step in steps]

    def requests(self, name: str) -> list[Any]:
        """What came in for a method."""
        return [call.request for call in self.calls if call.name == name]

    def next_step(self, name: str, request: Any, context: grpc.ServicerContext) -> Step:
        """Notes the call and takes its step."""
        metadata = dict(context.invocation_metadata())
        self.calls.append(Call(name, request, metadata, context.time_remaining()))
        steps = self.scripts[name]
        if not steps:
            return fail(grpc.StatusCode.UNIMPLEMENTED, f"no script for {name}")
        return steps.pop(0) if len(steps) > 1 else steps[0]


def _answer(value: Any) -> Step:
    return lambda _, __: value


class Handler(grpc.GenericRpcHandler):
    """Routes every method of the contract to the script."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = METHODS.get(details.method)
        if method is None or method.is_session:
            return None
        name = method.path.rpartition("/")[2]

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            return self.server.next_step(name, request, context)(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            answer = self.server.next_step(name, request, context)(request, context)
            for part in answer:
                if callable(part):
                    part(request, context)
                else:
                    yield part

        kind = (
            grpc.unary_stream_rpc_method_handler
            if method.streams
            else grpc.unary_unary_rpc_method_handler
        )
        return kind(
            stream if method.streams else unary,
            request_deserializer=method.request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is not what is tested; the pauses keep their shape."""
    monkeypatch.setattr("eventfold._failures._BACKOFF_FIRST_S", 0.01)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as scripted:
        yield scripted


@contextmanager
def serving(credentials: grpc.ServerCredentials | None = None) -> Iterator[ScriptedServer]:
    """A server by script, with TLS if it has credentials."""
    scripted = ScriptedServer()
    grpc_server = grpc.server(
        futures.ThreadPoolExecutor(8),
        handlers=[Handler(scripted)],
        options=[("grpc.so_reuseport", 0)],
    )
    if credentials is None:
        port = grpc_server.add_insecure_port("127.0.0.1:0")
    else:
        port = grpc_server.add_secure_port("127.0.0.1:0", credentials)
    scripted.target = f"127.0.0.1:{port}"
    grpc_server.start()
    yield scripted
    grpc_server.stop(None).wait(5)


class Driver:
    """Drives the synchronous or the asynchronous client with the same test."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._clients: list[Any] = []

    def client(self, target: str, **options: Any) -> Any:
        cls = eventfold.Client if self.kind == "sync" else eventfold.AsyncClient
        client = cls(target, **options)
        self._clients.append(client)
        return client

    async def result(self, value: Any) -> Any:
        """What a call gives, whichever client made it."""
        return await value if inspect.isawaitable(value) else value

    async def items(self, values: Any) -> list[Any]:
        """All that an iterator gives."""
        if hasattr(values, "__aiter__"):
            return [value async for value in values]
        return list(values)

    async def close(self) -> None:
        for client in self._clients:
            await self.result(client.close())


@pytest.fixture(params=["sync", "async"])
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    made = Driver(request.param)
    yield made
    await made.close()


@pytest.fixture
def script() -> Any:
    """The steps that a script is made of."""

    class Steps:
        pass

    steps = Steps()
    vars(steps).update(
        refuse=refuse, fail=fail, hang=hang, event=recorded, end=end, serving=serving
    )
    return steps


def recorded(version: int, **fields: Any) -> Any:
    """A stored event whose position is ten times its version."""
    fields.setdefault("id", f"00000000-0000-7000-8000-{version:012d}")
    fields.setdefault("data", b'{"n":%d}' % version)
    fields.setdefault("stream", "a-1")
    fields.setdefault("type", "A")
    fields.setdefault("position", version * 10)
    return pb.RecordedEvent(version=version, **fields)


def end(version: int, *, reached: bool = True) -> Any:
    """The last message of a read."""
    return pb.ReadEnd(
        version=version, position=version * 10, resume_token=b"t%d" % version, end_reached=reached
    )
