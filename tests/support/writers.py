"""Stores with a writer of the test's own process, and what became of appends to them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb
from eventfold_server.domain.append import Appender, Started, error_of
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.appends import AppendStorage
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.writer import Writer

from .database import appends_waiting, connected

ME = Caller("tester", frozenset())
EXISTS = -1
ANY = -2
Outcome = tuple[str, ...]


@dataclass(frozen=True)
class NewEvents:
    """An append to one stream."""

    stream: str
    # 0 or more is exact, -1 exists, -2 any.
    expected: int
    ids: list[str]
    types: list[str]
    data: list[bytes]
    tags: list[list[str]]

    def fill(self, request: pb.AppendRequest | pb.StreamAppend) -> None:
        """Writes it into a message."""
        request.stream = self.stream
        expect(request.expected_version, self.expected)
        for id_, type_, data, tags in zip(self.ids, self.types, self.data, self.tags, strict=True):
            request.events.add(id=id_, type=type_, data=data, tags=tags)

    def request(self) -> bytes:
        """The serialised request."""
        message = pb.AppendRequest()
        self.fill(message)
        return message.SerializeToString()


def expect(message: pb.ExpectedVersion, expected: int) -> None:
    """Says what is expected."""
    if expected == EXISTS:
        message.exists.SetInParent()
    elif expected == ANY:
        message.any.SetInParent()
    else:
        message.exact = expected


@dataclass(frozen=True)
class Begun:
    """An append that was begun."""

    started: Started
    decided: asyncio.Event

    def withdraw(self, refusal: Refusal) -> bool:
        return self.started.withdraw(refusal)


class Store:
    """A store of its own with a writer of this process."""

    def __init__(self, url: str, schema: str, database: Database) -> None:
        self.url = url
        self.schema = schema
        self.storage = AppendStorage(database)
        self.catalogue = Catalogue(database)
        sealer = Sealer(self.storage, None, None)
        self.writer = Writer(self.storage, self.catalogue, sealer)
        self.appender = Appender(
            self.storage, self.writer, self.catalogue, LineStorage(database), sealer
        )

    def start(self, new: NewEvents) -> Begun:
        """Begins an append as a session does."""
        append = _core.Append.of_request(new.request(), ME.writer, None, self.catalogue.rules)
        decided = asyncio.Event()
        return Begun(self.appender.start(append, lambda _: decided.set()), decided)

    async def append(self, new: NewEvents) -> pb.AppendResponse:
        appended = await self.appender.append(ME, new.request())
        return pb.AppendResponse.FromString(appended.response or b"")

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
    await store.catalogue.load()
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
        tags=[[f"tag-{n}" for n in range(int(id_[0], 16) % 3)] for id_ in ids],
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


async def outcome(begun: Begun) -> Outcome:
    async with asyncio.timeout(30):
        await begun.decided.wait()
    started = begun.started
    if (error := error_of(started)) is not None:
        if isinstance(error, Refusal):
            facts = (f"{name}={fact}" for name, fact in sorted(error.facts.items()))
            return (error.reason, *facts)
        raise error
    assert started.outcome is not None
    return told(pb.AppendResponse.FromString(started.outcome.response()))


def told(done: pb.AppendResponse) -> Outcome:
    """What an append became, without what differs between two stores."""
    kind = "duplicate" if done.duplicate else "stored"
    return (kind, str(done.first_version), *map(str, done.positions))


async def many(
    store: Store, appends: Sequence[NewEvents], checks: Sequence[tuple[str, int]] = ()
) -> Outcome:
    """The outcome of an append to several streams."""
    request = pb.AppendManyRequest()
    for new in appends:
        new.fill(request.appends.add())
    for stream, expected in checks:
        expect(request.checks.add(stream=stream).expected_version, expected)
    try:
        answer = await store.appender.append_many(ME, request.SerializeToString())
    except Refusal as refusal:
        return (refusal.reason,)
    if isinstance(answer, bytes):
        stored = pb.AppendManyResponse.FromString(answer).stored
        return tuple(part for one in stored.appends for part in told(one))
    return tuple(
        f"{one.append_index}/{one.check_index}: {one.refusal.reason} {one.actual_version}"
        for one in answer
    )
