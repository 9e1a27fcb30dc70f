"""Goal: whatever ends under a watch, going on behind its last version gives every state once.

Method: servers killed (-9) and a PostgreSQL restarted while events are appended to the streams
that are watched; what the watches got is held against HydrateHistory.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from tests.faults.test_restart_postgres import postgres_in_a_thread
from tests.faults.test_subscriptions import WRITERS, appended, write
from tests.support.programs import free_port
from tests.support.raw import Answer, answer_of
from tests.support.servers import RunningServer, start_postgres, start_server
from tests.support.watching import Watching, history, watcher

from eventfold.v1 import folds_pb2 as pb

SUM = 'fold: sum\ninitial: {n: 0}\nhandlers:\n  T: {n: "state.n + 1", at: meta.version}\n'
ROUNDS = 3


class Resuming:
    """Watches a stream through any number of calls, each behind the last version."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.states: list[pb.HistoricState] = []
        self.ends: list[Answer] = []

    async def run(self, address: str) -> None:
        """Goes on until it is cancelled."""
        while True:
            async with watcher(address) as watch:
                one: Watching = watch(self.stream, SUM, from_version=len(self.states) + 1)
                try:
                    while True:
                        self.states.extend((await one.next()).states)
                except grpc.aio.AioRpcError as error:
                    self.ends.append(answer_of(error))
            await asyncio.sleep(0.05)


@asynccontextmanager
async def traffic(address: str) -> AsyncIterator[list[Resuming]]:
    """Writers, and two watches of each of their streams; all states are there at the end."""
    watches = [Resuming(f"w{number % WRITERS}-1") for number in range(2 * WRITERS)]
    watching = [asyncio.create_task(one.run(address)) for one in watches]
    writing = [asyncio.create_task(write(address, number)) for number in range(WRITERS)]
    yield watches
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    # An append that was under way is stored though its writer has left.
    await asyncio.sleep(1)
    right = {one.stream: history(address, one.stream, SUM) for one in watches}
    async with asyncio.timeout(60):
        while any(len(one.states) < len(right[one.stream]) for one in watches):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    for one in watches:
        assert one.states == right[one.stream]


@pytest.fixture
def url(shared_tmp_path: Path) -> Iterator[str]:
    with start_postgres(shared_tmp_path / "data") as dsn:
        yield dsn


async def test_a_server_killed_while_it_is_watched(url: str, shared_tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    options: dict[str, object] = {"listen": listen, "database_url": url}
    with ExitStack() as stack:

        def start() -> RunningServer:
            return stack.enter_context(start_server(shared_tmp_path, **options))

        running = await asyncio.to_thread(start)
        async with traffic(listen) as watches:
            for _ in range(ROUNDS):
                await appended(listen, 200)
                running.kill()
                running = await asyncio.to_thread(start)
            await appended(listen, 100)
        assert all(len(one.ends) >= ROUNDS for one in watches)
        assert {end.code for one in watches for end in one.ends} == {"UNAVAILABLE"}


@pytest.mark.long
async def test_postgres_restarted_while_it_is_watched(shared_tmp_path: Path) -> None:
    with (
        postgres_in_a_thread(shared_tmp_path / "postgres") as (postgres, run),
        start_server(shared_tmp_path, database_url=postgres.dsn) as server,
    ):
        async with traffic(server.address) as watches:
            for number in range(ROUNDS):
                await appended(server.address, 200)
                if number % 2:
                    os.kill(postgres.pid, signal.SIGKILL)
                    await asyncio.sleep(1)
                await asyncio.to_thread(run, postgres.restart())
            await appended(server.address, 100)
        ends = [end for one in watches for end in one.ends]
        assert {end.reason for end in ends} <= {"STORAGE_UNAVAILABLE"}
        assert "fault in" not in server.log.read_text()
