"""The connection that appends go through, and the promise that a write keeps on any connection."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import UNARY_DEADLINE_S_MAX
from eventfold_server.storage import bridge, faults
from eventfold_server.storage.bridge import Bridge
from eventfold_server.storage.queries import Queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

# No call waits longer for its answer, and no statement may run for longer. PostgreSQL stops the
# clock before it commits, so that a commit is never cut off.
STATEMENT_S_MAX = UNARY_DEADLINE_S_MAX
# After that much more the connection itself must be dead: its other end went without a word.
DEAD_AFTER_S = STATEMENT_S_MAX + 10.0
# A session whose process says nothing in the middle of a transaction is ended after this: as long
# as a lease, after which others go on with what it had.
TRANSACTION_IDLE_S_MAX = 10.0
CLOSE_S_MAX = 5.0


async def run_write(
    connection: "Connection", sql: str, arguments: tuple[object, ...], stream: str | None
) -> list[Any]:
    """The rows that a statement answers which writes, as a transaction of its own.

    The task that runs this must not be cancelled: the statement is carried through.
    """
    unreplicated = False

    def listen(_connection: object, message: object) -> None:
        nonlocal unreplicated
        unreplicated |= faults.is_unreplicated_commit(message)

    guard = asyncio.get_running_loop().call_later(DEAD_AFTER_S, connection.terminate)
    try:
        with faults.reading():
            # Fails if the connection broke since it was acquired: nothing was sent yet.
            connection.add_log_listener(listen)
        with faults.writing(stream):
            rows = await connection.fetch(sql, *arguments)
        if unreplicated:
            raise faults.outcome_unknown(stream)
        return rows
    finally:
        guard.cancel()
        # A connection that broke is detached already, and refuses this.
        with contextlib.suppress(*faults.LOST):
            connection.remove_log_listener(listen)


def lost_its_primary(refusal: Refusal) -> bool:
    """Whether the connection leads to what is no primary any more; a new one may find it."""
    return isinstance(refusal.__cause__, asyncpg.ReadOnlySQLTransactionError)


class WriteConnection:
    """The connection of Rust that appends go through; it is replaced when it broke."""

    def __init__(self, settings: Callable[[], dict[str, Any]], queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self._writer: _core.Writer | None = None
        self._bridge: Bridge | None = None

    async def ready(self) -> None:
        """Connects if need be; STORAGE_UNAVAILABLE if that does not work."""
        if self._writer is None:
            self._writer = _core.Writer(
                self._settings(), self._queries["append"], self._queries["append_batch"]
            )
            self._bridge = Bridge(self._writer)
        if self._writer.is_ready:
            return
        assert self._bridge is not None
        connected, _ = self._bridge.begin(self._writer.ready)
        with faults.reading():
            try:
                await connected
            except _core.ReaderError as error:
                raise bridge.driver_error(error) from error

    async def store(
        self, batch: _core.AppendBatch, stream: str
    ) -> tuple[list[_core.Outcome], int | None]:
        """What became of each append of the batch, and the position of the newest event that was
        stored; call `ready` before. `stream` is named where nobody knows what became of it.

        It is carried through, whatever happens to the task that waits for it.
        """
        if self._writer is None or self._bridge is None:
            raise faults.unavailable()
        writer = self._writer
        stored, _ = self._bridge.begin(lambda future: writer.store(future, batch))
        with faults.writing(stream):
            try:
                outcomes: tuple[list[_core.Outcome], int | None] = await stored
            except _core.ReaderError as error:
                if error.kind == "unsent":
                    raise faults.unavailable() from error
                if error.kind == "unreplicated":
                    raise faults.outcome_unknown(stream) from error
                raise bridge.driver_error(error) from error
            except _core.CoreError as error:
                # The thread ended, or panicked, on the way.
                raise faults.outcome_unknown(stream) from error
        return outcomes

    async def close(self) -> None:
        """Closes it; whoever is still under way is told that nobody knows."""
        if self._bridge is not None:
            await self._bridge.close()
