"""A transaction of several statements on a connection of asyncpg."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.storage import faults, pooler
from eventfold_server.storage.writing import DEAD_AFTER_S, run_write

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[Any]


class Transaction:
    """Statements that are stored together. Until `commit` everything that fails, and a caller who
    leaves, has stored nothing.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._commit: asyncio.Task[list[Any]] | None = None

    async def begin(self) -> None:
        """Begins it; each statement sees what is committed when that begins."""
        with faults.reading():
            begin = pooler.beginning(self._connection)
            await self._connection.execute(begin, timeout=DEAD_AFTER_S)

    async def fetch(self, sql: str, *arguments: object) -> list[Any]:
        """The rows that a statement answers."""
        with faults.reading():
            return await self._connection.fetch(sql, *arguments, timeout=DEAD_AFTER_S)

    async def commit(self) -> None:
        """Stores it for good: carried through whatever happens to the caller, who gets
        OUTCOME_UNKNOWN.
        """
        self._commit = asyncio.create_task(run_write(self._connection, "COMMIT", (), None))
        try:
            await asyncio.shield(self._commit)
        except asyncio.CancelledError as error:
            raise faults.outcome_unknown(None) from error

    async def end(self) -> None:
        """Undoes what was not committed, and lets a commit under way come to its end. The task that
        runs this must not be cancelled.
        """
        if self._commit is not None:
            with contextlib.suppress(Refusal):
                await self._commit
            return
        with contextlib.suppress(asyncpg.PostgresError, *faults.LOST):
            await self._connection.execute("ROLLBACK", timeout=DEAD_AFTER_S)
            return
        # Never back to the pool with a transaction open; one that broke is out of it already.
        with contextlib.suppress(*faults.LOST):
            self._connection.terminate()
