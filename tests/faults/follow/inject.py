"""Faults while subscriptions run: servers that are killed, a PostgreSQL that goes away."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.faults.test_restart_postgres import Run
from tests.support.servers import RunningServer, start_server

from eventfold_server.embedded import EmbeddedPostgres


class Servers:
    """Several server processes on one store, each of which may be replaced at any time."""

    def __init__(self, folder: Path, database_url: str, schema: str, count: int) -> None:
        self._folder = folder
        self._options: dict[str, object] = {"database_url": database_url, "schema": schema}
        self._running: list[RunningServer] = []
        self._stacks: list[contextlib.ExitStack] = []
        self._next = 0
        for _ in range(count):
            self._running.append(self._start())

    def _start(self) -> RunningServer:
        stack = contextlib.ExitStack()
        server = stack.enter_context(start_server(self._folder, **self._options))
        self._stacks.append(stack)
        return server

    def address(self) -> str:
        """The address of one of them, in turn; it may have gone when it is called."""
        self._next += 1
        return self._running[self._next % len(self._running)].address

    def pid(self, which: int) -> int:
        """Process id of one of them."""
        return self._running[which].pid

    def kill_one(self, which: int) -> None:
        """Ends one at once, as kill -9 does, and starts another in its place."""
        self._running[which].kill()
        self._running[which] = self._start()

    def close(self) -> None:
        """Stops all of them."""
        for stack in self._stacks:
            stack.close()


@contextlib.contextmanager
def servers(folder: Path, database_url: str, schema: str, count: int = 2) -> Iterator[Servers]:
    """Yields running servers."""
    running = Servers(folder, database_url, schema, count)
    try:
        yield running
    finally:
        running.close()


def kill_servers(running: Servers, seed: int, kills: int, stop: threading.Event) -> None:
    """Kills servers one after the other, with random pauses."""
    pick = random.Random(seed)
    for _ in range(kills):
        if stop.wait(pick.uniform(0.3, 1.2)):
            return
        running.kill_one(pick.randrange(2))


def restart_postgres(
    postgres: EmbeddedPostgres, run: Run, seed: int, stop: threading.Event
) -> None:
    """Restarts PostgreSQL once, somewhere in the middle."""
    if not stop.wait(random.Random(seed).uniform(0.3, 1.5)):
        run(postgres.restart())
