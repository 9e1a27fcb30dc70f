"""Goal: whoever lost a transform changes nothing any more, and nothing is copied under other rules
than those in force.

Method: a store that a server has filled, and jobs on it without a server, two of them for one
transform, as if the process of one had stood still.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from tests.support.database import connected
from tests.support.servers import RunningServer
from tests.support.transform_jobs import by_month, check_copies, fill

import eventfold
from eventfold_server.domain.transforms.cutover import CutOver
from eventfold_server.domain.transforms.documents import compiled
from eventfold_server.domain.transforms.job import Failed, Job
from eventfold_server.domain.transforms.states import (
    CANCELLED,
    COPYING,
    CUTTING_OVER,
    SWITCHING,
    TRYING,
    UNDOING,
    VERIFIED,
    VERIFYING,
)
from eventfold_server.storage.appends import AppendStorage
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.transform_writer import Fenced, HeldAppends, TransformWriter
from eventfold_server.storage.transforms import TransformStorage

CUSTOMERS, PURCHASES = 3, 40


@dataclass
class Store:
    """A store without a server."""

    url: str
    schema: str
    database: Database
    storage: TransformStorage
    writer: TransformWriter
    catalogue: Catalogue

    async def claim(self) -> Job:
        """The only transform, taken from whoever has it."""
        with connected(self.url) as connection:
            connection.execute(f"UPDATE {self.schema}.transform_progress SET lease_until = NULL")
        [claimed] = await self.storage.claim(60.0, [])
        assert await self.storage.claim(60.0, []) == []
        document = await compiled(claimed.source)
        job = Job(self.storage, self.writer, claimed, document, asyncio.Semaphore(1), lambda: None)
        await job.stage()
        return job

    async def copying(self) -> Job:
        """A transform that was tried."""
        await self.storage.insert(
            uuid.uuid4(), "by-month", by_month("S", "T"), "", dry_run=False, states_max=0, by="me"
        )
        job = await self.claim()
        stage = await job.stage()
        assert stage is not None
        await job.try_all(stage)
        await job.reach(TRYING, COPYING)
        return job

    def copies(self) -> int:
        with connected(self.url) as connection:
            row = connection.execute(
                f"SELECT count(*) FROM {self.schema}.events WHERE copied_from IS NOT NULL"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def closed(self) -> int:
        with connected(self.url) as connection:
            row = connection.execute(
                f"SELECT count(*) FROM {self.schema}.streams WHERE lifecycle = 2"
            ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
async def store(start: Callable[..., RunningServer], database_url: str) -> AsyncIterator[Store]:
    schema = f"t_{uuid.uuid4().hex[:12]}"
    server = start(schema=schema)
    with eventfold.Client(server.address) as client:
        fill(client, "S", CUSTOMERS, PURCHASES)
    server.stop()
    database = Database(database_url, schema)
    await database.open()
    catalogue = Catalogue(database)
    await catalogue.load()
    try:
        yield Store(
            database_url,
            schema,
            database,
            TransformStorage(database),
            TransformWriter(
                database, catalogue, lambda _: None, Sealer(AppendStorage(database), None, None)
            ),
            catalogue,
        )
    finally:
        await database.close()


async def test_a_process_that_stood_still_copies_nothing_twice(
    store: Store, start: Callable[..., RunningServer]
) -> None:
    paused = await store.copying()
    other = await store.claim()
    await other.copy_all()
    assert store.copies() == CUSTOMERS * PURCHASES
    for late in (paused.copy_all(), paused.reach(COPYING, VERIFYING)):
        with pytest.raises(Fenced):
            await late
    paused.position = other.position
    with pytest.raises(Fenced):
        await paused.verify_some()
    assert store.copies() == CUSTOMERS * PURCHASES
    await other.reach(COPYING, VERIFYING)
    while not await other.verify_some():
        pass
    await store.database.close()
    server = start(schema=store.schema)
    with eventfold.Client(server.address) as client:
        assert check_copies(client, "S", "T") == CUSTOMERS * PURCHASES


async def test_a_transform_that_is_cancelled_is_taken_away(store: Store) -> None:
    job = await store.copying()
    assert await store.storage.move(job.claimed.transform_id, [COPYING], 9, ends=10) == COPYING
    with pytest.raises(Fenced):
        await job.copy_all()
    assert store.copies() == 0
    # Once more: it is not where it was.
    assert await store.storage.move(job.claimed.transform_id, [COPYING], 9, ends=10) == 9


async def test_copies_are_held_to_the_rules_in_force(store: Store) -> None:
    job = await store.copying()
    with connected(store.url) as connection:
        connection.execute(f"SELECT {store.schema}.catalogue_changed_v1()")
    known = store.catalogue.rules.version
    await job.copy_all()
    assert store.catalogue.rules.version != known
    assert store.copies() == CUSTOMERS * PURCHASES


async def test_a_step_that_takes_too_long_is_undone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await store.copying()
    await job.copy_all()
    await job.reach(COPYING, VERIFYING)
    await job.reach(VERIFYING, VERIFIED)
    moved = await store.storage.move(
        job.claimed.transform_id, [VERIFIED], CUTTING_OVER, cutover_ms_max=200
    )
    assert moved == VERIFIED
    job = await store.claim()
    stage = await job.stage()
    assert stage is not None
    close_sources, tried = HeldAppends.close_sources, []

    async def close_slowly(held: HeldAppends, streams_max: int) -> int:
        left = await close_sources(held, streams_max)
        tried.append((streams_max, store.closed()))
        if len(tried) <= 2:
            await asyncio.sleep(0.15)
        return left

    monkeypatch.setattr(HeldAppends, "close_sources", close_slowly)
    await CutOver(job, store.writer).run(stage)
    # Nothing of a step that was too slow is to be seen behind it.
    assert tried == [(100, 0), (50, 0), (25, 0)]
    assert store.closed() == CUSTOMERS
    await job.reach(CUTTING_OVER, SWITCHING)


async def test_a_cut_over_that_is_cancelled_opens_its_sources(store: Store) -> None:
    job = await store.copying()
    await job.copy_all()
    await job.reach(COPYING, VERIFYING)
    await job.reach(VERIFYING, VERIFIED)
    transform_id = job.claimed.transform_id
    # One that was closed before stays closed.
    with connected(store.url) as connection:
        connection.execute(f"UPDATE {store.schema}.streams SET lifecycle = 2 WHERE name = 'S-0'")
    await store.storage.move(transform_id, [VERIFIED], CUTTING_OVER, cutover_ms_max=5_000)
    job = await store.claim()
    stage = await job.stage()
    assert stage is not None
    await CutOver(job, store.writer).run(stage)
    assert store.closed() == CUSTOMERS
    moved = await store.storage.move(transform_id, [CUTTING_OVER], UNDOING, ends=CANCELLED)
    assert moved == CUTTING_OVER
    with pytest.raises(Fenced):
        await job.reach(CUTTING_OVER, SWITCHING)
    await (await store.claim()).undo_all()
    found = await store.storage.get(transform_id)
    assert found is not None
    assert (found.state, found.sources_closed) == (CANCELLED, 0)
    # The one, and the targets, of which nobody is to go on with half.
    assert store.closed() == 1 + found.targets
    with connected(store.url) as connection:
        rows = connection.execute(
            f"SELECT name FROM {store.schema}.streams WHERE category = 'S' AND lifecycle = 2"
        ).fetchall()
    assert rows == [("S-0",)]


async def test_a_source_that_two_cut_over_is_opened_when_both_are_cancelled(store: Store) -> None:
    transforms = []
    for target in ("T", "U"):
        await store.storage.insert(
            uuid.uuid4(), target, by_month("S", target), "", dry_run=False, states_max=0, by="me"
        )
        [claimed] = await store.storage.claim(60.0, [])
        document = await compiled(claimed.source)
        job = Job(
            store.storage, store.writer, claimed, document, asyncio.Semaphore(1), lambda: None
        )
        await job.stage()
        await job.reach(TRYING, COPYING)
        await job.copy_all()
        await job.reach(COPYING, VERIFYING)
        await job.reach(VERIFYING, VERIFIED)
        transform_id = claimed.transform_id
        await store.storage.move(transform_id, [VERIFIED], CUTTING_OVER, cutover_ms_max=5_000)
        [claimed] = await store.storage.claim(60.0, [])
        job = Job(
            store.storage, store.writer, claimed, document, asyncio.Semaphore(1), lambda: None
        )
        stage = await job.stage()
        assert stage is not None
        await CutOver(job, store.writer).run(stage)
        transforms.append(transform_id)
    for transform_id, lifecycle in zip(transforms, (2, 1), strict=True):
        await store.storage.move(transform_id, [CUTTING_OVER], UNDOING, ends=CANCELLED)
        [claimed] = await store.storage.claim(60.0, [])
        while not await store.storage.undo(claimed.number, claimed.lease, 100):
            pass
        with connected(store.url) as connection:
            rows = connection.execute(
                f"SELECT DISTINCT lifecycle FROM {store.schema}.streams WHERE category = 'S'"
            ).fetchall()
        assert rows == [(lifecycle,)]


async def test_a_copy_that_changed_on_the_disk_is_found(store: Store) -> None:
    job = await store.copying()
    await job.copy_all()
    with connected(store.url) as connection:
        connection.execute(f"ALTER TABLE {store.schema}.events DISABLE TRIGGER USER")
        connection.execute(
            f"UPDATE {store.schema}.events SET data = '{{}}' WHERE position ="
            f" (SELECT max(position) FROM {store.schema}.events)"
        )
    with pytest.raises(Failed) as failed:
        await job.verify_all()
    assert failed.value.refusal.reason == "TRANSFORM_DIFFERS"
    assert failed.value.refusal.facts["problem"] == "copies"
