"""Notifications between the servers of one store: how far the log has got.

They only save time. One that is lost, because a connection broke or a pooler stood between, costs
the time until a server looks for itself; so nothing here waits for anything or is repeated.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable

import asyncpg

from eventfold_server.limits import LISTEN_PAUSE_S, NOTIFY_PAUSE_S
from eventfold_server.storage import faults
from eventfold_server.storage.database import Database

log = logging.getLogger(__name__)

_FAULTS = (*faults.LOST, asyncpg.PostgresError)


class Notices:
    """Hears of appends, those of this process at once, and tells other processes."""

    def __init__(self, database: Database, told: Callable[[int], None]) -> None:
        """`told` gets positions that the log has reached; 0: some may have been missed."""
        self._database = database
        self._told = told
        # Stores of one database have channels of their own; a name has 63 bytes at most.
        digest = hashlib.sha256(database.queries.schema.encode()).hexdigest()
        self._channel = f"eventfold_{digest[:32]}"
        self._reached = 0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to listen and to tell, as soon as there is a connection."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._send())]

    async def stop(self) -> None:
        """Ends both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def committed(self, position: int) -> None:
        """An append of this process is stored, and the log has reached the position."""
        if position > self._reached:
            self._reached = position
            self._told(position)
            self._wake.set()

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(*_FAULTS):
                connection = await self._database.session_connection()
                try:
                    await self._hear(connection)
                finally:
                    connection.terminate()
            await asyncio.sleep(LISTEN_PAUSE_S)

    async def _hear(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Listens until the connection breaks."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())

        def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            # Anybody who may connect can send on the channel.
            text = str(payload)
            self._told(int(text) if text.isdecimal() and len(text) < 20 else 0)

        await connection.add_listener(self._channel, hear)
        self._told(0)
        await lost.wait()

    async def _send(self) -> None:
        """One notification for all appends since the one before."""
        connection: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._database.notice_connection()
                    await connection.fetchval(
                        self._database.queries["notify"], self._channel, str(self._reached)
                    )
                except _FAULTS as error:
                    log.debug("no notification was sent: %s", type(error).__name__)
                await asyncio.sleep(NOTIFY_PAUSE_S)
        finally:
            if connection is not None:
                connection.terminate()
