"""Goal: a server that is told to stop ends soon and cleanly, and keeps what it acknowledged.

Method: real processes; signals under load, while calls are under way, and before it has started.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.integration.server.conftest import Starter
from tests.support.database import appends_held, appends_waiting
from tests.support.history import History, check, repeat_open_appends, run_threads, write
from tests.support.raw import answer_of
from tests.support.servers import start_server

import eventfold
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc
from eventfold_server.domain import kept
from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.embedded import leftovers
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.kept import KeptStorage

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("", "eventfold.v1.EventStore", "eventfold.v1.Folds")
SOON_S = 20.0
_PROGRAM = """
import logging
import sys

from eventfold_server.config import ServerConfig
from eventfold_server.serve import run

logging.basicConfig(level=logging.INFO)
run(ServerConfig(listen="127.0.0.1:0", database_url=sys.argv[1]), print)
"""


def wait_for(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_what_is_acknowledged_is_stored(shared_tmp_path: Path, workers: int) -> None:
    history = History()
    data_dir = shared_tmp_path / "data"
    for number in (signal.SIGTERM, signal.SIGINT):
        began = time.monotonic()
        with start_server(shared_tmp_path, data_dir=data_dir, workers=workers) as server:
            if number is signal.SIGINT:
                assert time.monotonic() - began < SOON_S, "a second start takes seconds"
            stop = threading.Event()
            writers = run_threads(
                history,
                [
                    lambda n=n, at=server.address, stop=stop: write(
                        at, history, ["a-1", "a-2", "a-3"], 100_000, seed=n, stop=stop
                    )
                    for n in range(6)
                ],
            )
            before = len(history.acknowledged)
            wait_for(lambda n=before: len(history.acknowledged) > n + 100, "load")
            began = time.monotonic()
            server.process.send_signal(number)
            assert server.process.wait(timeout=40) == 0
            took = time.monotonic() - began
            stop.set()
            for thread in writers:
                thread.join(timeout=30)
            assert took < SOON_S
            assert "Traceback" not in server.log_tail()
        cluster = data_dir / "cluster"
        assert not leftovers.find(cluster, cluster.stat().st_uid), "PostgreSQL stays behind"
        # Each writer meets the end once, in a call that leaves its append open.
        assert history.errors
        assert all(isinstance(e, eventfold.EventfoldError) for e in history.errors)
    with start_server(shared_tmp_path, data_dir=data_dir) as server:
        repeat_open_appends(server.address, history)
        log = check(server.address, history)
        assert len(log) == sum(len(append.ids) for append in history.acknowledged)


def test_health_says_when_it_serves_and_when_it_stops(start: Starter) -> None:
    server = start()
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in SERVICES:
            request = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(request, timeout=5).status == SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=5)
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        watches = [
            health.Watch(health_pb2.HealthCheckRequest(service=service)) for service in SERVICES
        ]
        assert [next(watch).status for watch in watches] == [SERVING] * len(SERVICES)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * len(SERVICES)
        # Watchers stay for as long as there is a server; they do not hold up its end.
        assert server.process.wait(timeout=40) == 0
        assert time.monotonic() - began < SOON_S


def append_in_a_thread(address: str, stream: str) -> queue.Queue[object]:
    """Appends from a thread; the queue gets the answer or the error."""
    result: queue.Queue[object] = queue.Queue()

    def run() -> None:
        with eventfold.Client(address, timeout=20) as store:
            try:
                result.put(store.append(stream, [eventfold.Event("T", {})], expected_version=0))
            except eventfold.EventfoldError as error:
                result.put(error)

    threading.Thread(target=run, daemon=True).start()
    return result


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_under_way_get_to_their_end(start: Starter, database_url: str, workers: int) -> None:
    server = start(workers=workers)
    with grpc.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        with appends_held(database_url, server.options["schema"]):
            result = append_in_a_thread(server.address, "a-1")
            wait_for(lambda: appends_waiting(database_url) == 1, "an append waits")
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in server.log_tail(), "it stops")
            with pytest.raises(grpc.RpcError) as late:
                stub.GetStream(pb.GetStreamRequest(name="a-1"), timeout=5)
            answer = answer_of(late.value)
            assert answer.code == "UNAVAILABLE"
            assert answer.reason in {"SHUTTING_DOWN", ""}
            assert server.process.poll() is None
        answered = result.get(timeout=30)
    assert isinstance(answered, eventfold.AppendResult), answered
    assert server.process.wait(timeout=30) == 0
    with eventfold.Client(start(schema=server.options["schema"]).address) as store:
        assert store.get_stream("a-1").version == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_that_do_not_end_are_cut_off(start: Starter, database_url: str, workers: int) -> None:
    server = start(grace_s=0.3, workers=workers)
    with appends_held(database_url, server.options["schema"]):
        result = append_in_a_thread(server.address, "a-1")
        wait_for(lambda: appends_waiting(database_url) == 1, "an append waits")
        server.process.send_signal(signal.SIGTERM)
        # The grace, and what the statement gets to end before its connection is cut.
        assert server.process.wait(timeout=40) == 0
    error = result.get(timeout=30)
    assert isinstance(error, eventfold.OutcomeUnknown | eventfold.ConnectionFailed), error
    assert "Traceback" not in server.log_tail(), server.log_tail()


def test_a_kept_state_that_cannot_be_written_holds_up_nothing(
    start: Starter, database_url: str
) -> None:
    server = start()
    schema = server.options["schema"]
    fold = {"fold": "count", "initial": {"n": 0}, "handlers": {"T": {"n": "state.n + 1"}}}
    with eventfold.Client(server.address) as store:
        for _ in range(2):
            store.append(
                "a-1",
                [eventfold.Event("T", {}) for _ in range(1000)],
                expected_version=eventfold.ANY,
            )
        store.put_fold(fold)
        with psycopg.connect(database_url) as postgres:
            # Reads go on, writes wait.
            postgres.execute(f"LOCK TABLE {schema}.kept_states IN EXCLUSIVE MODE")
            assert store.hydrate("a", "1", fold="count").state == {"n": 2000}
            wait_for(lambda: appends_waiting(database_url) == 1, "a kept state is written")
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=30) == 0
            assert time.monotonic() - began < 15
    assert "Traceback" not in server.log_tail()


async def test_sweeping_ends_with_the_server(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of a sweep, whose statement is carried through."""
    monkeypatch.setattr(kept, "KEPT_SWEEP_PAUSE_S", 0.01)
    schema = f"test_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    states = kept.KeptStates(KeptStorage(database, Catalogue(database)))
    async with await psycopg.AsyncConnection.connect(database_url) as postgres:
        # What no fold asks for.
        await postgres.execute(
            f"INSERT INTO {schema}.kept_states (stream_no, fold_digest, mapping_digest, semantics,"
            " version, event_id, alive, state) VALUES (1, 'd', '', 1, 1, gen_random_uuid(), true,"
            " '{}')"
        )
        await postgres.commit()
        await postgres.execute(f"LOCK TABLE {schema}.kept_states IN EXCLUSIVE MODE")
        states.start(FoldRegistry(FoldStorage(database)))
        waits = partial(wait_for, lambda: appends_waiting(database_url) == 1, "a sweep waits")
        await asyncio.to_thread(waits)
        async with asyncio.timeout(1):
            await states.stop()
    await database.close()
    assert states._sweeper is not None
    assert states._sweeper.done()


def test_it_runs_without_uvloop(database_url: str, tmp_path: Path) -> None:
    program = "import sys\nsys.modules['uvloop'] = None\n" + _PROGRAM
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program, database_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        with eventfold.Client(process.stdout.readline().strip()) as store:
            store.append("uvloop-1", [eventfold.Event("T", {})], expected_version=eventfold.ANY)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A server that waits for its database, which never comes."""
    url = f"postgresql://nobody@127.0.0.1:1/none?host={tmp_path}"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _PROGRAM,
            url,
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_start_that_waits(
    starting: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert starting.stderr is not None
    assert "not there yet" in starting.stderr.readline()
    # No reason to end: there is nothing to read again yet.
    starting.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert starting.poll() is None
    starting.send_signal(number)
    output, errors = starting.communicate(timeout=30)
    assert starting.returncode == 0, errors
    assert output == "", "it never served"
