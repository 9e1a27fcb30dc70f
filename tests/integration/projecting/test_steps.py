"""Goal: whatever way a log is cut into steps, and whatever breaks in between, the table of a
generation is the fold of its events from scratch, and each event counts once.

Method: random logs, folded step by step with random bounds on a real PostgreSQL, beside a model in
plain Python, and beside a generation that folds all at once: their tables are the same bytes.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.support.database import connected, cut_tail
from tests.support.projections import (
    BY_OWNER,
    BY_ROOT,
    PARKS,
    Contents,
    Log,
    Model,
    contents,
    make_generation,
    store_events,
    take_lease,
    values,
)

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage.database import Database
from eventfold_server.storage.projector import Projector, Step, Worker

SEEDS = range(6)


def random_bounds(rng: random.Random) -> dict[str, float]:
    """Small steps and pages, so that everything is cut everywhere."""
    return {
        "page_bytes": rng.choice([1, 2_000, 100_000]),
        "batch_events": rng.choice([1, 7, 100]),
        "batch_bytes": rng.choice([1, 5_000, 1_000_000]),
        "rows_bytes": rng.choice([1, 300, 100_000]),
        "cache_bytes": rng.choice([1, 3_000, 1_000_000]),
        "window": rng.choice([1, 13, 20_000]),
        "span": rng.choice([13, 50, 40_000]),
        "batches": rng.choice([1, 2, 5]),
        "quiet_s": 0.0,
    }


async def drive(worker: Worker, up_to: int) -> Step:
    """Steps until there is nothing left, or the generation stopped."""
    while True:
        step = await worker.step(up_to)
        assert not step.fenced
        if step.done or step.stopped is not None:
            return step


async def at_once(
    database: Database, database_url: str, projector: Projector, source: str, up_to: int
) -> Contents:
    """What a generation comes to that folds all of the log in few steps."""
    generation_no, lease = make_generation(database, database_url, source)
    await drive(projector.worker(generation_no, lease, _core.Projection(source), quiet_s=0), up_to)
    return contents(database, database_url, generation_no)


def agrees(found: Contents, model: Model, whole: Contents) -> None:
    """The table is what the model says, and, byte for byte, what a fold at once gives."""
    assert values(found.rows) == model.rows()
    assert found.rows == whole.rows
    assert found.lists == model.lists == whole.lists
    assert {key: error[0] for key, error in found.parked.items()} == {
        key: error[0] for key, error in model.parked.items()
    }
    assert found.parked == whole.parked
    assert (found.position, found.events) == (whole.position, whole.events)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("source", [BY_ROOT, BY_OWNER, BY_ROOT + PARKS, BY_OWNER + PARKS])
async def test_random_cuts(
    database: Database, database_url: str, projector: Projector, source: str, seed: int
) -> None:
    """The log grows while workers come and go, each with other bounds."""
    rng = random.Random(seed)
    log = Log(rng, failing=0.03 if PARKS in source else 0.0)
    model = Model(source)
    document = _core.Projection(source)
    generation_no, lease = make_generation(database, database_url, source)
    worker = projector.worker(generation_no, lease, document, **random_bounds(rng))
    for _ in range(6):
        events = log.grow(rng.randint(1, 120))
        store_events(database_url, database.queries.schema, events)
        model.feed(events)
        head = len(log.events)
        for _ in range(rng.randint(0, 8)):
            await worker.step(rng.randint(1, head))
        if rng.random() < 0.5:
            lease = take_lease(database, database_url, generation_no)
            worker = projector.worker(generation_no, lease, document, **random_bounds(rng))
        if rng.random() < 0.5:
            await worker.close()
    step = await drive(worker, len(log.events))
    assert step.position == len(log.events)
    whole = await at_once(database, database_url, projector, source, len(log.events))
    agrees(contents(database, database_url, generation_no), model, whole)


@pytest.mark.parametrize("seed", SEEDS)
async def test_stops_at_the_first_failure(
    database: Database, database_url: str, projector: Projector, seed: int
) -> None:
    """All before the event that fails is written, in one transaction with the error; nothing moves
    until somebody takes the error away.
    """
    rng = random.Random(seed)
    log, model = Log(rng, failing=0.05), Model(BY_ROOT)
    events = log.grow(400)
    store_events(database_url, database.queries.schema, events)
    model.feed(events)
    assert model.stopped is not None
    generation_no, lease = make_generation(database, database_url, BY_ROOT)
    document = _core.Projection(BY_ROOT)
    worker = projector.worker(generation_no, lease, document, **random_bounds(rng))
    step = await drive(worker, 400)
    failed = events[model.stopped - 1]
    assert step.stopped is not None
    assert step.position == model.stopped - 1
    assert step.stopped.facts["event_id"] == str(failed.event_id)
    assert step.stopped.facts["version"] == str(failed.version)
    found = contents(database, database_url, generation_no)
    assert values(found.rows) == model.rows()
    assert found.stopped is not None
    assert found.stopped["reason"] == step.stopped.reason in {"FOLD_FAILED", "PROJECTION_FAILED"}
    again = await worker.step(400)
    assert (again.position, again.events, again.done) == (step.position, 0, False)
    assert again.stopped is not None
    assert again.stopped.facts == step.stopped.facts
    assert contents(database, database_url, generation_no) == found


async def test_a_key_that_fails_stops_even_a_projection_that_parks(
    database: Database, database_url: str, projector: Projector
) -> None:
    """A key is nothing that could be parked without its name."""
    log = Log(random.Random(1), others=0)
    events = log.grow(50)
    del events[20].data["region"]
    store_events(database_url, database.queries.schema, events)
    source = BY_OWNER + PARKS
    generation_no, lease = make_generation(database, database_url, source)
    worker = projector.worker(generation_no, lease, _core.Projection(source))
    step = await drive(worker, 50)
    assert step.stopped is not None
    assert (step.stopped.reason, step.stopped.facts["path"]) == ("PROJECTION_FAILED", "key")
    assert step.position == 20
    found = contents(database, database_url, generation_no)
    model = Model(source)
    model.feed(events[:20])
    assert values(found.rows) == model.rows()


async def test_who_lost_the_lease_writes_nothing(
    database: Database, database_url: str, projector: Projector
) -> None:
    """A worker with a later lease takes over in the middle; the first notices."""
    log, model = Log(random.Random(2)), Model(BY_ROOT)
    events = log.grow(600)
    store_events(database_url, database.queries.schema, events)
    model.feed(events)
    document = _core.Projection(BY_ROOT)
    generation_no, lease = make_generation(database, database_url, BY_ROOT)
    first = projector.worker(generation_no, lease, document, batch_events=50, page_bytes=4_000)
    assert (await first.step(600)).events > 0
    before = contents(database, database_url, generation_no)
    later = take_lease(database, database_url, generation_no)
    second = projector.worker(generation_no, later, document, batch_events=50, page_bytes=4_000)
    for worker in (first, first):
        step = await worker.step(600)
        assert step.fenced
        assert (step.events, step.rows, step.done) == (0, 0, False)
    assert contents(database, database_url, generation_no) == before
    both = asyncio.gather(drive(second, 600), first.step(600), first.step(600))
    assert all(step.fenced for step in (await both)[1:])
    assert values(contents(database, database_url, generation_no).rows) == model.rows()


async def test_a_generation_that_is_dropped(
    database: Database, database_url: str, projector: Projector
) -> None:
    """Its worker ends as if fenced, with states in its cache or without."""
    log = Log(random.Random(3))
    store_events(database_url, database.queries.schema, log.grow(300))
    document = _core.Projection(BY_ROOT)
    schema = database.queries.schema
    for warm in (True, False):
        generation_no, lease = make_generation(database, database_url, BY_ROOT)
        worker = projector.worker(generation_no, lease, document, batch_events=20, page_bytes=1_000)
        if warm:
            assert (await worker.step(300)).events > 0
        with connected(database_url) as connection:
            connection.execute(
                f"DELETE FROM {schema}.projection_generations WHERE generation_no = %s",
                (generation_no,),
            )
            connection.execute(f"DROP TABLE {schema}.projection_{generation_no}")
        assert (await worker.step(300)).fenced
        assert (await worker.step(300)).fenced


@pytest.mark.parametrize("lost", ["Moved", "Unhandled"])
async def test_a_log_that_lost_its_end_is_not_written(
    database: Database, database_url: str, projector: Projector, lost: str
) -> None:
    """What was read ahead of a log, and then was lost by a fail-over, never counts: neither events
    nor that there was none.
    """
    log = Log(random.Random(4), others=0)
    schema = database.queries.schema
    events = log.grow(400)
    for event in events[50:]:
        event.type = lost
    store_events(database_url, schema, events)
    document = _core.Projection(BY_ROOT)
    generation_no, lease = make_generation(database, database_url, BY_ROOT)
    worker = projector.worker(
        generation_no, lease, document, batch_events=1, batches=1, window=50, page_age_s=600
    )
    assert (await worker.step(400)).position == 50
    # What is read ahead must have come in.
    await asyncio.sleep(1)
    cut_tail(database_url, schema, 50)
    other = Log(random.Random(5), others=0, events=events[:50])
    other.versions = {event.stream: event.version for event in events[:50]}
    store_events(database_url, schema, other.grow(350))
    assert (await worker.step(400)).fenced
    assert contents(database, database_url, generation_no).position == 50
    await drive(worker, 400)
    model = Model(BY_ROOT)
    model.feed(other.events)
    assert values(contents(database, database_url, generation_no).rows) == model.rows()


async def test_sparse_sources_move_on(
    database: Database, database_url: str, projector: Projector
) -> None:
    """A position moves over events of others, in few steps and writes, and the lease with it."""
    log = Log(random.Random(6))
    events = log.grow(5_000)
    for event in events:
        event.type = "Unhandled"
    store_events(database_url, database.queries.schema, events)
    document = _core.Projection(BY_ROOT)
    generation_no, lease = make_generation(database, database_url, BY_ROOT)
    worker = projector.worker(generation_no, lease, document, window=100, span=1_000, quiet_s=0)
    step = await worker.step(5_000)
    assert (step.position, step.done, step.events, step.rows) == (5_000, True, 0, 0)
    quiet = projector.worker(generation_no, lease, document, quiet_s=60)
    store_events(database_url, database.queries.schema, log.grow(1))
    step = await quiet.step(5_000)
    assert (step.position, step.done) == (5_000, True)
    for lease_s, moved in ((1_000.0, False), (0.0, True)):
        events = log.grow(1)
        events[0].type = "Unhandled"
        store_events(database_url, database.queries.schema, events)
        worker = projector.worker(generation_no, lease, document, quiet_s=60, lease_s=lease_s)
        before = contents(database, database_url, generation_no).position
        step = await drive(worker, len(log.events))
        assert (step.position > before) is moved or step.events


async def terminated(database_url: str, stop: asyncio.Event, rng: random.Random) -> int:
    """Ends connections of servers at random moments until it is told to stop; how many."""
    ended = 0
    while not stop.is_set():
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        with connected(database_url) as connection:
            found = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'eventfold' AND pid <> pg_backend_pid()"
            ).fetchone()
        assert found is not None
        ended += int(found[0])
    return ended


@pytest.mark.parametrize("source", [BY_ROOT, BY_OWNER + PARKS])
async def test_connections_that_are_killed(
    database: Database, database_url: str, projector: Projector, source: str
) -> None:
    """Steps fail in the middle, some of them behind their commit; called again they go on."""
    rng = random.Random(7)
    log, model = Log(rng, failing=0.01 if PARKS in source else 0), Model(source)
    events = log.grow(2_000)
    store_events(database_url, database.queries.schema, events)
    model.feed(events)
    whole = await at_once(database, database_url, projector, source, 2_000)
    stop = asyncio.Event()
    killing = asyncio.create_task(terminated(database_url, stop, rng))
    failures: list[str] = []
    # How many steps are hit depends on the machine.
    while len(failures) < 3:
        generation_no, lease = make_generation(database, database_url, source)
        worker = projector.worker(
            generation_no, lease, _core.Projection(source), batch_events=50, page_bytes=5_000
        )
        done = False
        while not done:
            try:
                step = await worker.step(2_000)
            except Refusal as refusal:
                failures.append(refusal.reason)
            else:
                assert not step.fenced
                done = step.done
        agrees(contents(database, database_url, generation_no), model, whole)
    stop.set()
    assert await killing > 0
    assert set(failures) == {"STORAGE_UNAVAILABLE"}


async def test_two_generations_at_once(
    database: Database, database_url: str, projector: Projector
) -> None:
    """Workers of one process do not wait for each other for ever, nor mix their rows."""
    log = Log(random.Random(8))
    events = log.grow(3_000)
    store_events(database_url, database.queries.schema, events)
    sources = [BY_ROOT, BY_OWNER, BY_ROOT, BY_OWNER, BY_ROOT, BY_OWNER]
    made: list[tuple[str, int, Worker]] = []
    for source in sources:
        generation_no, lease = make_generation(database, database_url, source)
        worker = projector.worker(
            generation_no, lease, _core.Projection(source), batch_events=100, page_bytes=9_000
        )
        made.append((source, generation_no, worker))
    async with asyncio.timeout(60):
        await asyncio.gather(*(drive(worker, 3_000) for _, _, worker in made))
    for source, generation_no, _ in made:
        model = Model(source)
        model.feed(events)
        found: Any = contents(database, database_url, generation_no)
        assert values(found.rows) == model.rows()
