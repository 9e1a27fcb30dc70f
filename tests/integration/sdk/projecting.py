"""Projections of tests, through each of the drivers, as if all were asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import psycopg

import eventfold
from eventfold import ANY, Client, Event
from eventfold.projection import AsyncProjection, Projection

KINDS = ["sqlite", "psycopg", "async psycopg", "asyncpg"]
SYNC = ("sqlite", "psycopg")

TABLE = "CREATE TABLE IF NOT EXISTS {} (stream text PRIMARY KEY, sum bigint NOT NULL)"
_ADD = """
INSERT INTO {} AS s VALUES ({}, {})
ON CONFLICT (stream) DO UPDATE SET sum = s.sum + excluded.sum
"""
_MARKS = {"sqlite": ("?", "?"), "asyncpg": ("$1", "$2")}


async def settled(value: Any) -> Any:
    """The value, awaited if it has to be."""
    return await value if inspect.isawaitable(value) else value


class Database:
    """A consumer's database, reached by one kind of driver."""

    def __init__(self, kind: str, where: str) -> None:
        self.kind = kind
        self.where = where

    @contextlib.asynccontextmanager
    async def connected(self, cls: Any = None, **options: Any) -> AsyncIterator[Any]:
        """A connection of its kind; class and options are those of the driver."""
        if self.kind == "sqlite":
            db: Any = sqlite3.connect(self.where, timeout=20, **options)
        elif self.kind == "psycopg":
            db = (cls or psycopg.Connection).connect(self.where, **options)
        elif self.kind == "async psycopg":
            db = await (cls or psycopg.AsyncConnection).connect(self.where, **options)
        else:
            db = await asyncpg.connect(self.where, **options)
        try:
            yield db
        finally:
            await settled(db.close())

    async def add(self, db: Any, table: str, stream: str, n: int) -> None:
        """What a handler does: as far from repeatable as it gets."""
        await settled(self.begun_add(db, table, stream, n))

    def begun_add(self, db: Any, table: str, stream: str, n: int) -> Any:
        """The same, to be awaited if the driver wants it."""
        text = _ADD.format(table, *_MARKS.get(self.kind, ("%s", "%s")))
        if self.kind == "asyncpg":
            return db.execute(text, stream, n)
        return db.execute(text, (stream, n))

    async def execute(self, statement: str) -> None:
        """Runs a statement on a connection of its own."""
        if self.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(self.where, timeout=20)) as db:
                db.execute(statement)
                db.commit()
            return
        with psycopg.connect(self.where, autocommit=True) as db:
            db.execute(statement)  # type: ignore[arg-type]

    async def rows(self, query: str) -> list[Any]:
        """What a query on a connection of its own returns."""
        return self.rows_now(query)

    def rows_now(self, query: str) -> list[Any]:
        """The same for a thread."""
        if self.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(self.where, timeout=20)) as db:
                return db.execute(query).fetchall()
        with psycopg.connect(self.where) as db:
            return db.execute(query).fetchall()  # type: ignore[arg-type]

    async def has(self, table: str) -> bool:
        """Whether there is such a table."""
        if self.kind == "sqlite":
            return bool(await self.rows(f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"))
        return await self.rows(f"SELECT to_regclass('{table}') IS NOT NULL") == [(True,)]

    async def sums(self, table: str = "sums") -> dict[str, int]:
        """What the projection came to."""
        return dict(await self.rows(f"SELECT stream, sum FROM {table}"))

    def projection(
        self,
        name: str = "sums",
        *,
        table: str = "sums",
        before: Callable[[Any], None] = lambda event: None,
        after: Callable[[Any], None] = lambda event: None,
        **options: Any,
    ) -> Any:
        """Adds numbers up by stream; `before` and `after` what its handler writes."""
        if self.kind in SYNC:
            mine: Any = Projection(name, **options)

            @mine.on("T")
            def added(db: Any, event: Any) -> None:
                before(event)
                self.begun_add(db, table, event.stream, event.data["n"])
                after(event)
        else:
            mine = AsyncProjection(name, **options)

            @mine.on("T")
            async def added_async(db: Any, event: Any) -> None:
                before(event)
                await self.begun_add(db, table, event.stream, event.data["n"])
                after(event)

        return mine

    @contextlib.asynccontextmanager
    async def store(self, target: str) -> AsyncIterator[Any]:
        """A client for projections of this kind."""
        if self.kind in SYNC:
            with Client(target) as client:
                yield client
        else:
            async with eventfold.AsyncClient(target) as client:
                yield client

    async def run(self, projection: Any, target: str, db: Any = None, **options: Any) -> Any:
        """Runs a projection until it has caught up, or as the options say."""
        options.setdefault("until", "caught_up")
        async with contextlib.AsyncExitStack() as stack:
            if db is None:
                db = await stack.enter_async_context(self.connected())
            store = await stack.enter_async_context(self.store(target))
            return await settled(projection.run(store, db, **options))


def fill(store: Client, numbers: range, streams: int = 3) -> dict[str, int]:
    """Appends numbers; returns their sums by stream."""
    right: dict[str, int] = {}
    for n in numbers:
        stream = f"a-{n % streams}"
        right[stream] = right.get(stream, 0) + n
        store.append(stream, [Event("T", {"n": n})], expected_version=ANY)
    return right


async def until_sums_are(base: Database, right: dict[str, int]) -> None:
    """Returns when a projection in the background has come so far."""
    async with asyncio.timeout(60):
        while await base.sums() != right:  # noqa: ASYNC110 - they become so elsewhere
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def in_the_background(
    base: Database, projection: Any, target: str
) -> AsyncIterator[asyncio.Task[Any]]:
    """Runs a projection for ever, and stops it at the end: in a thread of its own if it blocks."""

    def run() -> Any:
        return asyncio.run(base.run(projection, target, until=None))

    async def run_there() -> Any:
        if base.kind in SYNC:
            return await asyncio.to_thread(run)
        return await base.run(projection, target, until=None)

    running = asyncio.create_task(run_there())
    try:
        yield running
    finally:
        await settled(projection.stop())
        await asyncio.wait((running,), timeout=20)
