"""Goal: what the calls on projections promise holds against a real server: every row once, one's
own writes, exact values, waits that end, and failures that are told and mended.

Method: both clients; the rows are held against what was appended.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.sdk.conftest import Driver
from tests.unit.sdk.conftest import driver as driver  # noqa: PLC0414 - a fixture

import eventfold
from eventfold import ANY, Event

USERS: dict[str, Any] = {
    "projection": "users",
    "source": {"category": "User"},
    "initial": {},
    "handlers": {
        "UserRegistered": {"name": "event.name", "born_on": "event.bornOn", "n": "event.n"},
        "UserRenamed": {"name": "event.name"},
        "UserDeleted": "delete",
    },
    "where": "state.born_on != null",
    "columns": {"name": "text", "born_on": "date", "n": "bigint"},
    "indexes": [["born_on"]],
}


def registered(n: int, **fields: Any) -> Event:
    data = {"name": f"user {n}", "bornOn": f"{1950 + n % 70}-01-01", "n": n} | fields
    return Event("UserRegistered", data)


async def fill(driver: Driver, store: Any, count: int) -> int:
    """Registers users 1 to `count`; the position of the last event."""
    position = 0
    for n in range(1, count + 1):
        added = await driver.result(store.append(f"User-{n}", [registered(n)], expected_version=0))
        position = added.positions[-1]
    return position


async def put(driver: Driver, store: Any, document: dict[str, Any], **options: Any) -> Any:
    """Registers it, and waits for it."""
    found = await driver.result(store.put_projection(document, **options))
    one = await driver.result(store.wait_projection(found.name, generation=found.generation))
    assert one.generation == found.generation
    return one


async def test_from_put_to_drop(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    head = await fill(driver, store, 10)
    one = await put(driver, store, USERS)
    assert (one.generation, one.state, one.position, one.events) == (1, "active", head, 10)
    assert (one.stopped, one.parked_keys, one.put_by) == (None, 0, "anonymous")
    assert one.caught_up_at is not None
    again = await driver.result(store.put_projection(USERS))
    assert (again.generation, again.created, again.active) == (1, False, 1)

    changed = {**USERS, "where": "state.n > 5"}
    found = await driver.result(store.put_projection(changed, switch="by hand"))
    assert (found.generation, found.created, found.active) == (2, True, 1)
    two = await driver.result(store.wait_projection("users"))
    assert (two.generation, two.state, two.switch) == (2, "ready", "by hand")
    assert (await driver.result(store.count_projection("users"))).rows == 10
    switched = await driver.result(store.switch_projection("users"))
    assert [one.state for one in switched.generations] == ["standby", "active"]
    count = await driver.result(store.count_projection("users"))
    assert (count.rows, count.freshness.generation) == (5, 2)
    with pytest.raises(eventfold.ProjectionInUse):
        await driver.result(store.drop_projection("users", generation=2))
    await driver.result(store.drop_projection("users", generation=1))

    rebuilt = await driver.result(store.rebuild_projection("users", switch="when caught up"))
    assert (rebuilt.generation, rebuilt.created) == (3, True)
    three = await driver.result(store.wait_projection("users", generation=3))
    assert (three.state, three.digest) == ("active", two.digest)
    names = [one.name for one in await driver.items(store.list_projections(page_size=1))]
    assert names == ["users"]
    await driver.result(store.drop_projection("users"))
    with pytest.raises(eventfold.ProjectionNotFound):
        await driver.result(store.get_projection("users"))
    assert await driver.items(store.list_projections()) == []


async def test_every_row_once_page_by_page(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    head = await fill(driver, store, 300)
    await put(driver, store, USERS)
    query = store.query_projection("users", order=["-born_on", "name"], page_size=7)
    rows = await driver.items(query)
    wanted = sorted(range(1, 301), key=lambda n: (-(n % 70), f"user {n}"))
    assert [row.columns["n"] for row in rows] == wanted
    one = rows[wanted.index(42)]
    assert (one.key, one.version, one.position) == ("User-42", 1, 42)
    assert one.columns == {"name": "user 42", "born_on": "1992-01-01", "n": 42}
    query = store.query_projection("users", "n <= 3 && name != 'user 2'", columns=["n"])
    assert [row.columns for row in await driver.items(query)] == [{"n": 1}, {"n": 3}]
    page = await driver.result(store.query_projection_page("users", page_size=299))
    assert page.freshness == eventfold.Freshness(1, head, head, None, 0)
    last = await driver.result(
        store.query_projection_page("users", page_size=299, page_token=page.next_page_token)
    )
    assert (len(page.rows), len(last.rows), last.next_page_token) == (299, 1, "")
    assert not {row.key for row in page.rows} & {row.key for row in last.rows}


async def test_own_writes(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    await put(driver, store, USERS)
    for n in range(1, 31):
        added = await driver.result(store.append(f"User-{n}", [registered(n)], expected_version=0))
        position = added.positions[-1]
        count = await driver.result(
            store.count_projection("users", f"n == {n}", at_least_position=position)
        )
        assert (count.rows, count.freshness.position >= position) == (1, True)
        added = await driver.result(
            store.append(f"User-{n}", [Event("UserRenamed", {"name": "x"})], expected_version=1)
        )
        (row,) = await driver.items(
            store.query_projection("users", f"n == {n}", at_least_position=added.positions[-1])
        )
        assert (row.columns["name"], row.version) == ("x", 2)
    with pytest.raises(eventfold.DeadlineExceeded):
        await driver.result(
            store.count_projection("users", at_least_position=1_000_000, timeout=0.5)
        )


@dataclasses.dataclass
class Everything:
    text: str
    yes: bool
    small: int
    big: int
    exact: Decimal
    fixed: Decimal
    day: dt.date
    time: dt.datetime
    id: uuid.UUID
    json: dict[str, Any]
    tags: list[str]
    missing: str | None


ALL_TYPES: dict[str, Any] = {
    "projection": "everything",
    "source": {"category": "Thing"},
    "initial": {},
    "handlers": {
        "Made": {
            field.name: f"event.{field.name}"
            for field in dataclasses.fields(Everything)
            if field.name != "missing"
        }
    },
    "columns": {
        "text": "text",
        "yes": "boolean",
        "small": "integer",
        "big": "bigint",
        "exact": "numeric",
        "fixed": "numeric(30,10)",
        "day": "date",
        "time": "timestamptz",
        "id": "uuid",
        "json": "jsonb",
        "tags": "text[]",
        "missing": "text",
    },
}


async def test_values_of_all_types(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    made = Everything(
        text="ä \u2028 'quoted' \\ \"",
        yes=True,
        small=-(1 << 31),
        big=(1 << 63) - 1,
        exact=Decimal("12345678901234567890123.4567890123"),
        fixed=Decimal("1.5"),
        day=dt.date(1, 1, 1),
        time=dt.datetime(2026, 3, 1, 12, 0, 0, 123456, dt.UTC),
        id=uuid.UUID("00000000-0000-7000-8000-000000000001"),
        json={"b": Decimal("1.10"), "a": [None, "x"]},
        tags=["", "a,b", '"'],
        missing=None,
    )
    await driver.result(store.append("Thing-1", [Event("Made", made)], expected_version=0))
    await put(driver, store, ALL_TYPES)
    (row,) = await driver.items(store.query_projection("everything", into=Everything))
    assert row.columns == made
    (row,) = await driver.items(store.query_projection("everything"))
    assert list(row.columns) == list(ALL_TYPES["columns"])
    assert (row.columns["exact"], row.columns["big"]) == (made.exact, made.big)
    floats = driver.client(eventfold_target, numbers="float")
    (row,) = await driver.items(floats.query_projection("everything"))
    assert type(row.columns["fixed"]) is float


async def test_a_document_or_filter_that_is_wrong(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    await put(driver, store, USERS)
    with pytest.raises(eventfold.InvalidProjection) as wrong:
        await driver.result(store.put_projection("projection: p\ncolumns:\n  n: money\n"))
    assert wrong.value.line == 3
    with pytest.raises(eventfold.FoldNotFound):
        await driver.result(
            store.put_projection({"projection": "p", "fold": "none", "columns": {"n": "text"}})
        )
    for query in ("n ==", "missing == 1", "n == 'x'", "n == 1; DROP TABLE events"):
        with pytest.raises(eventfold.InvalidExpression) as refused:
            await driver.items(store.query_projection("users", query))
        assert refused.value.column is not None
    for options in ({"order": ["missing"]}, {"columns": ["missing"]}, {"page_size": 1_001}):
        with pytest.raises(eventfold.InvalidRequest):
            await driver.items(store.query_projection("users", **options))
    for call in (
        lambda: store.get_projection("none"),
        lambda: store.rebuild_projection("none"),
        lambda: store.switch_projection("none"),
        lambda: store.drop_projection("none"),
        lambda: store.retry_projection("none"),
        lambda: store.count_projection("none"),
        lambda: store.verify_projection("none"),
        lambda: store.wait_projection("none"),
    ):
        with pytest.raises(eventfold.ProjectionNotFound):
            await driver.result(call())


WRONG: dict[str, Any] = {
    **{key: value for key, value in USERS.items() if key != "indexes"},
    "columns": {"name": "text", "n": {"type": "bigint", "value": "int(100 / int(state.n))"}},
}


async def test_a_projection_that_stops(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    await fill(driver, store, 5)
    await driver.result(store.append("User-9", [registered(0)], expected_version=0))
    await driver.result(store.append("User-10", [registered(10)], expected_version=0))
    await driver.result(store.put_projection(WRONG))
    with pytest.raises(eventfold.ProjectionStopped) as stopped:
        await driver.result(store.wait_projection("users"))
    assert (stopped.value.position, stopped.value.cause) == (5, "PROJECTION_FAILED")
    cause = stopped.value.__cause__
    assert isinstance(cause, eventfold.ProjectionFailed)
    assert (cause.path, cause.key, cause.position) == ("columns.n", "User-9", 6)
    with pytest.raises(eventfold.ProjectionNotReady):
        await driver.result(store.count_projection("users"))
    await driver.result(store.retry_projection("users"))
    with pytest.raises(eventfold.ProjectionStopped):
        await driver.result(store.wait_projection("users"))
    # A generation that is not active yet gives way to a mended document.
    one = await put(driver, store, USERS)
    assert (one.generation, one.state) == (2, "active")
    assert (await driver.result(store.count_projection("users"))).rows == 7


async def test_keys_that_are_parked_and_mended(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    await fill(driver, store, 2)
    for n in (8, 9):
        await driver.result(store.append(f"User-{n}", [registered(0)], expected_version=0))
        renamed = Event("UserRenamed", {"name": "x"})
        await driver.result(store.append(f"User-{n}", [renamed], expected_version=1))
    one = await put(driver, store, {**WRONG, "on_error": "park"})
    assert (one.parked_keys, one.stopped) == (2, None)
    parked = await driver.items(store.list_parked_keys("users", page_size=1))
    assert [(one.key, one.position, one.events) for one in parked] == [
        ("User-8", 3, 2),
        ("User-9", 5, 2),
    ]
    assert isinstance(parked[0].error, eventfold.ProjectionFailed)
    page = await driver.result(store.query_projection_page("users"))
    assert (len(page.rows), page.freshness.parked_keys) == (2, 2)
    retried = await driver.result(store.retry_projection("users"))
    assert (retried.keys_mended, retried.keys_failed) == (0, 2)
    mended = {**WRONG, "on_error": "park"}
    mended["columns"] = {"name": "text", "n": {"type": "bigint", "value": "int(state.n)"}}
    found = await driver.result(store.put_projection(mended, in_place=True))
    assert (found.created, found.active) == (False, 1)
    retried = await driver.result(store.retry_projection("users", keys=["User-8"]))
    assert retried == eventfold.ProjectionRetry(1, 2, 0, False)
    (left,) = await driver.items(store.list_parked_keys("users"))
    assert left.key == "User-9"
    retried = await driver.result(store.retry_projection("users"))
    assert retried.keys_mended == 1
    rows = await driver.items(store.query_projection("users", "name == 'x'"))
    assert [(row.key, row.version) for row in rows] == [("User-8", 2), ("User-9", 2)]


async def test_verifying(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    head = await fill(driver, store, 20)
    await driver.result(store.append("User-20", [Event("UserDeleted")], expected_version=ANY))
    await put(driver, store, USERS)
    told: list[tuple[int, int]] = []
    found = await driver.result(
        store.verify_projection("users", keys=50, on_progress=lambda *now: told.append(now))
    )
    assert (found.rows_shown, found.rows_hidden, found.keys_checked) == (19, 0, 20)
    assert (found.position, found.keys_differing) == (head + 1, 0)
    assert found.table_checksum == found.fold_checksum
    assert told[-1][1] == head + 1
    one = (await driver.result(store.get_projection("users"))).find()
    assert one.verification == found


async def test_trying_out(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    head = await fill(driver, store, 20)
    found = await driver.result(store.try_projection(USERS, "n > 5", order=["-n"], page_size=3))
    assert [row.columns["n"] for row in found.rows] == [20, 19, 18]
    assert (found.rows_passing, found.rows_shown, found.rows_hidden) == (15, 20, 0)
    assert (found.events, found.position, found.head, found.stopped) == (20, head, head, None)
    found = await driver.result(store.try_projection(USERS, from_position=5, events_max=4))
    assert [row.columns["n"] for row in found.rows] == [5, 6, 7, 8]
    with pytest.raises(eventfold.PositionAhead):
        await driver.result(store.try_projection(USERS, from_position=22))
    value = "int(100 / (int(state.n) - 3))"
    wrong = {**WRONG, "columns": {"n": {"type": "bigint", "value": value}}}
    found = await driver.result(store.try_projection(wrong))
    assert (found.stopped.key, found.position) == ("User-3", 2)
    assert await driver.items(store.list_projections()) == []
