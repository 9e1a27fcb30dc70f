"""Goal: several workers behind one address are one server: for its clients, and for its operator.

Method: real servers with two workers; connections are traced to processes in /proc; workers and
the server are killed, told to stop and kept from starting.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.integration.server.conftest import Starter
from tests.integration.server.test_identity import LIST_STREAMS, line
from tests.support.database import postmaster_pid
from tests.support.raw import bearer, call
from tests.support.servers import RunningServer, ServerDied, start_server

import eventfold
from eventfold_server.config import ServerConfig
from eventfold_server.embedded import leftovers
from eventfold_server.workers import WorkerFailed, Workers, supervisor

SERVES = re.compile(r"worker (\d) serves, pid (\d+)")
CONNECTIONS = 32
# Killed by the kernel, or by a watcher; PostgreSQL ends its processes first.
GONE_S_MAX = 7.0
# The first pause, and the start of an interpreter on a busy machine.
RESTART_S_MAX = 30.0


def eventually(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def workers_of(server: RunningServer) -> dict[int, int]:
    """Process ids of the workers that serve, by their numbers."""
    return {int(number): int(pid) for number, pid in SERVES.findall(server.log_tail())}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def channels(address: str, count: int = CONNECTIONS) -> Iterator[list[grpc.Channel]]:
    """Channels with a connection each; gRPC would share one between channels that are alike."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    with ExitStack() as stack:
        opened = [
            stack.enter_context(grpc.insecure_channel(address, options=own)) for _ in range(count)
        ]
        for channel in opened:
            grpc.channel_ready_future(channel).result(timeout=20)
        yield opened


def sockets_of(pid: int) -> int:
    return sum(str(fd.readlink()).startswith("socket:") for fd in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections evenly")
def test_connections_are_spread_over_the_workers(start: Starter) -> None:
    server = start(workers=2)
    pids = workers_of(server)
    assert sorted(pids) == [1, 2]
    assert len({server.pid, *pids.values()}) == 3
    before = {pid: sockets_of(pid) for pid in pids.values()}
    with channels(server.address) as opened:
        assert all(call(channel, LIST_STREAMS).code == "OK" for channel in opened)
        got = {pid: sockets_of(pid) - before[pid] for pid in pids.values()}
        # PostgreSQL's connections come and go too; all to one worker has a chance of 2 ** -31.
        assert all(count > 0 for count in got.values()), got
        for channel in opened:
            request = health_pb2.HealthCheckRequest(service="eventfold.v1.EventStore")
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_is_started_again(start: Starter, number: signal.Signals) -> None:
    server = start(workers=2)
    before = workers_of(server)
    os.kill(before[1], number)
    said = "was killed by SIGKILL" if number is signal.SIGKILL else "ended with status 0"
    eventually(
        lambda: f"worker 1 (pid {before[1]}) {said}; starting it again" in server.log_tail(),
        RESTART_S_MAX,
        "told in the log",
    )
    # The other one answers meanwhile.
    with eventfold.Client(server.address) as store:
        store.append("a-1", [eventfold.Event("T", {})], expected_version=0)
    eventually(lambda: workers_of(server)[1] != before[1], RESTART_S_MAX, "started again")
    assert workers_of(server)[2] == before[2]
    with channels(server.address) as opened:
        assert all(call(channel, LIST_STREAMS).code == "OK" for channel in opened)
    assert server.stop() == 0
    assert not any(is_alive(pid) for pid in workers_of(server).values())


def test_a_reload_reaches_all_workers(start: Starter, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(line("old", "read"))
    server = start(workers=2, token_file=tokens)
    with channels(server.address) as opened:
        assert {call(one, LIST_STREAMS, metadata=bearer("old")).code for one in opened} == {"OK"}
        tokens.write_text(line("new", "read"))
        server.reload()
        eventually(
            lambda: server.log_tail().count("read 1 tokens from the token file") == 2,
            10,
            "both have read it",
        )
        for channel in opened:
            assert call(channel, LIST_STREAMS, metadata=bearer("new")).code == "OK"
            assert call(channel, LIST_STREAMS, metadata=bearer("old")).code == "UNAUTHENTICATED"


@pytest.mark.parametrize("ending", ["kill", "terminal"])
def test_nothing_is_left_of_it(shared_tmp_path: Path, ending: str) -> None:
    with start_server(shared_tmp_path, workers=2) as server:
        assert server.data_dir is not None
        pids = [*workers_of(server).values(), postmaster_pid(server.data_dir)]
        with eventfold.Client(server.address) as store:
            store.append("a-1", [eventfold.Event("T", {})], expected_version=0)
        if ending == "kill":
            server.kill()
        else:
            # Ctrl-C goes to the process in the foreground and to no worker: they are told by it.
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(timeout=20) == 0
        eventually(lambda: not any(map(is_alive, pids)), GONE_S_MAX, f"{pids} gone")
        cluster = server.data_dir / "cluster"
        eventually(
            lambda: not leftovers.find(cluster, cluster.stat().st_uid), GONE_S_MAX, "cluster gone"
        )
        assert "Traceback" not in server.log_tail()
    with (
        start_server(shared_tmp_path, workers=2) as server,
        eventfold.Client(server.address) as store,
    ):
        assert store.get_stream("a-1").version == 1


@pytest.fixture
def limited_url(database_url: str) -> Iterator[tuple[str, Callable[[int], None]]]:
    """A URL with a role of its own, and what sets how many connections it may have."""
    role = f"role_{uuid.uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as postgres:
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'limited'")
        postgres.execute(f"GRANT CREATE ON DATABASE postgres TO {role}")

        def limit(connections: int) -> None:
            postgres.execute(f"ALTER ROLE {role} CONNECTION LIMIT {connections}")

        found = re.sub(r"//[^@/]*@", f"//{role}:limited@", database_url)
        assert found != database_url
        yield found, limit
        limit(0)
        # Processes that were killed leave sessions that end a moment later.
        eventually(
            lambda: (
                postgres.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE usename = %s",
                    [role],
                ).fetchone()
                == (0,)
            ),
            10,
            "no session",
        )
        postgres.execute(f"DROP OWNED BY {role} CASCADE")
        postgres.execute(f"DROP ROLE {role}")


def test_workers_that_cannot_start_end_the_server(
    start: Starter, limited_url: tuple[str, Callable[[int], None]]
) -> None:
    url, limit = limited_url
    # Enough for the check of the database, too little for the pools of a worker.
    limit(1)
    with pytest.raises(ServerDied) as died:
        start(database_url=url, workers=2, database_wait_s=0.1)
    assert re.search(
        r"WorkerFailed: worker \d does not start: STORAGE_UNAVAILABLE: ",
        str(died.value),
    )


async def test_it_gives_up_when_no_worker_can_be_started_again(
    limited_url: tuple[str, Callable[[int], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "FAILED_STARTS_MAX", 2)
    url, limit = limited_url
    config = ServerConfig(
        listen="127.0.0.1:0",
        database_url=url,
        database_wait_s=0.1,
        workers=2,
        schema=f"test_{uuid.uuid4().hex}",
    )
    workers = Workers(config, url)
    try:
        await workers.start()
        ended = asyncio.create_task(workers.wait_ended())
        first, second = (slot.child for slot in workers._slots)
        assert first is not None
        assert second is not None
        limit(0)
        first.signal(signal.SIGKILL)
        # While the other one serves, it goes on trying.
        deadline = time.monotonic() + RESTART_S_MAX
        while workers._slots[0].failed_starts < 3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert not ended.done()
        second.signal(signal.SIGKILL)
        with pytest.raises(WorkerFailed, match=r"worker \d does not start: STORAGE_"):
            await asyncio.wait_for(ended, 2 * RESTART_S_MAX)
    finally:
        await workers.stop()
    assert all(slot.child is None for slot in workers._slots)
