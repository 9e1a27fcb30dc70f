"""Goal: a projection of the caller's own handles every event once, whatever fails: a handler, the
process, a second one of its name.

Method: sums, which show an event that is left out or comes twice, through all drivers, on real
PostgreSQL and SQLite; held against the log.
"""

from __future__ import annotations

import asyncio
import sqlite3
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

import eventfold
from eventfold import ANY, Client, Event, Place
from eventfold.projection import (
    AsyncProjection,
    CheckpointTaken,
    HandlerFailed,
    OnError,
    Projection,
    ProjectionReplaced,
    ProjectionRun,
    ProjectionStatus,
    ddl,
)


async def test_until_it_has_caught_up(base: Database, store: Client, eventfold_target: str) -> None:
    right = fill(store, range(1, 31))
    ran = await base.run(base.projection(events_per_transaction=7), eventfold_target)
    assert ran == ProjectionRun(30, 30, True, False)
    assert await base.sums() == right
    # It goes on where it ended.
    assert await base.run(base.projection(), eventfold_target) == ProjectionRun(30, 0, True, False)
    more = fill(store, range(31, 41))
    ran = await base.run(base.projection(), eventfold_target)
    assert (ran.position, ran.events) == (40, 10)
    assert await base.sums() == {stream: right[stream] + more[stream] for stream in right}


async def test_for_ever_until_it_is_stopped(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """It has what is appended while it runs, and `stop` ends it behind a whole transaction."""
    projection = base.projection()
    right = fill(store, range(1, 4))
    async with in_the_background(base, projection, eventfold_target) as running:
        more = fill(store, range(4, 12))
        right = {stream: right.get(stream, 0) + more.get(stream, 0) for stream in more | right}
        await until_sums_are(base, right)
        with pytest.raises(RuntimeError, match="running already"):
            await base.run(projection, eventfold_target)
        await settled(projection.stop())
        ran = await asyncio.wait_for(running, 10)
    assert (ran.position, ran.events) == (11, 11)
    assert await base.sums() == right


@pytest.mark.parametrize("base", ["async psycopg", "asyncpg"], indirect=True)
async def test_a_run_that_is_cancelled(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """In a handler, whose transaction is undone; the connection can be used as before."""
    right = fill(store, range(1, 6))
    reached = asyncio.Event()
    projection = AsyncProjection("sums")

    @projection.on("T")
    async def added(db: Any, event: Any) -> None:
        await base.begun_add(db, "sums", event.stream, event.data["n"])
        if event.position == 4 and not reached.is_set():
            reached.set()
            await asyncio.Event().wait()

    async with base.connected() as db:
        running = asyncio.create_task(base.run(projection, eventfold_target, db))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await base.sums() == {}
        await base.run(projection, eventfold_target, db)
    assert await base.sums() == right


async def test_a_failing_handler_stops_it_at_the_event(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """What is before the event is stored, nothing of it or behind it; the next run begins there."""
    fill(store, range(1, 11))
    broken = True

    def after(event: Any) -> None:
        if broken and event.position == 6:
            raise KeyError(event.data)

    projection = base.projection(after=after)
    for _ in range(2):
        with pytest.raises(HandlerFailed) as raised:
            await base.run(projection, eventfold_target)
        failed = raised.value
        assert (failed.projection, failed.type, failed.stream) == ("sums", "T", "a-0")
        assert (failed.version, failed.position, failed.attempt) == (2, 6, 1)
        assert (failed.error, failed.code) == ("KeyError", "FAILED_PRECONDITION")
        assert failed.event_id
        assert failed.handler
        assert failed.handler.endswith(("added", "added_async"))
        # Its data is not told.
        assert "'n'" not in str(failed)
        assert isinstance(failed.__cause__, KeyError)
        assert await base.sums() == {"a-0": 3, "a-1": 1 + 4, "a-2": 2 + 5}
    broken = False
    ran = await base.run(projection, eventfold_target)
    assert ran.events == 5
    assert await base.sums() == {"a-0": 18, "a-1": 1 + 4 + 7 + 10, "a-2": 2 + 5 + 8}


async def test_a_statement_that_fails_is_undone(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """PostgreSQL takes no further statement in such a transaction; what is before it is kept."""
    for n in (1, 2, None, 4):
        store.append("a-1", [Event("T", {"n": n})], expected_version=ANY)
    with pytest.raises(HandlerFailed) as raised:
        await base.run(base.projection(), eventfold_target)
    assert raised.value.position == 3
    assert await base.sums() == {"a-1": 3}


@pytest.mark.parametrize("wanted", [OnError.SKIP, OnError.RETRY, OnError.STOP])
async def test_the_callers_policy(
    base: Database, store: Client, eventfold_target: str, wanted: OnError
) -> None:
    """It writes in the transaction that passes the event over, and in no other."""
    fill(store, range(1, 11))
    await base.execute(TABLE.format("failures"))
    told: list[tuple[int, int]] = []

    def after(event: Any) -> None:
        if event.position in (4, 5, 10) and not (wanted is OnError.RETRY and len(told) >= 3):
            raise ValueError

    def write(db: Any, event: Any, failed: HandlerFailed) -> Any:
        told.append((event.position, failed.attempt or 0))
        return base.begun_add(db, "failures", str(event.position), 1)

    def policy(db: Any, event: Any, failed: HandlerFailed) -> OnError:
        write(db, event, failed)
        return wanted

    async def policy_async(db: Any, event: Any, failed: HandlerFailed) -> OnError:
        await write(db, event, failed)
        return wanted

    on_error = policy if base.kind in SYNC else policy_async
    projection = base.projection(after=after, on_error=on_error)
    if wanted is OnError.STOP:
        with pytest.raises(HandlerFailed):
            await base.run(projection, eventfold_target)
        assert await base.sums() == {"a-0": 3, "a-1": 1, "a-2": 2}
        assert await base.sums("failures") == {}
        return
    ran = await base.run(projection, eventfold_target)
    if wanted is OnError.SKIP:
        assert told == [(4, 1), (5, 1), (10, 1)]
        assert await base.sums() == {"a-0": 18, "a-1": 8, "a-2": 10}
        assert await base.sums("failures") == {"4": 1, "5": 1, "10": 1}
        assert (ran.events, ran.position) == (7, 10)
    else:
        assert told == [(4, 1), (4, 2), (4, 3)]
        assert await base.sums() == {"a-0": 18, "a-1": 22, "a-2": 15}
        assert await base.sums("failures") == {}
        assert ran.events == 10


async def test_one_that_starts_takes_over(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """The one that was first is stopped within its next transaction, of which nothing is stored."""
    fill(store, range(1, 11))
    second = base.projection()
    ran: list[Any] = []

    def before(event: Any) -> None:
        if event.position == 5:
            # In the middle of the transaction of the first one.
            ran.append(run_elsewhere(base, second, eventfold_target))

    if base.kind == "sqlite":
        pytest.skip("one transaction at a time: test_two_of_one_name of the checkpoints has it")
    first = base.projection(before=before, events_per_transaction=4)
    with pytest.raises(CheckpointTaken):
        await base.run(first, eventfold_target)
    [[result]] = ran
    assert result.events == 6
    assert await base.sums() == {"a-0": 18, "a-1": 22, "a-2": 15}


def run_elsewhere(base: Database, projection: Any, target: str) -> list[Any]:
    """Runs a projection in another thread until it has caught up."""
    ran: list[Any] = []
    thread = threading.Thread(target=lambda: ran.append(asyncio.run(base.run(projection, target))))
    thread.start()
    thread.join(30)
    return ran


async def test_it_says_how_far_it_is(base: Database, store: Client, eventfold_target: str) -> None:
    fill(store, range(1, 6))
    projection = base.projection()
    async with base.connected() as db:
        assert await settled(projection.status(db)) == ProjectionStatus("sums", 1, 1, 0)
        await base.run(projection, eventfold_target, db)
        status = await settled(projection.status(db))
        assert status == ProjectionStatus("sums", 1, 1, 5)
        assert status.is_active
        later = await settled(base.projection(generation=2).status(db))
        assert later == ProjectionStatus("sums", 2, 1, 0)
        assert not later.is_active


async def test_it_begins_anew(base: Database, store: Client, eventfold_target: str) -> None:
    right = fill(store, range(1, 6))
    projection = base.projection()
    async with base.connected() as db:
        await base.run(projection, eventfold_target, db)
        for to, gone in ((Place(), ""), (Place(3), " WHERE stream <> 'a-0'")):
            manager = projection.rewind(db, to)
            if base.kind in SYNC:
                with manager:
                    db.execute(f"DELETE FROM sums{gone}")
            else:
                async with manager:
                    await db.execute(f"DELETE FROM sums{gone}")
            if to.position:
                break
            await base.run(projection, eventfold_target, db)
            assert await base.sums() == right
        # 4 and 5 come again, and the sum of a-0 stays.
        await base.run(projection, eventfold_target, db)
        assert await base.sums() == {"a-0": 3, "a-1": 4, "a-2": 5}


async def test_types_tags_and_conditions(
    base: Database, store: Client, eventfold_target: str
) -> None:
    """Only the events of the handlers' types come, unless one handler takes the rest."""
    for n in range(12):
        event = Event("TUV"[n % 3], {"n": n}, tags=["x"] * (n % 2))
        store.append(f"{'ab'[n % 2]}-1", [event], expected_version=ANY)
    ran = await base.run(base.projection(categories=["a"]), eventfold_target)
    assert (ran.events, ran.position) == (2, 12)
    assert await base.sums() == {"a-1": 0 + 6}
    ran = await base.run(base.projection("tagged", tags=["x"]), eventfold_target)
    assert ran.events == 2
    ran = await base.run(base.projection("some", where="event.n > 5"), eventfold_target)
    assert ran.events == 2
    everything = base.projection("everything")
    seen: list[str] = []

    def rest(db: Any, event: Any) -> None:
        seen.append(event.type)

    everything.on()(rest)
    ran = await base.run(everything, eventfold_target)
    assert ran.events == 12
    assert sorted(seen) == ["U"] * 4 + ["V"] * 4


def test_what_cannot_be_a_projection(store: Client) -> None:
    for name in ("", "a b", "a@2", "x" * 129):
        with pytest.raises(ValueError, match="is not a name"):
            Projection(name)
    with pytest.raises(ValueError, match="count from 1"):
        Projection("a", generation=0)
    with pytest.raises(ValueError, match="at least one event"):
        Projection("a", events_per_transaction=0)
    twice = Projection("a")
    twice.on("A", "B")(print)
    with pytest.raises(ValueError, match="there is a handler already: B"):
        twice.on("B", "C")(print)
    twice.on()(print)
    with pytest.raises(ValueError, match="of the rest"):
        twice.on()(print)
    db = sqlite3.connect(":memory:")
    with pytest.raises(ValueError, match="has no handler"):
        Projection("a").run(store, db)
    with pytest.raises(ValueError, match="until is"):
        twice.run(store, db, until="later")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="goes with Projection"):
        asyncio.run(AsyncProjection("a").status(db))
    with pytest.raises(TypeError, match=r"is needed, not a builtins\.object"):
        Projection("a").status(object())


def test_a_coroutine_is_no_handler_of_a_projection_that_blocks(store: Client) -> None:
    """Nobody would run it, and its events would count as handled."""
    projection = Projection("a")

    @projection.on("T")
    async def handler(db: Any, event: Any) -> None:
        raise AssertionError

    fill(store, range(1, 2))
    db = sqlite3.connect(":memory:")
    with pytest.raises(HandlerFailed) as raised:
        projection.run(store, db, until="caught_up")
    assert isinstance(raised.value.__cause__, TypeError)
    assert projection.status(db).position == 0


def test_a_handler_that_ends_the_transaction_of_sqlite(store: Client, tmp_path: Path) -> None:
    fill(store, range(1, 2))
    projection = Projection("a")

    @projection.on("T")
    def handler(db: Any, event: Any) -> None:
        db.executescript("CREATE TABLE IF NOT EXISTS x (n)")

    db = sqlite3.connect(tmp_path / "a.db")
    with pytest.raises(RuntimeError, match="was ended in the block"):
        projection.run(store, db, until="caught_up")
    assert projection.status(db).position == 0


def test_tables_that_are_made_by_hand(store: Client, tmp_path: Path) -> None:
    fill(store, range(1, 3))
    projection = Projection("a", create=False)
    projection.on("T")(lambda db, event: None)
    db = sqlite3.connect(tmp_path / "a.db")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        projection.run(store, db, until="caught_up")
    for statement in ddl("sqlite"):
        db.execute(statement)
    assert projection.run(store, db, until="caught_up").position == 2


def test_no_driver_is_imported_by_the_module() -> None:
    code = "import sys, eventfold.projection; print({'psycopg', 'asyncpg'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_both_kinds_offer_the_same() -> None:
    def public(cls: type) -> set[str]:
        return {name for name in dir(cls) if not name.startswith("_")}

    assert (
        public(Projection) == public(AsyncProjection) == {"on", "rewind", "run", "status", "stop"}
    )
    assert issubclass(HandlerFailed, eventfold.EventfoldError)
    assert issubclass(ProjectionReplaced, eventfold.EventfoldError)
