"""Stores with a writer of the test's own process, and what became of appends to them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from eventfold_server.domain.append import ANY, Appended, Appender, NewEvents, Started
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.appends import AppendStorage
from eventfold_server.storage.database import Database
from eventfold_server.storage.writer import Writer

from .database import appends_waiting, connected

ME = Caller("tester", frozenset())
Outcome = tuple[str, ...]


class Store:
    """A store of its own with a writer of this process."""

    def __init__(self, url: str, schema: str, database: Database) -> None:
        self.url = url
        self.schema = schema
        self.storage = AppendStorage(database)
        self.writer = Writer(self.storage)
        self.appender = Appender(self.storage, self.writer)

    def start(self, new: NewEvents) -> Started:
        return self.appender.start(ME, new)

    async def append(self, new: NewEvents) -> Appended:
        return await self.appender.append(ME, new)

    async def together(self, *appends: NewEvents) -> list[Outcome]:
        """Outcomes of appends that were all there when the writer looked."""
        started = [self.start(new) for new in appends]
        return [await outcome(one) for one in started]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with connected(self.url) as postgres:
            return postgres.execute(sql.replace("{}", self.schema)).fetchall()

    def batches(self) -> list[int]:
        """Appends of a single event by transaction, in order."""
        found = self.rows("SELECT count(*) FROM {}.events GROUP BY xmin ORDER BY min(position)")
        return [count for (count,) in found]


@asynccontextmanager
async def opened(url: str, schema: str) -> AsyncIterator[Store]:
    database = Database(url, schema)
    await database.open()
    store = Store(url, schema, database)
    await store.writer.open()
    yield store
    await store.writer.close()
    await database.close()


def new(
    stream: str,
    expected: int = ANY,
    ids: Sequence[str] = ("",),
    kind: str = "T",
    data: bytes = b"{}",
) -> NewEvents:
    """An append of as many events as there are ids, an empty one being a new one. What is in an
    event follows from its id.
    """
    count = len(ids)
    ids = [id_ or str(uuid.uuid4()) for id_ in ids]
    return NewEvents(
        stream=stream,
        expected=expected,
        ids=ids,
        types=[kind] * count,
        data=[data] * count,
        metadata=[b""] * count,
        tags=[[f"tag-{n}" for n in range(int(id_[0], 16) % 3)] for id_ in ids],
        occurred_us=[None] * count,
    )


def one_mebibyte(number: int) -> NewEvents:
    """An append whose name, type and data come to 1 MiB, without tags."""
    data = b'{"a":"%s"}' % (b"x" * (1024 * 1024 - 12))
    stream = f"{chr(ord('a') + number // 10)}-{number % 10}"
    return new(stream, ids=[str(uuid.UUID(int=number + 1))], data=data)


async def blocked(store: Store) -> None:
    """Waits until a batch of the store waits for the counter row."""
    for _ in range(500):
        if await asyncio.to_thread(appends_waiting, store.url):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no batch is under way")


async def outcome(started: Started) -> Outcome:
    done = asyncio.Event()
    started.when_decided(done.set)
    async with asyncio.timeout(30):
        await done.wait()
    return told(started.result)


def told(result: Callable[[], Appended]) -> Outcome:
    """What an append became, without what differs between two stores."""
    try:
        done = result()
    except Refusal as refusal:
        facts = (f"{name}={fact}" for name, fact in sorted(refusal.facts.items()))
        return (refusal.reason, *facts)
    kind = "duplicate" if done.duplicate else "stored"
    return (kind, str(done.first_version), *map(str, done.positions))


async def many(
    store: Store, appends: Sequence[NewEvents], checks: Sequence[tuple[str, int]] = ()
) -> Outcome:
    """The outcome of an append to several streams."""
    try:
        answer = await store.appender.append_many(ME, appends, checks)
    except Refusal as refusal:
        return (refusal.reason,)
    parts: list[str] = []
    for one in answer:
        if isinstance(one, Appended):
            parts += told(lambda one=one: one)  # type: ignore[misc]
        else:
            parts.append(f"{one.append_index}/{one.check_index}: {one.refusal.reason} "
                         f"{one.actual_version}")  # fmt: skip
    return tuple(parts)
