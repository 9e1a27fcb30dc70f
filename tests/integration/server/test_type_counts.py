"""Goal: what the log holds of each event type is counted right, once each, whoever counts.

Method: counts of several processes at once, some of them killed, against a plain recount.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from tests.support import type_counts
from tests.support.database import connected

from eventfold_server.domain import type_counts as domain
from eventfold_server.domain.type_counts import TypeCounting
from eventfold_server.storage import type_counts as storage
from eventfold_server.storage.database import Database
from eventfold_server.storage.type_counts import CountedType, TypeCountStorage

# Another process: counts in small pieces until it is killed.
_COUNTER = """
import asyncio, sys
from eventfold_server.storage import type_counts
from eventfold_server.storage.database import Database

async def main(url, schema):
    type_counts.TYPES_COUNT_EVENTS = 50
    database = Database(url, schema)
    await database.open()
    counts = type_counts.TypeCountStorage(database)
    print("ready", flush=True)
    while True:
        await counts.count(wait=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine too, all is counted where a test does not say otherwise."""
    monkeypatch.setattr(domain, "TYPES_COUNT_S_MAX", 60.0)


@pytest.fixture
async def schema(database_url: str) -> str:
    """Name of an empty store."""
    name = f"counts_{uuid.uuid4().hex}"
    database = Database(database_url, name)
    await database.open()
    await database.close()
    return name


@asynccontextmanager
async def counting(database_url: str, schema: str) -> AsyncIterator[TypeCounting]:
    database = Database(database_url, schema)
    await database.open()
    yield TypeCounting(TypeCountStorage(database))
    await database.close()


def rows(types: list[CountedType]) -> tuple[type_counts.Rows, type_counts.Rows]:
    """As a recount has them."""
    by_type, by_writer = [], []
    for one in types:
        found = one.counts
        assert found is not None
        by_type.append(
            (
                one.row.type,
                found.events,
                found.violations,
                found.first_position,
                found.last_position,
                found.first_recorded_at,
                found.last_recorded_at,
            )
        )
        by_writer += [(one.row.type, *writer) for writer in found.writers]
        assert found.writers_count == len(found.writers)
    return by_type, by_writer


async def test_counts_are_those_of_the_log(
    database_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "TYPES_COUNT_EVENTS", 300)
    async with counting(database_url, schema) as counts:
        assert await counts.page("", "", 100) == (0, 0, [])
        for filled in (1, 1_000, 299, 5):
            type_counts.fill(database_url, schema, filled)
            position, _, types = await counts.page("", "", 100)
            assert rows(types) == type_counts.recount(database_url, schema)
        assert position == 1_305
        # Pages, and prefixes.
        _, _, some = await counts.page("", "Filled1", 2)
        assert [one.row.type for one in some] == ["Filled2", "Filled3"]
        assert [one.row.type for one in (await counts.page("Filled6", "", 9))[2]] == ["Filled6"]
        assert (await counts.page("Filled66", "", 9))[2] == []


async def test_types_that_are_only_spoken_of(database_url: str, schema: str) -> None:
    with connected(database_url) as postgres:
        postgres.execute(
            f"INSERT INTO {schema}.event_types (type, description, put_by) VALUES ('A', 'a', 'me')"
        )
    async with counting(database_url, schema) as counts:
        [one] = (await counts.page("", "", 9))[2]
    assert (one.row.type, one.row.said.description, one.counts) == ("A", "a", None)


async def test_writers_beyond_those_that_are_shown(
    database_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "TYPES_WRITERS_SHOWN_MAX", 2)
    type_counts.fill(database_url, schema, 22)
    async with counting(database_url, schema) as counts:
        _, _, types = await counts.page("Filled1", "", 1)
    found = types[0].counts
    assert found is not None
    # 1, 8, 15 and 22: most events first, then by name.
    assert [writer[:2] for writer in found.writers] == [("writer1", 2), ("writer0", 1)]
    assert (found.events, found.writers_count) == (4, 3)


async def test_several_count_while_events_come_and_some_are_killed(
    database_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "TYPES_COUNT_EVENTS", 70)
    over = threading.Event()

    def append() -> None:
        while not over.is_set():
            type_counts.fill(database_url, schema, 37)

    async def ask(counts: TypeCounting) -> None:
        before = 0
        while not over.is_set():
            position, _, types = await counts.page("", "", 100)
            # Each answer is whole: as of its position, which never goes back.
            assert sum(one.counts.events for one in types if one.counts) == position >= before
            before = position

    appending = threading.Thread(target=append)
    async with (
        counting(database_url, schema) as first,
        counting(database_url, schema) as second,
    ):
        appending.start()
        asking = [asyncio.create_task(ask(counts)) for counts in (first, second, second)]
        try:
            for _ in range(6):
                await asyncio.to_thread(_count_and_be_killed, database_url, schema)
        finally:
            over.set()
            appending.join(30)
        await asyncio.gather(*asking)
        _, _, types = await first.page("", "", 100)
    assert rows(types) == type_counts.recount(database_url, schema)
    assert sum(row[1] for row in rows(types)[0]) > 500


def _count_and_be_killed(database_url: str, schema: str) -> None:
    command = [sys.executable, "-c", _COUNTER, database_url, schema]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as counter:
        assert counter.stdout is not None
        assert counter.stdout.readline() == "ready\n"
        time.sleep(0.2)
        counter.kill()


async def test_now_and_then(
    database_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks; two processes take turns, and one that is stopped in between holds up nobody."""
    monkeypatch.setattr(storage, "TYPES_COUNT_EVENTS", 50)
    monkeypatch.setattr(domain, "TYPES_COUNT_PAUSE_S", 0.05)

    def counted() -> int:
        with connected(database_url) as postgres:
            row = postgres.execute(f"SELECT position FROM {schema}.event_type_progress").fetchone()
        assert row is not None
        return int(row[0])

    async def until(position: int) -> None:
        for _ in range(1_500):
            if counted() >= position:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"counted up to {counted()}, not {position}")

    async with (
        counting(database_url, schema) as first,
        counting(database_url, schema) as second,
    ):
        type_counts.fill(database_url, schema, 2_000)
        first.start()
        second.start()
        await until(100)
        await first.stop()
        await until(2_000)
        type_counts.fill(database_url, schema, 10)
        await until(2_010)
        await second.stop()
        type_counts.fill(database_url, schema, 10)
        await asyncio.sleep(0.2)
        assert counted() == 2_010


@contextmanager
def held(database_url: str, schema: str) -> Iterator[None]:
    """Somebody else counts, and comes to no end."""
    with connected(database_url) as postgres, postgres.transaction():
        postgres.execute(f"SELECT FROM {schema}.event_type_progress FOR UPDATE")
        yield


async def waiting(database_url: str, schema: str) -> list[int]:
    """The sessions that wait for their turn to count, of which there is at least one."""
    with connected(database_url) as postgres:
        for _ in range(1_000):
            found = postgres.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
                [f"%{schema}%event_types_count_v1%"],
            ).fetchall()
            if found:
                return [int(row[0]) for row in found]
            await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_who_asks_waits_no_longer_than_the_limit(
    database_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = asyncio.get_running_loop().time
    async with counting(database_url, schema) as counts:
        type_counts.fill(database_url, schema, 10)
        assert (await counts.page("", "", 100))[:2] == (10, 10)
        type_counts.fill(database_url, schema, 10)
        monkeypatch.setattr(domain, "TYPES_COUNT_S_MAX", 0.5)
        with held(database_url, schema):
            for _ in range(3):
                began = clock()
                position, head, types = await counts.page("", "", 100)
                assert 0.45 < clock() - began < 10
                assert (position, head) == (10, 20)
                assert sum(one.counts.events for one in types if one.counts) == 10
            # What they left behind goes on, and has the only turn.
            assert len(await waiting(database_url, schema)) == 1
            # A call with less time still has its answer in time.
            monkeypatch.setattr(domain, "TYPES_COUNT_S_MAX", 60.0)
            expires = clock() + 4
            assert (await counts.page("", "", 100, expires=expires))[:2] == (10, 20)
            assert 0 < expires - clock() < 2.1
            # One that is given up leaves nothing that holds up others.
            given_up = asyncio.create_task(counts.page("", "", 100))
            await asyncio.sleep(0.1)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            # Whoever is let in before the limit has all.
            asking = asyncio.create_task(counts.page("", "", 100))
            await asyncio.sleep(0.3)
        assert (await asking)[:2] == (20, 20)


async def test_who_asks_is_answered_though_nothing_can_be_counted(
    database_url: str, schema: str
) -> None:
    type_counts.fill(database_url, schema, 10)
    async with counting(database_url, schema) as counts:
        assert (await counts.page("", "", 100))[:2] == (10, 10)
        type_counts.fill(database_url, schema, 10)
        with connected(database_url) as postgres:
            postgres.execute(
                f"CREATE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ "
                "BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$"
            )
            postgres.execute(
                f"CREATE TRIGGER full_disk BEFORE UPDATE ON {schema}.event_type_progress "
                f"EXECUTE FUNCTION {schema}.full_disk()"
            )
        position, head, types = await counts.page("", "", 100)
        assert (position, head, len(types)) == (10, 20, 7)
        with connected(database_url) as postgres:
            postgres.execute(f"DROP TRIGGER full_disk ON {schema}.event_type_progress")
        assert (await counts.page("", "", 100))[:2] == (20, 20)
        # The connection breaks in the middle.
        type_counts.fill(database_url, schema, 10)
        with held(database_url, schema):
            asking = asyncio.create_task(counts.page("", "", 100))
            with connected(database_url) as postgres:
                for pid in await waiting(database_url, schema):
                    postgres.execute("SELECT pg_terminate_backend(%s)", [pid])
            assert (await asking)[:2] == (20, 30)
        assert (await counts.page("", "", 100))[:2] == (30, 30)


async def test_who_counts_is_not_waited_for_by_the_task(database_url: str, schema: str) -> None:
    type_counts.fill(database_url, schema, 10)
    async with counting(database_url, schema) as counts:
        database: Any = counts._storage._database
        async with database._lent(database._write) as connection, connection.transaction():
            held = f"SELECT FROM {schema}.event_type_progress FOR UPDATE"
            await connection.execute(held)
            assert await counts._storage.count(wait=False) == (None, 10)
            waiting = asyncio.create_task(counts._storage.count(wait=True))
            _, pending = await asyncio.wait({waiting}, timeout=0.3)
            assert pending
        assert await waiting == (10, 10)
        # What is counted already is told without the lock.
        async with database._lent(database._write) as connection, connection.transaction():
            await connection.execute(held)
            assert await counts._storage.count(wait=True) == (10, 10)
