"""Goal: kill -9 of the server under sessions full of appends loses and doubles nothing.

Method: many appends of one client are under way when the server is killed; the next server comes
up on the same data and address while they are repeated, by the client itself and by the test, with
the same events; then the log is held against what was acknowledged.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.faults.test_kill_server import free_port
from tests.support.servers import RunningServer, start_server

import eventfold
from eventfold import Event

ROUNDS = 3
WRITERS = 64

UNSURE = (
    eventfold.ConnectionFailed,
    eventfold.OutcomeUnknown,
    eventfold.ShuttingDown,
    eventfold.StorageUnavailable,
)


class Writers:
    """Tasks that append, each to a stream of its own, until they are stopped."""

    def __init__(self, store: eventfold.AsyncClient) -> None:
        self.acknowledged: dict[str, list[str]] = {}
        self.is_over = False
        self._store = store

    async def write(self, stream: str) -> None:
        """Appends event after event; one of unknown outcome again, with the same id."""
        stored = self.acknowledged.setdefault(stream, [])
        while not self.is_over:
            event = Event("A", {"n": len(stored)})
            while True:
                try:
                    result = await self._store.append(stream, [event], expected_version=len(stored))
                    break
                except UNSURE:
                    await asyncio.sleep(0.05)
            stored.append(event.id)
            assert result.last_version == len(stored)

    @property
    def count(self) -> int:
        """Number of acknowledged appends."""
        return sum(map(len, self.acknowledged.values()))


async def _kill_in_the_middle(server: RunningServer, writers: Writers, seed: int) -> None:
    begin = writers.count
    while writers.count < begin + 5 * WRITERS:  # noqa: ASYNC110 - to look now and then will do
        await asyncio.sleep(0.05)
    await asyncio.sleep(random.Random(seed).uniform(0.0, 0.3))
    # All may have been answered just now.
    while not any(len(session) for session in writers._store._appends._sessions):  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.to_thread(server.kill)


async def test_sessions_survive_a_server_that_is_killed(shared_tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    data_dir = shared_tmp_path / "data"
    async with eventfold.AsyncClient(listen, timeout=30) as store:
        writers = Writers(store)
        tasks: list[asyncio.Task[None]] = []
        for seed in range(ROUNDS):
            with start_server(shared_tmp_path, listen=listen, data_dir=data_dir) as server:
                tasks = tasks or [
                    asyncio.create_task(writers.write(f"a-{n}")) for n in range(WRITERS)
                ]
                await _kill_in_the_middle(server, writers, seed)
        with start_server(shared_tmp_path, listen=listen, data_dir=data_dir):
            writers.is_over = True
            await asyncio.gather(*tasks)
            log: dict[str, list[str]] = {}
            async for event in store.read_all():
                log.setdefault(event.stream, []).append(event.id)
    assert log == writers.acknowledged
