"""Checkpoints in PostgreSQL, with psycopg or asyncpg; neither is imported unless it is used."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

from eventfold._place import Place
from eventfold.checkpoint._base import Checkpoint, Placed, refuse_transaction

_EXISTS = "SELECT to_regclass({}) IS NOT NULL"
# Two that create it at once would collide in the catalogue of PostgreSQL.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('eventfold_checkpoints'))"
_PSYCOPG = ("%s",) * 6
_ASYNCPG = tuple(f"${number}" for number in range(1, 7))

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

    _dialect = "postgresql"
    _marks = _PSYCOPG

    def __enter__(self) -> Self:
        with self._transaction():
            self._make_tables()
            [row] = self._rows(self._claim(self._marks), self.name, b"")
            self._claimed(row)
        return self

    def __exit__(self, *_: object) -> None:
        # The name stays with its fence: whoever comes next takes it over.
        return

    def _make_tables(self) -> None:
        for table, statement in self._tables().items():
            if self._rows(_EXISTS.format("%s"), table) != [(True,)]:
                self._rows(_LOCK)
                self._rows(statement)

    def _rows(self, statement: str, *values: object) -> list[Any]:
        """What a statement of the transaction returns, as tuples whatever the connection says."""
        with self._connection.cursor(row_factory=_tuples) as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

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
        with self._transaction():
            yield
            place = self._target(to, back=back)
            self._check_fence(self._rows(self._move(self._marks), *self._values(place)))
        self._place = place

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        refuse_transaction(connection.info.transaction_status != _IDLE)
        with connection.transaction():
            yield


class AsyncPsycopgCheckpoint(Checkpoint):
    """The same on a `psycopg.AsyncConnection`, with `async with`."""

    _dialect = "postgresql"
    _marks = _PSYCOPG

    async def __aenter__(self) -> Self:
        async with self._transaction():
            await self._make_tables()
            [row] = await self._rows(self._claim(self._marks), self.name, b"")
            self._claimed(row)
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def _make_tables(self) -> None:
        for table, statement in self._tables().items():
            if await self._rows(_EXISTS.format("%s"), table) != [(True,)]:
                await self._rows(_LOCK)
                await self._rows(statement)

    async def _rows(self, statement: str, *values: object) -> list[Any]:
        async with self._connection.cursor(row_factory=_tuples) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

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
            self._check_fence(await self._rows(self._move(self._marks), *self._values(place)))
        self._place = place

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        connection = self._connection
        refuse_transaction(connection.info.transaction_status != _IDLE)
        async with connection.transaction():
            yield


class AsyncpgCheckpoint(Checkpoint):
    """The same on an `asyncpg.Connection`, with `async with`."""

    _dialect = "postgresql"
    _marks = _ASYNCPG

    async def __aenter__(self) -> Self:
        async with self._transaction():
            await self._make_tables()
            [row] = await self._rows(self._claim(self._marks), self.name, b"")
            self._claimed(row)
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def _make_tables(self) -> None:
        for table, statement in self._tables().items():
            if await self._rows(_EXISTS.format("$1"), table) != [(True,)]:
                await self._rows(_LOCK)
                await self._rows(statement)

    async def _rows(self, statement: str, *values: object) -> list[Any]:
        return [tuple(row) for row in await self._connection.fetch(statement, *values)]

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
            self._check_fence(await self._rows(self._move(self._marks), *self._values(place)))
        self._place = place

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        refuse_transaction(self._connection.is_in_transaction())
        async with self._connection.transaction():
            yield
