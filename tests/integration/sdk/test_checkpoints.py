"""Goal: what a consumer stores with its checkpoint happens once, however often it dies and however
many of its name are started; for all four kinds of checkpoint.

Method: consumers that add up and die at random steps of their transactions, a process that is
killed (-9), and two of one name at once; the sums are held against the log.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import asyncpg
import psycopg
import psycopg.rows
import pytest

import eventfold
from eventfold import ANY, Client, Event, Place, checkpoint
from eventfold.checkpoint import CheckpointTaken

ROOT = Path(__file__).resolve().parents[3]
TABLE = "CREATE TABLE IF NOT EXISTS sums (stream text PRIMARY KEY, sum bigint)"
ADD = """
INSERT INTO sums AS s VALUES ({}, {})
ON CONFLICT (stream) DO UPDATE SET sum = s.sum + excluded.sum
"""
NUMBERS = itertools.count()
KINDS = ["sqlite", "psycopg", "async psycopg", "asyncpg"]


class Consumer:
    """One consumer's database, through one of the drivers, as if all were asynchronous."""

    def __init__(self, kind: str, where: str) -> None:
        self.kind = kind
        self._where = where
        self.db: Any = None

    async def __aenter__(self) -> Self:
        if self.kind == "sqlite":
            self.db = sqlite3.connect(self._where, timeout=20)
            self.db.row_factory = lambda _, row: {"first": row[0]}
        elif self.kind == "psycopg":
            rows = psycopg.rows.dict_row
            self.db = psycopg.connect(self._where, autocommit=True, row_factory=rows)
        elif self.kind == "async psycopg":
            self.db = await psycopg.AsyncConnection.connect(self._where)
        else:
            self.db = await asyncpg.connect(self._where)
        return self

    async def __aexit__(self, *_: object) -> None:
        closing = self.db.close()
        if closing is not None:
            await closing

    @contextlib.asynccontextmanager
    async def entered(self, manager: Any) -> AsyncIterator[Any]:
        if hasattr(manager, "__aenter__"):
            async with manager as entered:
                yield entered
        else:
            with manager as entered:
                yield entered

    def checkpoint(self, **options: Any) -> Any:
        cls = {
            "sqlite": checkpoint.SqliteCheckpoint,
            "psycopg": checkpoint.PsycopgCheckpoint,
            "async psycopg": checkpoint.AsyncPsycopgCheckpoint,
            "asyncpg": checkpoint.AsyncpgCheckpoint,
        }[self.kind]
        return self.entered(cls(self.db, "sums", **options))

    async def execute(self, statement: str, *values: object) -> None:
        marks = {"sqlite": ("?", "?"), "asyncpg": ("$1", "$2")}.get(self.kind, ("%s", "%s"))
        text = statement.format(*marks)
        if self.kind == "asyncpg":
            await self.db.execute(text, *values)
        elif self.kind == "async psycopg":
            await self.db.execute(text, values)
        else:
            self.db.execute(text, values)

    async def sums(self) -> dict[str, int]:
        query = "SELECT stream, sum FROM sums"
        if self.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(self._where)) as db:
                return dict(db.execute(query))
        with psycopg.connect(self._where) as db:
            return dict(db.execute(query).fetchall())


@pytest.fixture(params=KINDS)
async def consumers(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str
) -> AsyncIterator[Any]:
    """Makes consumers of one kind on one database that is empty."""
    kind = request.param
    if kind == "sqlite":
        yield lambda: Consumer(kind, str(tmp_path / "sums.db"))
        return
    name = f"sums{next(NUMBERS)}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    yield lambda: Consumer(kind, postgres_url.replace("/postgres?", f"/{name}?"))


def fill(store: Client, count: int) -> dict[str, int]:
    """Appends numbers; returns their sums by stream."""
    right: dict[str, int] = {}
    for n in range(1, count + 1):
        stream = f"a-{n % 3}"
        right[stream] = right.get(stream, 0) + n
        store.append(stream, [Event("T", {"n": n})], expected_version=ANY)
    return right


class Died(Exception):
    """The consumer died here."""


async def consume(consumer: Consumer, store: Client, chance: random.Random, head: int) -> None:
    """Adds up until the head, or until it dies."""
    await prepare(consumer)
    async with consumer.checkpoint() as mine:
        with store.subscribe(place=mine.place) as events:
            if mine.place.position == head:
                return
            for event in events:
                async with consumer.entered(mine.advance(events)):
                    if chance.random() < 0.03:
                        raise Died
                    await consumer.execute(ADD, event.stream, event.data["n"])
                    if chance.random() < 0.03:
                        raise Died
                if event.position == head:
                    return


async def prepare(consumer: Consumer) -> None:
    await consumer.execute(TABLE)
    if consumer.kind == "async psycopg":
        await consumer.db.commit()


async def test_dying_at_any_step_changes_nothing(consumers: Any, store: Client) -> None:
    right = fill(store, 150)
    chance = random.Random(11)
    deaths = 0
    while True:
        async with consumers() as consumer:
            try:
                await consume(consumer, store, chance, 150)
                break
            except Died:
                deaths += 1
    assert deaths > 3
    assert await consumer.sums() == right


async def test_two_of_one_name(consumers: Any, store: Client) -> None:
    fill(store, 3)
    async with consumers() as one, consumers() as two:
        await prepare(one)
        async with one.checkpoint() as first:
            with store.subscribe(place=first.place) as events:
                next(events)
                async with one.entered(first.advance(events)):
                    await one.execute(ADD, "a-1", 1)
                next(events)
                async with two.checkpoint() as second:
                    assert (
                        second.place
                        == first.place
                        == events.place.__class__(1, b"", 0, second.place.event_id)
                    )
                    with pytest.raises(CheckpointTaken) as raised:
                        async with one.entered(first.advance(events)):
                            await one.execute(ADD, "a-2", 100)
                    assert (raised.value.name, raised.value.code) == ("sums", "ABORTED")
                    async with two.entered(second.advance(Place(2))):
                        await two.execute(ADD, "a-2", 2)
        assert await one.sums() == {"a-1": 1, "a-2": 2}


async def test_it_moves_back_only_on_purpose(consumers: Any) -> None:
    async with consumers() as consumer:
        await prepare(consumer)
        place = Place(20, b"\x00token", 15, "id")
        async with consumer.checkpoint() as mine:
            assert mine.place == Place()
            async with consumer.entered(mine.advance(place)):
                await consumer.execute(ADD, "a-1", 1)
            with pytest.raises(RuntimeError, match="not to move back to 3"):
                async with consumer.entered(mine.advance(Place(3))):
                    await consumer.execute(ADD, "a-1", 1)
            assert mine.place == place
        async with consumer.checkpoint() as mine:
            assert mine.place == place
            async with consumer.entered(mine.rewind(Place(3))):
                await consumer.execute("DELETE FROM sums")
        async with consumer.checkpoint() as mine:
            assert mine.place == Place(3)
        assert await consumer.sums() == {}


async def test_a_transaction_of_somebody_else_is_refused(consumers: Any) -> None:
    async with consumers() as consumer:
        await prepare(consumer)
        async with consumer.checkpoint() as mine:
            if consumer.kind == "asyncpg":
                await consumer.db.transaction().start()
            elif consumer.kind == "psycopg":
                consumer.db.execute("BEGIN")
            else:
                await consumer.execute(ADD, "a-1", 1)
            with pytest.raises(RuntimeError, match="a transaction is open"):
                async with consumer.entered(mine.advance(Place(1))):
                    pass


async def test_a_table_of_another_name_that_is_made_by_hand(consumers: Any) -> None:
    async with consumers() as consumer:
        await prepare(consumer)
        with pytest.raises((psycopg.Error, asyncpg.PostgresError, sqlite3.Error)):
            async with consumer.checkpoint(create=False):
                pass
    async with consumers() as consumer:
        dialect = "sqlite" if consumer.kind == "sqlite" else "postgresql"
        await consumer.execute(checkpoint.ddl(dialect, "my_places"))
        if consumer.kind == "async psycopg":
            await consumer.db.commit()
        async with consumer.checkpoint(create=False, table="my_places") as mine:
            assert mine.place == Place()
    with pytest.raises(ValueError, match="not the plain name"):
        checkpoint.ddl("sqlite", "x; DROP TABLE y")


def test_two_that_make_the_table_at_once(postgres_url: str) -> None:
    faults: list[BaseException] = []
    gate = threading.Barrier(6)

    def work(number: int) -> None:
        try:
            with psycopg.connect(postgres_url) as db:
                gate.wait()
                with checkpoint.PsycopgCheckpoint(db, f"c{number}", table="at_once"):
                    pass
        except BaseException as fault:  # noqa: BLE001 - compared below
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_the_program_of_the_tutorial_in_postgresql(
    postgres_url: str, eventfold_target: str, tmp_path: Path
) -> None:
    """Killed (-9) at random moments while it catches up, until all is there."""
    page = (ROOT / "docs/tutorials/effectively-once.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n# file: balances_postgres.py\n(.*?)```", page, re.DOTALL)
    assert found
    program = tmp_path / "balances_postgres.py"
    # A transaction an event, and each takes a moment, so that there is something to kill.
    text = found[1].replace("127.0.0.1:4141", eventfold_target)
    slow = text.replace("event.data", "(__import__('time').sleep(0.002), event)[1].data")
    assert slow != text
    program.write_text(slow)
    right: dict[str, int] = {}
    with Client(eventfold_target) as store:
        for n in range(400):
            name = f"account-{n % 3}"
            right[name] = right.get(name, 0) + n
            data = {"amount": n, "text": "x" * 20_000}
            store.append(name, [Event("MoneyDeposited", data)], expected_version=ANY)
    chance = random.Random(2)
    env = os.environ | {"BALANCES_URL": postgres_url}
    kills = 0
    with psycopg.connect(postgres_url, autocommit=True) as db:

        def balances() -> dict[str, int]:
            (is_there,) = db.execute("SELECT to_regclass('balances') IS NOT NULL").fetchone() or ()
            return dict(db.execute("SELECT * FROM balances").fetchall()) if is_there else {}

        end = time.monotonic() + 90
        while (before := balances()) != right:
            assert time.monotonic() < end, (before, right)
            process = subprocess.Popen([sys.executable, str(program)], env=env)
            while balances() == before and process.poll() is None and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            assert process.wait(20) == -9
            kills += 1
    assert kills >= 2


def test_neither_driver_is_imported_by_the_module() -> None:
    code = "import sys, eventfold.checkpoint; print({'psycopg', 'asyncpg'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_checkpoint_is_a_public_error() -> None:
    assert issubclass(CheckpointTaken, eventfold.EventfoldError)
