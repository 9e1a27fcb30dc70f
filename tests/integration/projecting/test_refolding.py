"""Goal: a verification finds whatever differs between a table and a fold from scratch, and nothing
else; a retry folds exactly the events that were set aside, each once; a trial answers what the
projection would.

Method: random logs on a real PostgreSQL, generations that are stepped, tables that are changed by
SQL, leases that change hands at random, and beside each a generation that folds all at once.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import psycopg
import pytest
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
)

from eventfold import _core
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_rows import ROWS_FIRST_PARAMETER
from eventfold_server.storage.projection_table import table_name
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.refolding import Comparison, RefoldStorage, Retry

SEEDS = range(4)
ALL_KEYS = 10_000
# Folds what `FOLD` fails at, and all else as that does.
_MENDS = {
    'sum: "state.sum + event.amount"': (
        'sum: "type(event.amount) == string ? state.sum : state.sum + event.amount"'
    ),
    # A hidden row has no columns, so that no number is too large for it.
    'when: "event.amount > 50"': (
        'when: "type(event.amount) == int && event.amount > 50'
        ' && (event.amount < 2147483648 || state.n >= 6)"'
    ),
}


def mended(source: str) -> str:
    for before, after in _MENDS.items():
        assert before in source
        source = source.replace(before, after)
    return source


async def built(
    database: Database, database_url: str, projector: Projector, source: str, up_to: int
) -> int:
    """A generation that is as far as that."""
    generation_no, lease = make_generation(database, database_url, source)
    worker = projector.worker(generation_no, lease, _core.Projection(source), quiet_s=0)
    step = await worker.step(up_to)
    while not step.done:
        assert step.stopped is None
        assert not step.fenced
        step = await worker.step(up_to)
    return generation_no


async def verified(
    projector: Projector,
    generation_no: int,
    source: str,
    keys: int = ALL_KEYS,
    **bounds: float,
) -> Comparison:
    document = _core.Projection(source)
    verification = await projector.verification(generation_no, document, keys, **bounds)
    before = 0
    while True:
        compared = await verification.go_on()
        assert compared is not None
        assert before <= compared.position <= compared.to_position
        before = compared.position
        if compared.done:
            return compared


@pytest.mark.parametrize("source", [BY_ROOT, BY_OWNER])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_true_table_is_found_equal(
    database: Database, database_url: str, projector: Projector, source: str, seed: int
) -> None:
    rng = random.Random(seed)
    log = Log(rng)
    store_events(database_url, database.queries.schema, log.grow(600))
    up_to = rng.randrange(300, 600)
    generation_no = await built(database, database_url, projector, source, up_to)
    rows = contents(database, database_url, generation_no).rows

    found = await verified(projector, generation_no, source, page_bytes=rng.choice([1, 5_000]))

    assert (found.keys_differing, found.differing) == (0, [])
    assert found.to_position == found.position == up_to
    assert found.rows_shown == sum(1 for row in rows if row[2])
    assert found.rows_hidden == len(rows) - found.rows_shown
    # Keys without a row may be among those that were drawn from the log.
    assert found.keys_checked >= len(rows)
    assert found.table_checksum == found.fold_checksum
    assert len(found.table_checksum) == 64

    few = await verified(projector, generation_no, source, keys=2)
    assert (few.keys_checked, few.keys_differing) == (2, 0)


_TAMPERED = {
    "state": "UPDATE {table} SET _state = _state || ' ' WHERE key = %(key)s",
    "column": "UPDATE {table} SET n = n + 1 WHERE key = %(key)s",
    "column without a value": "UPDATE {table} SET owner = NULL WHERE key = %(key)s",
    "digits of a column": "ALTER TABLE {table} ALTER COLUMN sum TYPE numeric(13,3);"
    " ALTER TABLE {table} ALTER COLUMN n TYPE bigint",
    "version": "UPDATE {table} SET version = version + 1 WHERE key = %(key)s",
    "position": "UPDATE {table} SET position = position - 1 WHERE key = %(key)s",
    "shown": "UPDATE {table} SET _shown = FALSE WHERE key = %(key)s",
    "missing row": "DELETE FROM {table} WHERE key = %(key)s",
    "further row": "INSERT INTO {table} SELECT 'Account-999', _state, _shown, version, position,"
    " owner, n, sum, small FROM {table} WHERE key = %(key)s",
}


@pytest.mark.parametrize("source", [BY_ROOT, BY_OWNER])
@pytest.mark.parametrize("what", sorted(_TAMPERED))
async def test_a_false_table_is_found(
    database: Database, database_url: str, projector: Projector, source: str, what: str
) -> None:
    log = Log(random.Random(3), streams=8)
    store_events(database_url, database.queries.schema, log.grow(70))
    generation_no = await built(database, database_url, projector, source, 70)
    rows = contents(database, database_url, generation_no).rows
    # Shown, with all columns that are changed below.
    key = next(row[0] for row in rows if row[2] and row[5] and row[7])
    table = table_name(database.queries.schema, generation_no)
    with psycopg.connect(database_url) as connection:
        for statement in _TAMPERED[what].format(table=table).split(";"):
            connection.execute(statement, {"key": key} if "%(key)s" in statement else None)

    found = await verified(projector, generation_no, source)

    if what == "digits of a column":
        assert found.keys_differing > 1
    else:
        assert found.differing == ["Account-999" if what == "further row" else key]
        assert found.keys_differing == 1
    assert found.table_checksum != found.fold_checksum


async def test_a_missing_row_is_found_where_events_stand_close_together(
    database: Database, database_url: str, projector: Projector
) -> None:
    """Behind many of others, so that most random places of the log lie before the first."""
    log = Log(random.Random(8), streams=30, others=1e9)
    log.grow(5_000)
    log.others = 0
    log.grow(3_000)
    store_events(database_url, database.queries.schema, log.events)
    generation_no = await built(database, database_url, projector, BY_ROOT, 8_000)
    keys = [row[0] for row in contents(database, database_url, generation_no).rows]
    table = table_name(database.queries.schema, generation_no)
    with psycopg.connect(database_url) as connection:
        connection.execute(f"DELETE FROM {table} WHERE key = ANY (%s)", ([keys[0], keys[-1]],))

    found = await verified(projector, generation_no, BY_ROOT, keys=100)

    assert found.differing == [keys[0], keys[-1]]


async def test_a_trial_bounds_its_memory(
    database: Database, database_url: str, projector: Projector
) -> None:
    log = Log(random.Random(9))
    store_events(database_url, database.queries.schema, log.grow(300))
    document = _core.Projection(BY_ROOT)
    trial = await projector.trial(
        document,
        after=0,
        up_to=300,
        events_max=300,
        sheet_bytes=1,
        page_bytes=1,
        personal=True,
    )
    while not (tried := await trial.go_on()).done:
        pass
    assert tried.position < 300
    assert tried.stopped is None
    assert 0 < tried.events < 5


async def test_parked_keys_are_left_out(
    database: Database, database_url: str, projector: Projector
) -> None:
    log = Log(random.Random(5), failing=0.05)
    store_events(database_url, database.queries.schema, log.grow(400))
    source = BY_ROOT + PARKS
    generation_no = await built(database, database_url, projector, source, 400)
    before = contents(database, database_url, generation_no)
    assert before.parked

    found = await verified(projector, generation_no, source)

    assert found.keys_differing == 0
    table = table_name(database.queries.schema, generation_no)
    with psycopg.connect(database_url) as connection:
        # One that is parked in the fold, and not in the table.
        connection.execute(
            f"DELETE FROM {database.queries.schema}.projection_parked_keys WHERE key = %s",
            (min(before.parked),),
        )
        connection.execute(f"UPDATE {table} SET n = n + 1 WHERE key = ANY (%s)",
                           (sorted(before.parked)[1:],))  # fmt: skip
    found = await verified(projector, generation_no, source)
    assert found.differing == [min(before.parked)]


async def test_a_verification_bounds_its_memory(
    database: Database, database_url: str, projector: Projector
) -> None:
    log = Log(random.Random(6))
    store_events(database_url, database.queries.schema, log.grow(300))
    generation_no = await built(database, database_url, projector, BY_OWNER, 300)

    found = await verified(projector, generation_no, BY_OWNER, sheet_bytes=1, page_bytes=1)

    assert (found.keys_checked, found.keys_differing) == (1, 0)


async def retried(retry: Retry) -> tuple[int, int, int]:
    """Keys that were mended, their events, and keys that failed, to the end."""
    mended, events, failed = 0, 0, 0
    while not (one := await retry.go_on()).done:
        assert not one.fenced
        mended, events, failed = mended + one.mended, events + one.events, failed + one.failed
    return mended, events, failed


def agrees(found: Contents, whole: Contents) -> None:
    assert found.rows == whole.rows
    assert (found.parked, found.lists) == (whole.parked, whole.lists)
    assert (found.position, found.events) == (whole.position, whole.events)


@pytest.mark.parametrize("source", [BY_ROOT + PARKS, BY_OWNER + PARKS])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_retry_folds_what_was_set_aside(
    database: Database, database_url: str, projector: Projector, source: str, seed: int
) -> None:
    rng = random.Random(seed)
    log = Log(rng, failing=0.03)
    store_events(database_url, database.queries.schema, log.grow(500))
    generation_no = await built(database, database_url, projector, source, 500)
    before = contents(database, database_url, generation_no)
    assert before.parked

    # Nothing is mended yet: all stays as it is.
    lease = take_lease(database, database_url, generation_no)
    bounds: dict[str, float] = {
        "retry_keys": rng.choice([1, 3, 100]),
        "retry_events": rng.choice([1, 10, 1_000]),
        "page_bytes": rng.choice([1, 1_000_000]),
        "rows_bytes": rng.choice([1, 1_000_000]),
    }
    again = await projector.retry(generation_no, lease, _core.Projection(source), [], **bounds)
    assert await retried(again) == (0, 0, len(before.parked))
    agrees(contents(database, database_url, generation_no), before)

    # Some of the keys, and what is not parked besides.
    document = _core.Projection(mended(source))
    some = rng.sample(sorted(before.parked), len(before.parked) // 2)
    retry = await projector.retry(generation_no, lease, document, [*some, "none"], **bounds)
    events = sum(len(before.lists[key]) for key in some)
    assert await retried(retry) == (len(some), events, 0)
    half = contents(database, database_url, generation_no)
    assert half.lists == {key: one for key, one in before.lists.items() if key not in some}

    rest = await projector.retry(generation_no, lease, document, [], **bounds)
    assert (await retried(rest))[0] == len(before.parked) - len(some)
    whole = await built(database, database_url, projector, mended(source), 500)
    agrees(contents(database, database_url, generation_no), contents(database, database_url, whole))


@pytest.mark.parametrize("seed", SEEDS)
async def test_whoever_lost_the_lease_changes_nothing(
    database: Database, database_url: str, projector: Projector, seed: int
) -> None:
    """Steps and retries take the lease from each other, several of each under way at once, while
    the log grows: no event is lost, and none counts twice.
    """
    rng = random.Random(seed)
    source = BY_ROOT + PARKS
    log = Log(rng, failing=0.02)
    schema = database.queries.schema
    store_events(database_url, schema, log.grow(50))
    generation_no, _ = make_generation(database, database_url, source)
    small: dict[str, float] = {"batch_events": 20, "page_bytes": 4_000, "quiet_s": 0}
    changed = mended(source)

    async def step() -> None:
        # Also the worker parks no more once the document is mended: its failures are over.
        lease = await asyncio.to_thread(take_lease, database, database_url, generation_no)
        worker = projector.worker(generation_no, lease, _core.Projection(source), **small)
        for _ in range(rng.randrange(1, 6)):
            if (await worker.step(len(log.events))).fenced:
                return

    async def retry() -> None:
        lease = await asyncio.to_thread(take_lease, database, database_url, generation_no)
        one = await projector.retry(
            generation_no, lease, _core.Projection(changed), [], retry_keys=rng.choice([1, 4])
        )
        for _ in range(rng.randrange(1, 6)):
            outcome = await one.go_on()
            if outcome.fenced or outcome.done:
                return

    for _ in range(25):
        store_events(database_url, schema, log.grow(rng.randrange(1, 40)))
        await asyncio.gather(*(rng.choice([step, retry])() for _ in range(rng.randrange(1, 5))))

    head = len(log.events)
    lease = take_lease(database, database_url, generation_no)
    worker = projector.worker(generation_no, lease, _core.Projection(source), quiet_s=0)
    while not (await worker.step(head)).done:
        pass
    await retried(await projector.retry(generation_no, lease, _core.Projection(changed), []))
    whole = await built(database, database_url, projector, changed, head)
    agrees(contents(database, database_url, generation_no), contents(database, database_url, whole))


@pytest.mark.parametrize("source", [BY_ROOT, BY_OWNER + PARKS])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_trial_is_the_projection_on_a_prefix(
    database: Database, database_url: str, projector: Projector, source: str, seed: int
) -> None:
    rng = random.Random(seed)
    parks = PARKS in source
    log = Log(rng, failing=0.03 if parks else 0)
    store_events(database_url, database.queries.schema, log.grow(400))
    document = _core.Projection(source)
    counted = [
        event.position
        for event in log.events
        if event.type in document.types and event.stream.partition("-")[0] in document.categories
    ]
    events_max = rng.randrange(1, len(counted))
    trial = await projector.trial(
        document, after=0, up_to=400, events_max=events_max, personal=True
    )
    while not (tried := await trial.go_on()).done:
        pass
    assert tried.position == counted[events_max - 1]
    assert tried.stopped is None

    found = await trial.rows()

    generation_no = await built(database, database_url, projector, source, tried.position)
    real = contents(database, database_url, generation_no)
    assert tried.events == real.events
    assert found.hidden == sum(1 for row in real.rows if not row[2])
    assert [(key, position, events) for key, _, position, events in found.parked] == [
        (key, real.lists[key][0], len(real.lists[key]))
        for key in sorted(real.lists, key=str.encode)
    ]
    query = _core.ProjectionQuery(
        document.columns, filter="n > 1", order=[("sum", True)], now_us=0,
        first_parameter=ROWS_FIRST_PARAMETER,
    )  # fmt: skip
    refolds = RefoldStorage(database)
    passing, rows = await refolds.tried_rows(document, found, query, (), 5, 1_000_000)
    shown = [row for row in real.rows if row[2] and row[6] > 1]
    shown.sort(key=lambda row: (-row[7], row[0].encode()))
    assert passing == len(shown)
    assert [(row.key, row.version, row.position, _values(row.columns)) for row in rows] == [
        (key, version, position, (owner, n, float(total), small))
        for key, _, _, version, position, owner, n, total, small in shown[:5]
    ]


def _values(columns: str) -> tuple[Any, ...]:
    values = json.loads(columns)
    return values["owner"], values["n"], float(values["sum"]), values["small"]


async def test_a_trial_ends_where_an_event_fails(
    database: Database, database_url: str, projector: Projector
) -> None:
    log = Log(random.Random(7), failing=0.02)
    store_events(database_url, database.queries.schema, log.grow(400))
    model = Model(BY_ROOT)
    model.feed(log.events)
    assert model.stopped is not None
    document = _core.Projection(BY_ROOT)

    trial = await projector.trial(document, after=0, up_to=400, events_max=100_000, personal=True)
    while not (tried := await trial.go_on()).done:
        pass

    assert tried.position == model.stopped - 1
    assert tried.stopped is not None
    assert json.loads(tried.stopped)["reason"] in ("FOLD_FAILED", "PROJECTION_FAILED")
    assert len((await trial.rows()).keys) == sum(1 for row in model.rows() if row[2])
