"""Checkpoints in PostgreSQL, with psycopg or asyncpg; neither is imported unless it is used."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

from eventfold._place import Place
from eventfold.checkpoint._base import Checkpoint, Placed, ddl, refuse_transaction

_EXISTS = "SELECT to_regclass({}) IS NOT NULL"
# Two that create it at once would collide in the catalogue of PostgreSQL.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('eventfold_checkpoints'))"
_PSYCOPG = ["%s"] * 6
_ASYNCPG = [f"${number}" for number in range(1, 7)]

# `psycopg.pq.TransactionStatus.IDLE`.
_IDLE = 0


def _tuples(_: Any) -> Any:
    """Rows of this module, whatever those of the connection are."""
    return tuple


# `advance` and `rewind` of all of them are described at `SqliteCheckpoint`.


class PsycopgCheckpoint(Checkpoint):
    """A checkpoint in PostgreSQL, on a `psycopg.Connection`. Takes the name over when entered.

    Args:
        connection: the connection on which the consumer writes; no transaction is open on it.
        name: name of the consumer; one row of the table.
        table: name of the table, maybe with its schema. Default: `eventfold_checkpoints`.
        create: whether to make the table if it is missing. Default: yes.
    """

    def __enter__(self) -> Self:
        with self._transaction() as cursor:
            if self._create and not self._exists(cursor):
                cursor.execute(_LOCK)
                cursor.execute(ddl("postgresql", self._table))
            cursor.execute(self._claim(_PSYCOPG), (self.name, b""))
            self._claimed(cursor.fetchone())
        return self

    def __exit__(self, *_: object) -> None:
        # The name stays with its fence: whoever comes next takes it over.
        return

    def _exists(self, cursor: Any) -> bool:
        cursor.execute(_EXISTS.format("%s"), (self._table,))
        return bool(cursor.fetchone()[0])

    @contextmanager
    def advance(self, to: Placed | Place) -> Iterator[None]:
        """A transaction of the consumer's writes and of its new place."""
        with self._moving(to, back=False):
            yield

    @contextmanager
    def rewind(self, to: Place) -> Iterator[None]:
        """The same back to an earlier place, with the writes that undo what came behind it."""
        with self._moving(to, back=True):
            yield

    @contextmanager
    def _moving(self, to: Placed | Place, *, back: bool) -> Iterator[None]:
        with self._transaction() as cursor:
            yield
            place = self._target(to, back=back)
            cursor.execute(self._move(_PSYCOPG), self._values(place))
            count = cursor.rowcount
            if count != 1:
                self._moved(count, place)
        self._moved(count, place)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        connection = self._connection
        refuse_transaction(connection.info.transaction_status != _IDLE)
        with connection.transaction(), connection.cursor(row_factory=_tuples) as cursor:
            yield cursor


class AsyncPsycopgCheckpoint(Checkpoint):
    """The same on a `psycopg.AsyncConnection`, with `async with`."""

    async def __aenter__(self) -> Self:
        async with self._transaction() as cursor:
            if self._create and not await self._exists(cursor):
                await cursor.execute(_LOCK)
                await cursor.execute(ddl("postgresql", self._table))
            await cursor.execute(self._claim(_PSYCOPG), (self.name, b""))
            self._claimed(await cursor.fetchone())
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def _exists(self, cursor: Any) -> bool:
        await cursor.execute(_EXISTS.format("%s"), (self._table,))
        return bool((await cursor.fetchone())[0])

    @asynccontextmanager
    async def advance(self, to: Placed | Place) -> AsyncIterator[None]:
        """A transaction of the consumer's writes and of its new place."""
        async with self._moving(to, back=False):
            yield

    @asynccontextmanager
    async def rewind(self, to: Place) -> AsyncIterator[None]:
        """The same back to an earlier place, with the writes that undo what came behind it."""
        async with self._moving(to, back=True):
            yield

    @asynccontextmanager
    async def _moving(self, to: Placed | Place, *, back: bool) -> AsyncIterator[None]:
        async with self._transaction() as cursor:
            yield
            place = self._target(to, back=back)
            await cursor.execute(self._move(_PSYCOPG), self._values(place))
            count = cursor.rowcount
            if count != 1:
                self._moved(count, place)
        self._moved(count, place)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        connection = self._connection
        refuse_transaction(connection.info.transaction_status != _IDLE)
        async with connection.transaction(), connection.cursor(row_factory=_tuples) as cursor:
            yield cursor


class AsyncpgCheckpoint(Checkpoint):
    """The same on an `asyncpg.Connection`, with `async with`."""

    async def __aenter__(self) -> Self:
        connection = self._connection
        async with self._transaction():
            if self._create and not await connection.fetchval(_EXISTS.format("$1"), self._table):
                await connection.execute(_LOCK)
                await connection.execute(ddl("postgresql", self._table))
            row = await connection.fetchrow(self._claim(_ASYNCPG), self.name, b"")
            self._claimed(tuple(row))
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    @asynccontextmanager
    async def advance(self, to: Placed | Place) -> AsyncIterator[None]:
        """A transaction of the consumer's writes and of its new place."""
        async with self._moving(to, back=False):
            yield

    @asynccontextmanager
    async def rewind(self, to: Place) -> AsyncIterator[None]:
        """The same back to an earlier place, with the writes that undo what came behind it."""
        async with self._moving(to, back=True):
            yield

    @asynccontextmanager
    async def _moving(self, to: Placed | Place, *, back: bool) -> AsyncIterator[None]:
        async with self._transaction():
            yield
            place = self._target(to, back=back)
            tag = await self._connection.execute(self._move(_ASYNCPG), *self._values(place))
            count = int(tag.rpartition(" ")[2])
            if count != 1:
                self._moved(count, place)
        self._moved(count, place)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        refuse_transaction(self._connection.is_in_transaction())
        async with self._connection.transaction():
            yield
