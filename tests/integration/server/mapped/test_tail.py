"""Goal: the newest events are kept as the mappings in force make them, and no longer; who wants
them as they are stored follows as closely, and asks for nothing while nothing happens.

Method: a writer, a tail and subscriptions of this process on a real PostgreSQL; mappings come and
go by their rows, while subscribers of all kinds follow.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import asyncpg
import pytest
from tests.support.mappings import drop_mapping, put_mapping
from tests.support.writers import Store, new, opened

from eventfold import _core
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.subscribe import Subscriptions
from eventfold_server.domain.subscription import Frame, Kind, Wanted
from eventfold_server.domain.tail import Tail
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.tail import TailStorage
from eventfold_server.storage.views import View

POLL_S = 0.2
CHANGES = 25
STREAM = "a-1"


class Counted(LogStorage):
    """A log that counts how often it is asked where it ends."""

    heads = 0

    async def head(self) -> int:
        self.heads += 1
        return await super().head()


class Following:
    """A store with a tail and subscriptions in this process, and another process's changes."""

    def __init__(self, store: Store, database: Database, connection: asyncpg.Connection) -> None:
        catalogue = Catalogue(database)
        self.schema = database.queries.schema
        self.connection = connection
        self.store = store
        self.log = Counted(database, catalogue)
        self.tail = Tail(TailStorage(database, catalogue), poll_s=POLL_S)
        self.subscriptions = Subscriptions(self.log, self.tail)
        self.number = 0

    async def append(self) -> int:
        """Appends an event with the number of the mapping that is surely in force."""
        data = json.dumps({"at_least": self.number}).encode()
        done = await self.store.append(new(STREAM, kind="T", data=data))
        self.tail.told(done.positions[-1])
        return done.positions[-1]

    async def put(self) -> None:
        source = f"mapping: T\ndefaults: {{number: {self.number + 1}}}\n"
        await put_mapping(self.connection, self.schema, "T", source)
        self.number += 1


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Following]:
    schema = f"tail_{uuid.uuid4().hex}"
    async with opened(database_url, schema) as store:
        database = Database(database_url, schema)
        await database.open()
        connection = await asyncpg.connect(database_url)
        found = Following(store, database, connection)
        found.tail.start()
        yield found
        await found.tail.stop()
        await connection.close()
        await database.close()


async def follow(
    at: Following, wanted: Wanted, end: asyncio.Future[int], choose: random.Random
) -> tuple[list[tuple[int, dict[str, int]]], list[Kind]]:
    """Positions and data of what a subscriber gets, who pauses at random."""
    got: list[tuple[int, dict[str, int]]] = []
    kinds: list[Kind] = []
    async with aclosing(at.subscriptions.frames(wanted, LogStart())) as frames:
        async for frame in frames:
            kinds.append(frame.kind)
            events = list(_core.EventPage(frame.events))
            got += [(event.position, json.loads(event.data_json)) for event in events]
            if end.done() and frame.position >= end.result():
                return got, kinds
            if choose.random() < 0.2:
                await asyncio.sleep(choose.choice((0.001, 0.02, 0.1)))
    raise AssertionError("the subscription ended")


@pytest.mark.parametrize("seed", range(3))
async def test_no_seam_while_mappings_change(at: Following, seed: int) -> None:
    """Every event comes once, in order; by a mapping that was in force when it was appended, or a
    later one. Who wants stored data gets these alone.
    """
    choose = random.Random(seed)
    end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    kinds_of_wanted = [
        Wanted(None, None, None, None, None, with_system=True),
        Wanted(STREAM, None, None, None, None, with_system=False),
        Wanted(None, None, None, None, "event.?number.orValue(0) >= 0", with_system=False),
    ]
    wanted = [*kinds_of_wanted, *(replace(one, view=View(raw=True)) for one in kinds_of_wanted)]
    followers = [
        asyncio.create_task(follow(at, one, end, random.Random(f"{seed} {n}")))
        for n, one in enumerate(wanted)
    ]
    head = 0
    for _ in range(CHANGES):
        await at.put()
        for _ in range(choose.randint(0, 4)):
            head = await at.append()
            await asyncio.sleep(choose.choice((0, 0, 0.01, 0.03)))
    head = await at.append()
    end.set_result(head)
    for one, (got, _) in zip(wanted, await asyncio.gather(*followers), strict=True):
        assert [position for position, _ in got] == list(range(1, head + 1))
        for _, data in got:
            if one.view.raw:
                assert "number" not in data
            else:
                assert data["number"] >= data["at_least"]


async def test_raw_followers_ask_for_nothing_while_nothing_happens(at: Following) -> None:
    """They are told that they have caught up, once, and hear of each event."""
    await at.append()
    await at.put()
    wanted = Wanted(None, None, None, None, None, with_system=False, view=View(raw=True))
    async with aclosing(at.subscriptions.frames(wanted, LogStart())) as frames:

        async def until(kind: Kind) -> Frame:
            while (frame := await anext(frames)).kind != kind:
                assert frame.kind in (Kind.EVENTS, Kind.CHECKPOINT)
            return frame

        await until(Kind.CAUGHT_UP)
        for _ in range(3):
            waiting = asyncio.ensure_future(anext(frames))
            # The tail looks a few times meanwhile.
            await asyncio.sleep(2 * POLL_S)
            heads = at.log.heads
            await asyncio.sleep(5 * POLL_S)
            assert at.log.heads == heads
            assert not waiting.done()
            position = await at.append()
            frame = await waiting
            assert (frame.kind, frame.position) == (Kind.EVENTS, position)
            assert at.log.heads == heads + 1


async def test_mapped_followers_stay_with_the_tail_over_a_change(at: Following) -> None:
    """Nobody who has caught up is told that he fell behind, or reads the log again."""
    await at.append()
    wanted = Wanted(None, None, None, None, None, with_system=False)
    async with aclosing(at.subscriptions.frames(wanted, LogStart())) as frames:
        while (await anext(frames)).kind != Kind.CAUGHT_UP:
            pass
        for change in range(4):
            waiting = asyncio.ensure_future(anext(frames))
            if change == 3:
                await drop_mapping(at.connection, at.schema, "T")
            else:
                await at.put()
            # The tail notices by itself.
            await asyncio.sleep(3 * POLL_S)
            heads = at.log.heads
            await at.append()
            frame = await waiting
            [event] = _core.EventPage(frame.events)
            assert event.mapped == (change != 3)
            assert at.log.heads == heads
