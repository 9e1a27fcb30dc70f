"""Goal: kill -9 of the server in the middle of appends loses and doubles nothing.

Method: writers append while the server is killed; the next server on the same data recovers; the
writers repeat what was left open with the same ids; then the whole history is held against the log.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import threading
import time
import uuid
from pathlib import Path

import grpc
from tests.support.history import History, check, repeat_open_appends, run_threads, write
from tests.support.servers import start_server

import eventfold
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc

ROUNDS = 3
WRITERS = 4


def free_port() -> int:
    """A port that nobody listens on now; the server comes back under the same address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_acknowledged_event_is_there_once(shared_tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    data_dir = shared_tmp_path / "data"
    history = History()
    streams = [f"account-{number}" for number in range(5)]
    for round_number in range(ROUNDS):
        with start_server(shared_tmp_path, listen=listen, data_dir=data_dir) as server:
            repeat_open_appends(listen, history)
            before = len(history.acknowledged)
            stop = threading.Event()
            threads = run_threads(
                history,
                [
                    lambda n=n, r=round_number, stop=stop: write(
                        listen, history, streams, 100_000, seed=r * WRITERS + n, stop=stop
                    )
                    for n in range(WRITERS)
                ],
            )
            time.sleep(random.Random(round_number).uniform(0.5, 1.5))
            server.kill()
            stop.set()
            for thread in threads:
                thread.join(timeout=60)
            assert len(history.acknowledged) > before + 20, "the server was hardly used"
    with start_server(shared_tmp_path, listen=listen, data_dir=data_dir):
        repeat_open_appends(listen, history)
        log = check(listen, history)
        assert len(log) == sum(len(append.ids) for append in history.acknowledged)


async def test_an_append_to_two_streams_is_in_both_or_in_none(shared_tmp_path: Path) -> None:
    """Sixteen callers at once, so that several of these share a transaction."""
    data_dir = shared_tmp_path / "data"
    numbers = itertools.count(1)
    # Ids of both events by number.
    sent: dict[int, tuple[str, str]] = {}
    answered: set[int] = set()

    async def write(stub: event_store_pb2_grpc.EventStoreStub) -> None:
        while True:
            number = next(numbers)
            sent[number] = (str(uuid.uuid4()), str(uuid.uuid4()))
            request = pb.AppendManyRequest()
            for half, event_id in zip(("public", "private"), sent[number], strict=True):
                one = request.appends.add(stream=f"{half}-{number}")
                one.expected_version.exact = 0
                one.events.add(id=event_id, type="T", data=b"{}")
            request.checks.add(stream="nothing-1").expected_version.exact = 0
            answer = await stub.AppendMany(request, timeout=20)
            assert answer.WhichOneof("outcome") == "stored"
            answered.add(number)

    for _ in range(ROUNDS):
        with start_server(shared_tmp_path, data_dir=data_dir) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                stub = event_store_pb2_grpc.EventStoreStub(channel)
                before = len(answered)
                writers = [asyncio.create_task(write(stub)) for _ in range(16)]
                while len(answered) < before + 50:
                    await asyncio.wait(writers, timeout=0.05)
                server.kill()
                ends = await asyncio.gather(*writers, return_exceptions=True)
                assert {type(end) for end in ends} == {grpc.aio.AioRpcError}
    with start_server(shared_tmp_path, data_dir=data_dir) as server:
        async with eventfold.AsyncClient(server.address) as store:
            stored = {event.id async for event in store.read_all()}
    assert len(sent) > len(answered), "every append was answered: nothing was shown"
    for number, pair in sent.items():
        found = [event_id in stored for event_id in pair]
        assert all(found) or not any(found), f"half of append {number} is stored"
        assert all(found) or number not in answered, f"append {number} is lost"
