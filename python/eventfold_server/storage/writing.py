"""The connection that appends go through, and the promise that a write keeps on any connection."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.limits import UNARY_DEADLINE_S_MAX
from eventfold_server.storage import faults

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

# No call waits longer for its answer, and no statement may run for longer. PostgreSQL stops the
# clock before it commits, so that a commit is never cut off.
STATEMENT_S_MAX = UNARY_DEADLINE_S_MAX
# After that much more the connection itself must be dead: its other end went without a word.
DEAD_AFTER_S = STATEMENT_S_MAX + 10.0
CLOSE_S_MAX = 5.0


async def run_write(
    connection: "Connection", sql: str, arguments: tuple[object, ...], stream: str | None
) -> Any:
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
    """One connection that is kept between statements, and replaced when it broke."""

    def __init__(
        self, connect: Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
    ) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def ready(self) -> None:
        """Connects if need be; STORAGE_UNAVAILABLE if that does not work."""
        if self._connection is None or self._connection.is_closed():
            with faults.reading():
                self._connection = await self._connect()

    async def write(self, sql: str, *arguments: object, stream: str | None = None) -> Any:
        """The rows that the statement answers; call `ready` before."""
        if self._connection is None or self._connection.is_closed():
            raise faults.unavailable()
        try:
            return await run_write(self._connection, sql, arguments, stream)
        except Refusal as refusal:
            if lost_its_primary(refusal):
                await self.close()
            raise

    async def close(self) -> None:
        """Closes it within bounds; a statement under way must have ended."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.close(timeout=CLOSE_S_MAX)
        except (TimeoutError, *faults.LOST):
            connection.terminate()
