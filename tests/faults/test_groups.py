"""Goal: whatever dies, a group loses nothing, keeps the order of streams, and its progress stays.

Method: consumers that come back by themselves, on servers that are killed -9 and on a PostgreSQL
that is restarted, gently and by kill -9, while others append; the history checks each delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path

import grpc
import pytest
from tests.faults.test_restart_postgres import postgres_in_a_thread
from tests.support.group_history import GroupHistory, Worker, running, until_done
from tests.support.groups import ACK, Groups, groups_of, settings
from tests.support.servers import RunningServer, start_server

STREAMS = [f"account-{n}" for n in range(30)]
KILLS = 4
# All that a consumer may be told, besides what gRPC says of a server that is gone.
ALLOWED = {
    "STORAGE_UNAVAILABLE",
    "OUTCOME_UNKNOWN",
    "SHUTTING_DOWN",
    "UNAVAILABLE",
    # By gRPC, of a stream that is cut in the middle of a message; a fault of ours is called BUG.
    "INTERNAL",
    "OK",
}


async def append_until(stop: asyncio.Event, address: list[str]) -> None:
    """Appends to random streams, each event once, whatever dies."""
    chance = random.Random(1)
    while not stop.is_set():
        with contextlib.suppress(grpc.aio.AioRpcError, TimeoutError):
            async with groups_of(address[0]) as groups:
                while not stop.is_set():
                    stream = chance.choice(STREAMS)
                    await groups.append(stream, chance.randint(1, 4))
                    await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)


async def versions(groups: Groups) -> tuple[dict[str, int], int]:
    """What the log holds: the versions of its streams, and its head."""
    found = {stream: await groups.version(stream) for stream in STREAMS}
    return {stream: version for stream, version in found.items() if version}, sum(found.values())


def workers(history: GroupHistory, addresses: list[str]) -> list[asyncio.Task[None]]:
    return [
        asyncio.create_task(
            Worker(history, lambda: addresses, "g", f"c{n}", random.Random(n), slow_s=0.01).run()
        )
        for n in range(6)
    ]


async def test_servers_that_are_killed_lose_nothing(shared_tmp_path: Path) -> None:
    history = GroupHistory()
    with contextlib.ExitStack() as stack:
        postgres, _ = stack.enter_context(postgres_in_a_thread(shared_tmp_path / "postgres"))

        def start(number: int) -> RunningServer:
            folder = shared_tmp_path / f"server-{number}"
            folder.mkdir()
            return stack.enter_context(start_server(folder, database_url=postgres.dsn))

        servers = [start(0), start(1)]
        addresses = [server.address for server in servers]
        stop = asyncio.Event()
        async with groups_of(addresses[0]) as groups:
            # Short, so that the leases of a killed server run out within the test.
            await groups.create("g", settings=settings(ack_timeout_s=2.0, attempts_max=1_000))
        appending = asyncio.create_task(append_until(stop, addresses))
        tasks = workers(history, addresses)
        async with running(tasks):
            for number in range(KILLS):
                await asyncio.sleep(1.0)
                servers[number % 2].kill()
                servers[number % 2] = await asyncio.to_thread(start, 2 + number)
                addresses[number % 2] = servers[number % 2].address
            stop.set()
            await appending
            async with groups_of(addresses[1]) as groups:
                expected, head = await versions(groups)
                await until_done(groups, history, head, tasks)
        assert history.next_version == expected
        assert history.again, "nothing came again, so the run says nothing"
        assert set(history.ends) <= ALLOWED, history.ends
        for server in servers:
            assert "fault in" not in server.log.read_text()


@pytest.mark.long
async def test_a_postgresql_that_is_restarted_loses_nothing(shared_tmp_path: Path) -> None:
    history = GroupHistory()
    with (
        postgres_in_a_thread(shared_tmp_path / "postgres") as (postgres, run),
        start_server(shared_tmp_path, database_url=postgres.dsn) as server,
    ):
        addresses = [server.address]
        stop = asyncio.Event()
        async with groups_of(server.address) as groups:
            await groups.create("g", settings=settings(ack_timeout_s=2.0, attempts_max=1_000))
            appending = asyncio.create_task(append_until(stop, addresses))
            tasks = workers(history, addresses)
            async with running(tasks):
                for number in range(3):
                    await asyncio.sleep(1.2)
                    if number % 2 == 0:
                        os.kill(postgres.pid, signal.SIGKILL)
                        await asyncio.sleep(1.0)
                    await asyncio.to_thread(run, postgres.restart())
                await asyncio.sleep(1.0)
                stop.set()
                await appending
                expected, head = await versions(groups)
                await until_done(groups, history, head, tasks)
        assert history.next_version == expected
        assert set(history.ends) <= ALLOWED, history.ends
        assert history.ends["STORAGE_UNAVAILABLE"] + history.ends["OUTCOME_UNKNOWN"]
        text = server.log.read_text()
        assert "fault in" not in text
        assert "Traceback" not in text


async def test_what_was_acknowledged_stays_so(shared_tmp_path: Path) -> None:
    """The server is killed right after its answer, and its PostgreSQL with it."""
    with start_server(shared_tmp_path) as server:
        async with groups_of(server.address) as groups:
            await groups.append("account-1", 10)
            await groups.create("g", settings=settings(ack_timeout_s=1.0))
            one = await groups.consume("g", "one", 10)
            events = await one.take(10)
            assert (await one.settled(ACK, events[:7])).HasField("settled")
            assert server.data_dir is not None
            postgres = int((server.data_dir / "cluster/postmaster.pid").read_text().split()[0])
            os.kill(server.pid, signal.SIGKILL)
            os.kill(postgres, signal.SIGKILL)
            assert await one.end() == "UNAVAILABLE"
    with start_server(shared_tmp_path) as server:
        async with groups_of(server.address) as groups:
            found = await groups.get("g")
            assert (found.group.progress, found.status.under_way) == (7, 3)
            two = await groups.consume("g", "two", 10)
            rest = await two.take(3)
            assert [(e.version, e.attempt) for e in rest] == [(8, 2), (9, 1), (10, 1)]
            # The leases of before are known, and known to be over.
            assert rest[0].lease > events[0].lease
