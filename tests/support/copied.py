"""Logs that hold copies, readers of all kinds in this process, and what they must get."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg

from eventfold import _core
from eventfold_server.domain.copies import Copies
from eventfold_server.domain.read import Reader
from eventfold_server.domain.subscribe import Subscriptions
from eventfold_server.domain.tail import Tail
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.groups import GroupSpec, GroupStorage
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.tail import TailStorage

from .projections import TYPES, Event, Log, store_events

CATEGORIES = ("Account", "Card", "Other")


@dataclass(frozen=True)
class Reads:
    """Which events a reader asks for."""

    stream: str | None = None
    categories: Sequence[str] | None = None
    types: Sequence[str] | None = None
    copies: Copies = Copies.UNSPECIFIED

    def wants(self, event: Event) -> bool:
        """The rule in plain Python."""
        by_name = self.stream is not None or self.categories is not None
        if event.copied_from is not None and (
            self.copies is Copies.EXCLUDE or (self.copies is Copies.UNSPECIFIED and not by_name)
        ):
            return False
        return (
            (self.stream is None or event.stream == self.stream)
            and (self.categories is None or event.stream.partition("-")[0] in self.categories)
            and (self.types is None or event.type in self.types)
        )

    def of(self, events: Sequence[Event]) -> list[int]:
        """Positions of those that the reader is to get."""
        return [event.position for event in events if self.wants(event)]

    def group(self, *, condition: str | None, ordered: bool) -> GroupSpec:
        """A group that asks for the same."""
        return GroupSpec(
            categories=self.categories,
            stream=self.stream,
            types=self.types,
            tags=None,
            condition=condition,
            with_system=False,
            copies=self.copies.value or None,
            ack_timeout=timedelta(seconds=30),
            attempts_max=10,
            retry_initial=timedelta(seconds=1),
            retry_factor=2.0,
            retry_max=timedelta(seconds=60),
            hold_back=False,
            ordered=ordered,
        )


def random_reads(rng: random.Random, *, streams: bool = True) -> Reads:
    """A reader of any kind."""
    stream = categories = types = None
    kind = rng.choice(("log", "categories", "stream" if streams else "log"))
    if kind == "stream":
        stream = f"{rng.choice(CATEGORIES)}-{rng.randrange(5)}"
    elif kind == "categories":
        categories = sorted(rng.sample(CATEGORIES, rng.randint(1, 3)))
    if rng.random() < 0.4:
        types = sorted(rng.sample(TYPES, rng.randint(1, 3)))
    return Reads(stream, categories, types, rng.choice(list(Copies)))


@dataclass
class Copied:
    """A store of its own whose log holds copies."""

    url: str
    database: Database
    catalogue: Catalogue
    tail: Tail
    log: Log
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage = LogStorage(self.database, self.catalogue)
        self.reader = Reader(self.storage, LineStorage(self.database))
        self.subscriptions = Subscriptions(self.storage, self.tail)
        self.groups = GroupStorage(self.database, self.catalogue)
        self.schema = self.database.queries.schema

    async def grow(self, count: int) -> None:
        """Appends events past the server, of which about a third are copies."""
        added = self.log.grow(count)
        await asyncio.to_thread(store_events, self.url, self.schema, added)
        self.events += added
        self.tail.told(added[-1].position)

    def transform(self, number: int, sources: Sequence[str], targets: Sequence[str]) -> None:
        """Notes the categories of a transform."""
        with psycopg.connect(self.url) as connection:
            for category in {*sources, *targets}:
                connection.execute(
                    f"INSERT INTO {self.schema}.transform_categories VALUES (%s, %s, %s, %s)",
                    (number, category, category in sources, category in targets),
                )

    def forget_transforms(self) -> None:
        """There was none."""
        with psycopg.connect(self.url) as connection:
            connection.execute(f"DELETE FROM {self.schema}.transform_categories")


@asynccontextmanager
async def copied(
    url: str, seed: int, *, copies: float = 0.35, tail_bytes: int = 10**7
) -> AsyncIterator[Copied]:
    """A store with an empty log that grows at random."""
    database = Database(url, f"copies_{uuid.uuid4().hex}")
    await database.open()
    catalogue = Catalogue(database)
    tail = Tail(TailStorage(database, catalogue), poll_s=0.2, bytes_max=tail_bytes)
    tail.start()
    log = Log(random.Random(seed), streams=8, copies=copies)
    yield Copied(url, database, catalogue, tail, log)
    await tail.stop()
    await database.close()


@asynccontextmanager
async def projector(at: Copied) -> AsyncIterator[Projector]:
    """Connections for workers of the store."""
    opened = Projector(at.database, at.catalogue)
    yield opened
    await opened.close()


def positions(encoded: bytes) -> list[int]:
    """Positions of encoded events."""
    return [event.position for event in _core.EventPage(encoded)]
