"""Goal: between pages and tail there is no seam, wherever subscribers fall out of the one and into
the other, and what is kept in memory is bounded.

Method: a writer, a tail and subscriptions of this process on a real PostgreSQL, with a tail that
keeps next to nothing, and subscribers that pause at random; the log itself is the model.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.support.writers import Store, new, opened

from eventfold import _core
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.subscribe import Subscriptions
from eventfold_server.domain.subscription import Kind, Wanted
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.tail import TailStorage

APPENDS = 150
EVERYTHING = Wanted(None, None, None, None, None, with_system=True)
WANTED = [
    EVERYTHING,
    Wanted("a-1", None, None, None, None, with_system=False),
    Wanted(None, ["a", "b"], None, None, None, with_system=False),
    Wanted(None, None, ["T0", "T1"], None, None, with_system=False),
    Wanted(None, ["b"], None, None, "meta.version > 3 && meta.type != 'T1'", with_system=False),
    Wanted(None, None, ["None"], None, None, with_system=False),
]


class Following:
    """A store with a tail and subscriptions in this process."""

    def __init__(self, store: Store, log: LogStorage, tail: Tail) -> None:
        self.store = store
        self.log = log
        self.tail = tail
        self.subscriptions = Subscriptions(log, tail)

    async def append(self, choose: random.Random) -> int:
        stream = f"{choose.choice('abc')}-{choose.randint(1, 2)}"
        data = b'{"fill": "%s"}' % (b"x" * choose.choice((10, 10, 3_000)))
        ids = ("",) * choose.choice((1, 1, 2, 9))
        done = await self.store.append(
            new(stream, ids=ids, kind=f"T{choose.randint(0, 3)}", data=data)
        )
        self.tail.told(done.positions[-1])
        return done.positions[-1]


@asynccontextmanager
async def following(url: str, bytes_max: int, poll_s: float) -> AsyncIterator[Following]:
    schema = f"tail_{uuid.uuid4().hex}"
    async with opened(url, schema) as store:
        database = Database(url, schema)
        await database.open()
        tail = Tail(TailStorage(database, Catalogue(database)), poll_s=poll_s, bytes_max=bytes_max)
        tail.start()
        yield Following(store, LogStorage(database, Catalogue(database)), tail)
        await tail.stop()
        await database.close()


def positions(encoded: bytes) -> list[int]:
    return [event.position for event in _core.EventPage(encoded)]


async def follow(
    at: Following, wanted: Wanted, end: asyncio.Future[int], choose: random.Random
) -> tuple[list[int], list[Kind]]:
    """What a subscriber gets who pauses, and begins anew from its last token, at random."""
    got: list[int] = []
    kinds: list[Kind] = []
    start, position = LogStart(), 0
    while not (end.done() and position >= end.result()):
        async with aclosing(at.subscriptions.frames(wanted, start)) as frames:
            async for frame in frames:
                assert frame.position >= position
                got += positions(frame.events)
                kinds.append(frame.kind)
                position, start = frame.position, LogStart(resume_token=frame.resume_token)
                if end.done() and position >= end.result():
                    break
                if choose.random() < 0.3:
                    await asyncio.sleep(choose.choice((0.001, 0.02, 0.2)))
                if choose.random() < 0.03:
                    break
    return got, kinds


@pytest.mark.parametrize(("seed", "bytes_max"), [(1, 1), (2, 6_000), (3, 60_000), (4, 10**7)])
async def test_no_seam(database_url: str, seed: int, bytes_max: int) -> None:
    choose = random.Random(seed)
    async with following(database_url, bytes_max, poll_s=0.2) as at:
        for _ in range(20):
            await at.append(choose)
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        followers = [
            asyncio.create_task(follow(at, wanted, end, random.Random(f"{seed} {n} {again}")))
            for n, wanted in enumerate(WANTED)
            for again in range(3)
        ]
        for _ in range(APPENDS):
            head = await at.append(choose)
            await asyncio.sleep(choose.choice((0, 0, 0.005, 0.02)))
        end.set_result(head)
        results = await asyncio.wait_for(asyncio.gather(*followers), 60)
        rows = at.store.rows(
            "SELECT e.position, s.name, e.type, e.version FROM {}.events e"
            " JOIN {}.streams s USING (stream_no) ORDER BY e.position"
        )
        passing = [
            [p for p, *_ in rows],
            [p for p, name, *_ in rows if name == "a-1"],
            [p for p, name, *_ in rows if name[0] in "ab"],
            [p for p, _, kind, _ in rows if kind in {"T0", "T1"}],
            [p for p, name, kind, v in rows if name[0] == "b" and v > 3 and kind != "T1"],
            [],
        ]
        fallen = 0
        for number, (got, kinds) in enumerate(results):
            assert got == passing[number // 3], WANTED[number // 3]
            fallen += kinds.count(Kind.FELL_BEHIND)
        assert (fallen > 0) == (bytes_max < 10**6)
        # All of them are gone, and with them what was kept.
        assert not at.tail.covers(head)


async def test_who_waits_after_the_end_is_told_at_once(database_url: str) -> None:
    """Whoever was at something else when the server stopped would wait for nothing."""
    async with following(database_url, 10**6, poll_s=0.2) as at:
        await at.tail.stop()
        with pytest.raises(Refusal) as told:
            await asyncio.wait_for(at.tail.moved(None), 5)
        assert told.value.reason == "SHUTTING_DOWN"


async def test_the_poll_alone(database_url: str) -> None:
    """Nobody tells the tail of anything, and it looks by itself."""
    async with following(database_url, 10**6, poll_s=0.05) as at:
        frames = at.subscriptions.frames(EVERYTHING, LogStart())
        async with aclosing(frames):
            assert (await anext(frames)).kind == Kind.CAUGHT_UP
            for position in range(1, 6):
                await at.store.append(new("a-1"))
                assert positions((await anext(frames)).events) == [position]


async def test_waiting_beyond_a_position(database_url: str) -> None:
    async with following(database_url, 10**6, poll_s=30) as at:
        assert await at.tail.wait_beyond(0, 0.05) == 0
        waits = [asyncio.create_task(at.tail.wait_beyond(position)) for position in (0, 0, 1, 3)]
        await asyncio.sleep(0.1)
        await at.append(random.Random(5))
        head = (await at.store.append(new("a-9", ids=("",) * 4))).positions[-1]
        at.tail.told(head)
        assert all(found >= 1 for found in await asyncio.gather(*waits))
        assert await at.tail.wait_beyond(head - 1) == head
        late = asyncio.create_task(at.tail.wait_beyond(head))
        await asyncio.sleep(0.05)
        await at.tail.stop()
        with pytest.raises(Refusal, match="SHUTTING_DOWN"):
            await late
