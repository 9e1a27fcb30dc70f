"""Goal: the channel below the client keeps its promises where the client cannot show them.

Method: calls on `eventfold._core.Channel` itself, and on the connection above it, against servers
of gRPC and against sockets that say nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

import eventfold
from eventfold import _core
from eventfold._async.connection import AsyncConnection
from eventfold._methods import APPEND_SESSION
from eventfold._settings import Settings
from eventfold._sync.connection import Connection
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb


@contextmanager
def echoing() -> Iterator[tuple[str, list[int]]]:
    """A server that sends everything back, or endless messages; it counts what it sent."""
    sent = [0]

    def echo(requests: Any, _: Any) -> Any:
        yield from requests

    def endless(request: bytes, _: Any) -> Any:
        while True:
            sent[0] += 1
            yield request

    def service(details: grpc.HandlerCallDetails) -> Any:
        if details.method.endswith("Endless"):
            return grpc.unary_stream_rpc_method_handler(endless)
        return grpc.stream_stream_rpc_method_handler(echo)

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            return service(details)

    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", sent
    server.stop(None).wait(5)


def channel(target: str, **changes: Any) -> _core.Channel:
    settings: Any = {**Settings(target).channel(), **changes}
    return _core.Channel(settings)


def test_a_session_sends_and_receives() -> None:
    with echoing() as (target, _):
        connection = Connection(Settings(target))
        session = connection.session(APPEND_SESSION)
        for number in range(100):
            append = appends_pb.SessionAppend(number=number)
            session.send(APPEND_SESSION.encode(appends_pb.AppendSessionRequest(appends=[append])))
        session.done_sending()
        answers = []
        while (message := session.next()) is not None:
            answers.append(appends_pb.AppendSessionRequest.FromString(message).appends[0].number)
        assert answers == list(range(100))
        with pytest.raises(_core.CallError):
            session.send(b"")
        connection.close()


async def test_a_session_on_an_event_loop() -> None:
    with echoing() as (target, _):
        connection = AsyncConnection(Settings(target))
        session = connection.session(APPEND_SESSION)
        waiting = asyncio.create_task(session.next())
        await asyncio.sleep(0.05)
        await session.send(b"x" * 3_000_000)
        assert await waiting == b"x" * 3_000_000
        session.cancel()
        with pytest.raises(_core.CallError) as caught:
            await session.next()
        assert caught.value.code == "CANCELLED"
        await connection.close()


def test_whoever_does_not_read_stops_the_server() -> None:
    with echoing() as (target, sent):
        one = channel(target)
        stalled = one.stream("/test.Test/Endless", b"x" * 100_000, 30.0)
        stalled.next()
        deadline = time.monotonic() + 10
        before = -1
        while before != sent[0] and time.monotonic() < deadline:
            before = sent[0]
            time.sleep(0.3)
        # Buffers of 6 MiB here, and what gRPC keeps on the other side.
        assert sent[0] < 150
        # The others go on.
        other = one.session("/test.Test/Echo")
        other.send(b"1")
        assert other.next() == b"1"
        for _ in range(200):
            assert stalled.next() == b"x" * 100_000
        one.close()


def test_a_message_that_is_too_long() -> None:
    with echoing() as (target, _):
        call = channel(target, message_bytes_max=1_000).session("/test.Test/Echo")
        with pytest.raises(_core.CallError) as caught:
            call.send(b"x" * 1_001)
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        sender = channel(target)
        receiver = channel(target, message_bytes_max=1_000)
        stream = receiver.stream("/test.Test/Endless", b"x" * 1_000, 10.0)
        assert stream.next() == b"x" * 1_000
        sender.close()


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = channel(f"127.0.0.1:{listener.getsockname()[1]}", keepalive_s=(0.2, 0.2))
        begin = time.monotonic()
        with pytest.raises(_core.CallError, match="no sign of life") as caught:
            silent.unary("/test.Test/Never", b"", 30.0)
        assert caught.value.code == "UNAVAILABLE"
        assert 0.3 < time.monotonic() - begin < 25


def test_a_signal_ends_a_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = channel(f"127.0.0.1:{listener.getsockname()[1]}")
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            silent.unary("/test.Test/Never", b"", 30.0)
        assert time.monotonic() - begin < 25
        timer.join()


FORK = """
import os, sys
import eventfold
target = sys.argv[1]
before = eventfold.Client(target)
assert before.get_stream("a-1").version == 3
if (child := os.fork()) == 0:
    try:
        before.get_stream("a-1")
    except RuntimeError as error:
        assert "another process" in str(error)
    else:
        os._exit(1)
    with eventfold.Client(target) as mine:
        version = mine.get_stream("a-1").version
    del before
    os._exit(0 if version == 3 else 2)
assert os.waitpid(child, 0)[1] == 0
assert before.get_stream("a-1").version == 3
"""


def test_a_child_makes_a_client_of_its_own(server: Any) -> None:
    server.script("GetStream", pb.GetStreamResponse(stream=pb.Stream(name="a-1", version=3)))
    command = [sys.executable, "-c", FORK, server.target]
    subprocess.run(command, check=True, timeout=60)


def test_many_threads_share_a_connection(server: Any) -> None:
    server.script("GetStream", pb.GetStreamResponse(stream=pb.Stream(name="a-1", version=3)))
    with eventfold.Client(server.target) as client, futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: client.get_stream("a-1").version, range(300)))
    assert found == [3] * 300


async def test_a_call_that_is_cancelled_ends_on_the_server(server: Any, script: Any) -> None:
    ended = threading.Event()

    def hang(_: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(ended.set)
        ended.wait(30)
        context.abort(grpc.StatusCode.CANCELLED, "gone")

    server.script("GetStream", hang)
    async with eventfold.AsyncClient(server.target) as client:
        task = asyncio.create_task(client.get_stream("a-1"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended.wait, 10)


def test_what_is_no_target_is_refused_where_the_client_is_made() -> None:
    for target in ("", "a:b", "http://a:1"):
        with pytest.raises(ValueError, match="no address"):
            eventfold.Client(target)
    with pytest.raises(ValueError, match="token"):
        eventfold.Client("127.0.0.1:1", token="a\nb")
    with pytest.raises(ValueError, match="authorit"):
        eventfold.Client("127.0.0.1:1", tls=b"no certificate")
