"""Goal: another generation of a projection takes the place of the one that is read, and a process
that is killed at any moment of all this leaves nothing half done.

Method: sums in two tables, of which readers read one, through all drivers; a process that dies
(-9) before each statement of a run in its turn.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sdk.projecting import (
    SYNC,
    TABLE,
    Database,
    fill,
    in_the_background,
    settled,
    until_sums_are,
)
from tests.integration.sdk.projection_dying import run

from eventfold import Client
from eventfold.projection import ProjectionReplaced, ProjectionStatus

ROOT = Path(__file__).resolve().parents[3]


async def test_a_rebuild_beside_the_old_one(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """The new generation is built, switched to in one transaction with the view that is read, and
    the old one is stopped for good: its next transaction, and its next start.
    """
    right = fill(store, range(1, 11))
    await base.execute(TABLE.format("sums_2"))
    await base.execute("CREATE VIEW current AS SELECT * FROM sums")
    old = base.projection()
    await base.run(old, eventfold_target)
    assert await base.sums("current") == right

    calls: list[Any] = []

    def switch(db: Any) -> Any:
        calls.append(db)
        if base.kind == "sqlite":
            db.execute("DROP VIEW current")
            return db.execute("CREATE VIEW current AS SELECT stream, -sum AS sum FROM sums_2")
        return db.execute(
            "CREATE OR REPLACE VIEW current AS SELECT stream, -sum AS sum FROM sums_2"
        )

    new = base.projection(table="sums_2", generation=2)
    async with base.connected() as db:
        ran = await base.run(new, eventfold_target, db)
        assert not ran.switched
        assert not (await settled(new.status(db))).is_active
        assert await base.sums("current") == right
        # The old one goes on meanwhile, and is further: readers do not see what was.
        more = fill(store, range(11, 14))
        await base.run(old, eventfold_target)
        right = {stream: right[stream] + more[stream] for stream in right}
        assert await base.sums("current") == right
        ran = await base.run(new, eventfold_target, db, switch=switch)
        assert (ran.switched, ran.position, len(calls)) == (True, 13, 1)
        assert await base.sums("current") == {stream: -n for stream, n in right.items()}
        assert (await settled(new.status(db))).is_active
    fill(store, range(14, 15))
    with pytest.raises(ProjectionReplaced) as raised:
        await base.run(old, eventfold_target)
    replaced = raised.value
    assert (replaced.projection, replaced.generation, replaced.active) == ("sums", 1, 2)
    # Once is enough.
    ran = await base.run(new, eventfold_target, switch=switch)
    assert (ran.switched, ran.events, len(calls)) == (False, 1, 1)
    assert await base.sums("sums") == right


async def test_the_old_one_is_stopped_by_the_switch(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """It runs while the new one takes its place, renaming the tables, and stores nothing more."""
    right = fill(store, range(1, 11))
    await base.execute(TABLE.format("sums_2"))
    old = base.projection()
    new = base.projection(table="sums_2", generation=2)

    def rename(db: Any) -> Any:
        if base.kind in SYNC:
            db.execute("ALTER TABLE sums RENAME TO sums_1")
            return db.execute("ALTER TABLE sums_2 RENAME TO sums")

        async def both() -> None:
            await db.execute("ALTER TABLE sums RENAME TO sums_1")
            await db.execute("ALTER TABLE sums_2 RENAME TO sums")

        return both()

    async with in_the_background(base, old, eventfold_target) as running:
        await until_sums_are(base, right)
        ran = await base.run(new, eventfold_target, switch=rename)
        assert ran.switched
        fill(store, range(11, 12))
        with pytest.raises(ProjectionReplaced):
            await asyncio.wait_for(asyncio.shield(running), 20)
    assert await base.sums() == right
    assert await base.sums("sums_1") == right


async def test_the_tables_of_the_old_one_may_go_with_the_switch(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """It is told that it was replaced, not that its handler failed; nor may it be rewound."""
    right = fill(store, range(1, 11))
    await base.execute(TABLE.format("sums_2"))
    old, new = base.projection(), base.projection(table="sums_2", generation=2)
    async with in_the_background(base, old, eventfold_target) as running:
        await until_sums_are(base, right)
        await base.run(new, eventfold_target, switch=lambda db: db.execute("DROP TABLE sums"))
        fill(store, range(11, 12))
        with pytest.raises(ProjectionReplaced):
            await asyncio.wait_for(asyncio.shield(running), 20)
    async with base.connected() as db:
        rewinding = old.rewind(db)
        enter = rewinding.__enter__ if base.kind in SYNC else rewinding.__aenter__
        with pytest.raises(ProjectionReplaced):
            await settled(enter())


async def test_a_switch_under_appends(base: Database, store: Client, eventfold_target: str) -> None:
    """The old one runs, and so do appends and readers: these never see what was, nor an error."""
    await base.execute(TABLE.format("sums_2"))
    await base.execute("CREATE VIEW current AS SELECT * FROM sums")
    old, new = base.projection(), base.projection(table="sums_2", generation=2)
    seen: list[int] = [0]
    has_seen, is_over = threading.Event(), threading.Event()

    def write() -> None:
        for n in range(1, 200):
            fill(store, range(n, n + 1))

    def read() -> None:
        while not is_over.is_set():
            [(total,)] = base.rows_now("SELECT coalesce(sum(sum), 0) FROM current")
            seen.append(int(total))
            if total:
                has_seen.set()

    def switch(db: Any) -> Any:
        replacing = "CREATE OR REPLACE VIEW current AS SELECT * FROM sums_2"
        if base.kind == "sqlite":
            db.execute("DROP VIEW current")
            replacing = replacing.replace("OR REPLACE ", "")
        return db.execute(replacing)

    reading = asyncio.create_task(asyncio.to_thread(read))
    try:
        async with in_the_background(base, old, eventfold_target) as running:
            writing = asyncio.create_task(asyncio.to_thread(write))
            assert await asyncio.to_thread(has_seen.wait, 30)
            ran = await base.run(new, eventfold_target, switch=switch)
            assert ran.switched
            await writing
            fill(store, range(200, 201))
            with pytest.raises(ProjectionReplaced):
                await asyncio.wait_for(asyncio.shield(running), 30)
            await base.run(new, eventfold_target)
    finally:
        is_over.set()
        await reading
    assert seen == sorted(seen)
    total = sum(range(1, 201))
    assert sum((await base.sums("current")).values()) == total


@pytest.mark.parametrize("base", ["sqlite", "asyncpg"], indirect=True)
async def test_one_without_events_hears_of_it_too(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """By the next sign of life, of which there is one every 10 s."""
    right = fill(store, range(1, 4))
    await base.execute(TABLE.format("sums_2"))
    new = base.projection(table="sums_2", generation=2)
    async with in_the_background(base, base.projection(), eventfold_target) as running:
        await until_sums_are(base, right)
        await base.run(new, eventfold_target, switch=lambda db: None)
        with pytest.raises(ProjectionReplaced):
            await asyncio.wait_for(asyncio.shield(running), 20)


async def test_a_switch_that_fails_switches_nothing(
    base: Database, store: Client, eventfold_target: str
) -> None:
    right = fill(store, range(1, 6))
    await base.execute(TABLE.format("sums_2"))
    await base.run(base.projection(), eventfold_target)
    new = base.projection(table="sums_2", generation=2)

    def switch(db: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await base.run(new, eventfold_target, switch=switch)
    async with base.connected() as db:
        assert await settled(new.status(db)) == ProjectionStatus("sums", 2, 1, 5)
    assert await base.sums("sums_2") == right
    assert (await base.run(base.projection(), eventfold_target)).events == 0


@pytest.mark.parametrize("course", ["first", "switch"])
async def test_killed_before_every_statement(
    base: Database, store: Client, eventfold_target: str, course: str
) -> None:
    """A process dies (-9) before each statement of a run in its turn, and another one goes on:
    the sums are right, in the table that is read.
    """
    right = fill(store, range(1, 7))
    await base.execute("DROP TABLE sums")
    command = [sys.executable, "-m", "tests.integration.sdk.projection_dying"]
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else is to run meanwhile
        [*command, base.kind, base.where, eventfold_target, course],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        for number in itertools.count(1):
            await prepare(base, eventfold_target, course)
            print(number, file=forks.stdin, flush=True)
            died = forks.stdout.readline().strip()
            assert died in ("-9", "0"), died
            await run(base, eventfold_target, course)
            assert await base.sums() == right, number
            if course == "switch":
                assert await base.sums("sums_1") == right
                assert await base.rows("SELECT * FROM eventfold_projections") == [("sums", 2)]
            if died == "0":
                break
        forks.stdin.close()
    # Three transactions, or the switch and its fence.
    assert number > 25


async def prepare(base: Database, target: str, course: str) -> None:
    """Makes everything as it was."""
    for table in ("eventfold_checkpoints", "eventfold_projections", "sums", "sums_1", "sums_2"):
        await base.execute(f"DROP TABLE IF EXISTS {table}")
    await base.execute(TABLE.format("sums"))
    if course == "switch":
        await base.run(base.projection(), target)
        await base.execute(TABLE.format("sums_2"))
