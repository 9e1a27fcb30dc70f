"""Goal: events that others refer to are seen alike by steps, verifications, retries and trials,
however little is looked up at once, and in bounded memory.

Method: random ledgers on a real PostgreSQL, whose tags name what was booked, some of it later,
never, or deleted since; beside them the sums in plain Python. The statement under EXPLAIN. Targets
of 600 MB go through a process whose memory is watched.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from typing import Any

import asyncpg
import psycopg
import pytest
from tests.support.mappings import put_mapping
from tests.support.projections import (
    Contents,
    Event,
    contents,
    make_generation,
    step_aside,
    store_events,
    take_lease,
)
from tests.support.rows import delete_payloads

from eventfold import _core
from eventfold_server.storage.database import Database
from eventfold_server.storage.projector import Projector

PURPOSES = """
projection: purposes
source: {category: Tag}
resolve:
  booked: "event.of"
  author: "event.?by"
key: "event.purpose"
initial: {sum: 0, missing: 0, by: []}
handlers:
  Tagged:
    - when: "booked == null || booked.deleted"
      missing: "state.missing + 1"
    - when: "booked != null && !booked.deleted"
      sum: "state.sum + booked.data.amount"
      by: "state.by + [author == null ? 'nobody' : author.?stream.orValue('gone')]"
columns:
  sum: bigint
  missing: bigint
  by: text[]
"""
# The same in rows of streams, whose verification reads streams; and in rows that are told by what
# the event refers to.
BY_STREAM = PURPOSES.replace('key: "event.purpose"', "key: meta.stream")
BY_TARGET = PURPOSES.replace(
    'key: "event.purpose"', "key: \"booked == null ? 'none' : booked.?stream.orValue('gone')\""
)
SOURCES = [PURPOSES, BY_STREAM, BY_TARGET]
PARKS = "on_error: park\n"
PURPOSE_NAMES = ["rent", "food", "söcks"]


def ledger(rng: random.Random, count: int, failing: float = 0.0) -> list[Event]:
    """What is booked and tagged, in any order: a tag may name what is not booked yet, or never."""
    ids = [uuid.UUID(int=rng.getrandbits(128)) for _ in range(count)]
    versions: dict[str, int] = defaultdict(int)
    events = []
    for position, event_id in enumerate(ids, 1):
        data: dict[str, Any] = {"amount": rng.randrange(100), "text": "x" * rng.randrange(2_000)}
        stream, kind = f"Transaction-{position}", "Booked"
        if rng.random() < 0.6:
            stream, kind = f"Tag-{rng.randrange(20)}", "Tagged"
            near = rng.randrange(max(0, position - 100), min(count, position + 5))
            data = {"purpose": rng.choice(PURPOSE_NAMES), "of": str(ids[near])}
            if rng.random() < 0.5:
                data["by"] = str(rng.choice([ids[near // 2], uuid.UUID(int=1)]))
            if rng.random() < failing:
                data["by"] = rng.choice([7, "me", ""])
        versions[stream] += 1
        events.append(Event(position, stream, stream, versions[stream], kind, data, event_id))
    tags = {str(event.event_id) for event in events if event.type == "Tagged"}
    for event in events:
        if event.data.get("of") in tags:
            event.data["of"] = str(uuid.UUID(int=2))
    return events


def expected(
    source: str, events: list[Event], deleted: set[uuid.UUID]
) -> tuple[dict[str, tuple[int, int, list[str]]], dict[str, list[int]]]:
    """The columns of each row, and the positions on the lists of parked keys."""
    rows: dict[str, tuple[int, int, list[str]]] = {}
    parked: dict[str, list[int]] = {}
    before: dict[str, Event] = {}
    for event in events:
        if event.type == "Tagged":
            booked = before.get(event.data["of"])
            is_deleted = booked is not None and booked.event_id in deleted
            key = event.data["purpose"]
            if source.startswith(BY_STREAM):
                key = event.stream
            elif source.startswith(BY_TARGET):
                key = "none" if booked is None else "gone" if is_deleted else booked.stream
            by = event.data.get("by")
            if key in parked:
                parked[key].append(event.position)
            elif by in (7, "me", ""):
                parked[key] = [event.position]
            else:
                total, missing, authors = rows.get(key, (0, 0, []))
                if booked is None or is_deleted:
                    rows[key] = (total, missing + 1, authors)
                else:
                    author = before.get(by or "")
                    name = "nobody" if author is None else author.stream
                    if author is not None and author.event_id in deleted:
                        name = "gone"
                    rows[key] = (total + booked.data["amount"], missing, [*authors, name])
        before[str(event.event_id)] = event
    return rows, parked


def columns(found: Contents) -> dict[str, tuple[int, int, list[str]]]:
    return {row[0]: row[5:] for row in found.rows}


def few(rng: random.Random) -> dict[str, float]:
    """Bounds under which little is looked up at once."""
    return {
        "page_bytes": rng.choice([1, 5_000, 100_000]),
        "targets_bytes": rng.choice([1, 3_000, 10**6]),
        "targets_max": rng.choice([1, 2, 7, 1_000]),
        "batch_events": rng.choice([1, 50, 10**6]),
    }


async def built(
    database: Database,
    database_url: str,
    projector: Projector,
    source: str,
    up_to: int,
    **bounds: float,
) -> int:
    generation_no, lease = make_generation(database, database_url, source)
    worker = projector.worker(generation_no, lease, _core.Projection(source), quiet_s=0, **bounds)
    while not (step := await worker.step(up_to)).done:
        assert step.stopped is None
        assert not step.fenced
    return generation_no


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("seed", range(4))
async def test_all_see_the_same(
    database: Database, database_url: str, projector: Projector, source: str, seed: int
) -> None:
    rng = random.Random(seed)
    events = ledger(rng, 400)
    schema = database.queries.schema
    store_events(database_url, schema, events)
    some = rng.sample([event.event_id for event in events if event.type == "Booked"], 20)
    delete_payloads(database_url, schema, some)
    rows, _ = expected(source, events, set(some))
    up_to = len(events)

    generation_no = await built(database, database_url, projector, source, up_to, **few(rng))
    assert columns(contents(database, database_url, generation_no)) == rows

    document = _core.Projection(source)
    verification = await projector.verification(generation_no, document, 10_000, **few(rng))
    while not (compared := await verification.go_on()).done:  # type: ignore[union-attr]
        pass
    assert compared is not None
    assert (compared.keys_differing, compared.keys_checked) == (0, len(rows))

    trial = await projector.trial(
        document, after=0, up_to=up_to, events_max=10**6, personal=True, **few(rng)
    )
    while not (tried := await trial.go_on()).done:
        assert tried.stopped is None
    told = await trial.rows()
    sums = dict(zip(told.keys, told.columns[0], strict=True))
    assert sums == {key: str(row[0]) for key, row in rows.items()}


@pytest.mark.parametrize("source", SOURCES[:2])
@pytest.mark.parametrize("seed", range(3))
async def test_a_retry_sees_the_same(
    database: Database, database_url: str, projector: Projector, source: str, seed: int
) -> None:
    """Keys are set aside by references that are no ids; the mend folds them with all they see."""
    rng = random.Random(seed)
    events = ledger(rng, 300, failing=0.05)
    store_events(database_url, database.queries.schema, events)
    parking = source + PARKS
    generation_no = await built(database, database_url, projector, parking, 300, **few(rng))
    found = contents(database, database_url, generation_no)
    rows, lists = expected(parking, events, set())
    assert (columns(found), found.lists) == (rows, lists)
    assert {error[:2] for error in found.parked.values()} == {
        ("PROJECTION_FAILED", "resolve.author")
    }

    mended = parking.replace(
        '"event.?by"', '"event.?by.optMap(by, size(string(by)) == 36 ? by : null)"'
    )
    lease = take_lease(database, database_url, generation_no)
    document = _core.Projection(mended)
    retry = await projector.retry(generation_no, lease, document, [], **few(rng))
    mended_keys = 0
    while not (retried := await retry.go_on()).done:
        assert (retried.fenced, retried.failed) == (False, 0)
        mended_keys += retried.mended
    assert mended_keys == len(lists)
    after = contents(database, database_url, generation_no)
    for event in events:
        if event.data.get("by") in (7, "me", ""):
            del event.data["by"]
    assert (columns(after), after.lists) == (expected(source, events, set())[0], {})


async def test_a_key_that_cannot_be_told_stops(
    database: Database, database_url: str, projector: Projector
) -> None:
    """A reference that is no id, where the key reads it."""
    events = ledger(random.Random(1), 60)
    bad = next(event for event in events if event.type == "Tagged" and event.position > 20)
    bad.data["of"] = "4711"
    store_events(database_url, database.queries.schema, events)
    source = BY_TARGET + PARKS
    generation_no, lease = make_generation(database, database_url, source)
    worker = projector.worker(generation_no, lease, _core.Projection(source))
    step = await worker.step(60)
    assert step.stopped is not None
    assert step.stopped.reason == "PROJECTION_FAILED"
    assert (step.position, step.stopped.facts["path"]) == (bad.position - 1, "resolve.booked")
    assert step.stopped.facts["event_id"] == str(bad.event_id)


async def test_what_cannot_be_mapped_concerns_those_alone_that_refer_to_it(
    database: Database, database_url: str, projector: Projector
) -> None:
    """Their key is parked, or the generation stops before them, and says so."""
    amounts = [1, 13, 2]
    ids = [uuid.UUID(int=number) for number in range(10, 16)]
    events = [
        Event(
            n + 1, f"Transaction-{n}", f"Transaction-{n}", 1, "Booked", {"amount": amount}, ids[n]
        )
        for n, amount in enumerate(amounts)
    ]
    for n, purpose in enumerate(PURPOSE_NAMES):
        data = {"purpose": purpose, "of": str(ids[n])}
        events.append(Event(n + 4, f"Tag-{n}", f"Tag-{n}", 1, "Tagged", data, ids[n + 3]))
    schema = database.queries.schema
    store_events(database_url, schema, events)
    mapping = (
        "mapping: Booked\ncomputed: {amount: \"event.amount == 13 ? int('x') : event.amount\"}"
    )
    connection = await asyncpg.connect(database_url)
    await put_mapping(connection, schema, "Booked", mapping)
    await connection.close()

    parked = await built(database, database_url, projector, PURPOSES + PARKS, 6)
    found = contents(database, database_url, parked)
    assert columns(found) == {"rent": (1, 0, ["nobody"]), "söcks": (2, 0, ["nobody"])}
    assert found.lists == {"food": [5]}

    generation_no, lease = make_generation(database, database_url, PURPOSES)
    step = await projector.worker(generation_no, lease, _core.Projection(PURPOSES)).step(6)
    assert step.stopped is not None
    assert (step.position, step.stopped.reason) == (4, "PROJECTION_FAILED")
    assert step.stopped.facts["path"] == "resolve.booked"
    assert step.stopped.facts["event_id"] == str(ids[4])


async def test_the_statement_follows_the_index(database: Database, database_url: str) -> None:
    schema = database.queries.schema
    events = ledger(random.Random(1), 20_000)
    store_events(database_url, schema, events)
    ids = ", ".join(f"'{event.event_id}'" for event in events[:1_000])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute("SET enable_bitmapscan = off")
        statement = database.queries["projection_targets"].rstrip("; \n")
        connection.execute(f"PREPARE it (uuid[], bigint) AS {statement}")
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}")
            rows = connection.execute(f"EXPLAIN EXECUTE it (ARRAY[{ids}]::uuid[], 9)").fetchall()
            plan = "\n".join(row[0] for row in rows)
            assert "using events_id on" in plan, plan
            assert "Seq Scan on events x" not in plan, plan


async def test_memory_is_bounded(database: Database, database_url: str) -> None:
    """A page of small events refers to 600 MB."""
    count = 600
    schema = database.queries.schema
    booked = [
        Event(n, f"Transaction-{n}", f"Transaction-{n}", 1, "Booked", {}, uuid.uuid4())
        for n in range(1, count + 1)
    ]
    for first in range(0, count, 100):
        for event in booked[first : first + 100]:
            event.data = {"amount": 1, "text": "x" * 1_000_000}
        store_events(database_url, schema, booked[first : first + 100])
        for event in booked[first : first + 100]:
            event.data = {}
    tags = [
        Event(
            count + n,
            "Tag-1",
            "Tag-1",
            n,
            "Tagged",
            {"purpose": "rent", "of": str(event.event_id)},
            uuid.uuid4(),
        )
        for n, event in enumerate(booked, 1)
    ]
    store_events(database_url, schema, tags)
    generation_no, lease = make_generation(database, database_url, PURPOSES)
    grown = await step_aside(database, database_url, generation_no, lease, PURPOSES, 2 * count)
    assert columns(contents(database, database_url, generation_no))["rent"][0] == count
    assert grown < 200_000_000
