"""Goal: a query waits for the position that it asks for, and no longer than it may; and it is
answered by the generation that queries see, whatever is switched or dropped meanwhile.

Method: the domain on a real store, whose tables tests change under its hands.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support import writers
from tests.support.generations import Layout, fill, make_generation
from tests.support.pgbouncer import pgbouncer, program

from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.projections.query import ProjectionQueries, Query
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.limits import QUERY_SWITCHES_MAX
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.projection_rows import ProjectionRows
from eventfold_server.storage.tail import TailStorage

LAYOUT = Layout([("n", "integer")])
DOCUMENT = """
projection: numbers
source: {categories: [N]}
columns: {n: integer}
handlers: {Counted: {n: event.n}}
"""


def caller(seconds: float = 5.0) -> Caller:
    return Caller("test", frozenset(), expires=asyncio.get_running_loop().time() + seconds)


class Store:
    def __init__(self, database: Database, connection: Any) -> None:
        self.database, self.connection = database, connection
        self.queries = database.queries
        self.tail = Tail(TailStorage(database, Catalogue(database)))
        documents = Documents(FoldRegistry(FoldStorage(database)))
        self.domain = ProjectionQueries(ProjectionRows(database), documents, self.tail)

    async def make(self, active: bool = True, **more: Any) -> int:
        number = await make_generation(
            self.connection, self.queries, "numbers", LAYOUT, source=DOCUMENT, active=False, **more
        )
        rows = [(f"k{n}", True, {"n": str(n)}) for n in range(5)]
        await fill(self.connection, self.queries, number, LAYOUT, rows)
        if active:
            await self.change("UPDATE {s}.projections SET active = $1", number)
        return number

    async def change(self, sql: str, *arguments: object) -> None:
        await self.connection.execute(sql.replace("{s}", self.queries.schema), *arguments)

    async def move(self, number: int, position: int) -> None:
        await self.change(
            "UPDATE {s}.projection_progress SET position = $2 WHERE generation_no = $1",
            number,
            position,
        )


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    database = Database(database_url, f"w_{uuid.uuid4().hex}")
    await database.open()
    connection = await asyncpg.connect(database_url)
    yield Store(database, connection)
    await connection.close()
    await database.close()


def query(**more: Any) -> Query:
    return Query("numbers", **{"page_size": 100, **more})


async def refused(store: Store, wanted: Query, seconds: float = 5.0) -> Refusal:
    with pytest.raises(Refusal) as by_page:
        await store.domain.page(wanted, caller(seconds))
    return by_page.value


async def test_what_is_not_there(store: Store) -> None:
    missing = await refused(store, query())
    assert (missing.reason, missing.facts) == ("PROJECTION_NOT_FOUND", {"projection": "numbers"})
    await store.make(active=False, position=3)
    early = await refused(store, query())
    assert early.reason == "PROJECTION_NOT_READY"
    assert early.facts == {"projection": "numbers", "generation": "1", "position": "3", "head": "0"}
    # Who waits for a position waits for a generation too, as long as may be.
    early = await refused(store, query(at_least_position=3), 0.3)
    assert early.reason == "PROJECTION_NOT_READY"


async def test_pages_and_counts(store: Store) -> None:
    await store.make()
    first = await store.domain.page(query(page_size=2, order=[("n", True)]), caller())
    assert [row.key for row in first.rows.rows] == ["k4", "k3"]
    wanted = query(page_size=9, order=[("n", True)], page_token=first.token)
    last = await store.domain.page(wanted, caller())
    assert [row.key for row in last.rows.rows] == ["k2", "k1", "k0"]
    assert last.token == ""
    assert (await store.domain.count(query(filter="n > 1"), caller()))[0] == 3
    wrong = await refused(store, query(filter="m > 1"))
    assert wrong.reason == "INVALID_EXPRESSION"


async def test_a_query_waits_for_a_position(store: Store) -> None:
    number = await store.make(position=3)
    assert (await store.domain.count(query(at_least_position=3), caller()))[0] == 5
    waiting = asyncio.create_task(store.domain.count(query(at_least_position=9), caller()))
    await asyncio.sleep(0.2)
    await store.move(number, 8)
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await store.move(number, 9)
    rows, fresh = await asyncio.wait_for(waiting, 2)
    assert (rows, fresh.position) == (5, 9)
    late = await refused(store, query(at_least_position=10), 0.4)
    assert (late.reason, late.facts["requested"], late.facts["head"]) == (
        "DEADLINE_EXCEEDED",
        "10",
        "9",
    )


async def test_positions_of_other_sources_need_not_be_passed(
    store: Store, database_url: str
) -> None:
    await store.make(position=1)
    async with writers.opened(database_url, store.queries.schema) as log:
        for stream, kind in (("N-1", "Counted"), ("M-1", "Counted"), ("N-1", "Other")):
            await log.append(writers.new(stream, kind=kind))
        # Between 1 and 3 nothing is of the source.
        assert (await store.domain.count(query(at_least_position=3), caller(0.5)))[0] == 5
        # What is beyond the head may become an event of the source.
        late = await refused(store, query(at_least_position=4), 0.4)
        assert late.reason == "DEADLINE_EXCEEDED"
        await log.append(writers.new("N-1", kind="Counted"))
        late = await refused(store, query(at_least_position=4), 0.4)
        assert late.reason == "DEADLINE_EXCEEDED"


async def test_a_projection_that_stopped_is_not_waited_for(store: Store) -> None:
    number = await store.make(position=3)
    await store.change(
        "UPDATE {s}.projection_progress SET stopped = $1 WHERE generation_no = $2",
        json.dumps({"reason": "FOLD_FAILED", "message": "no", "facts": {}}),
        number,
    )
    stopped = await refused(store, query(at_least_position=4), 30)
    assert stopped.reason == "PROJECTION_STOPPED"
    assert stopped.facts == {
        "projection": "numbers",
        "generation": "1",
        "position": "3",
        "requested": "4",
        "cause": "FOLD_FAILED",
    }
    page = await store.domain.page(query(at_least_position=3), caller())
    assert page.rows.fresh.stopped is not None


async def test_waits_end_when_the_server_stops(store: Store) -> None:
    await store.make()
    waiting = asyncio.create_task(store.domain.count(query(at_least_position=9), caller(30)))
    await asyncio.sleep(0.1)
    await store.tail.stop()
    with pytest.raises(Refusal, match="SHUTTING_DOWN"):
        await asyncio.wait_for(waiting, 2)


async def test_no_query_fails_while_generations_are_switched_and_dropped(store: Store) -> None:
    numbers = [await store.make()]
    ends = asyncio.get_running_loop().time() + 3
    generations = set()

    async def ask() -> int:
        asked = 0
        while asyncio.get_running_loop().time() < ends:
            page = await store.domain.page(query(filter="n >= 0", order=[("n", True)]), caller())
            assert [row.key for row in page.rows.rows] == ["k4", "k3", "k2", "k1", "k0"]
            generations.add(page.rows.fresh.generation)
            assert (await store.domain.count(query(), caller()))[0] == 5
            asked += 1
        return asked

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    while asyncio.get_running_loop().time() < ends:
        numbers.append(await store.make())
        await store.change(f"DROP TABLE {{s}}.projection_{numbers.pop(0)}")
    assert sum(await asyncio.gather(*asking)) > 30
    assert len(generations) > 3


async def test_a_query_that_takes_too_long_is_cancelled_in_postgres(store: Store) -> None:
    number = await store.make()
    blocking = await store.connection.fetchval("SELECT pg_backend_pid()")
    async with store.connection.transaction():
        await store.change(f"LOCK TABLE {{s}}.projection_{number} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await store.domain.count(query(), caller(0.5))
        waiting = await store.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", blocking
        )
        assert waiting == 0
    assert (await store.domain.count(query(), caller()))[0] == 5


async def test_a_query_that_is_always_too_late_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.make()
    asked = 0
    rows = ProjectionRows.rows

    async def switched_first(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        await store.make()
        return await rows(*arguments)

    monkeypatch.setattr(ProjectionRows, "rows", switched_first)
    unlucky = await refused(store, query())
    assert (unlucky.reason, asked) == ("STORAGE_UNAVAILABLE", QUERY_SWITCHES_MAX)


@pytest.mark.skipif(program() is None, reason="there is no pgbouncer on this machine")
async def test_queries_behind_a_pooler(
    store: Store, database_url: str, shared_tmp_path: Path
) -> None:
    await store.make()
    with pgbouncer(shared_tmp_path, database_url) as url:
        database = Database(url, store.queries.schema, direct_dsn=database_url)
        await database.open()
        pooled = Store(database, store.connection)
        wanted = query(filter="n in [1, 3] || n > 3", order=[("n", True)], page_size=2)

        async def ask() -> None:
            page = await pooled.domain.page(wanted, caller())
            assert [row.key for row in page.rows.rows] == ["k4", "k3"]
            assert (await pooled.domain.count(wanted, caller()))[0] == 3

        await asyncio.gather(*(ask() for _ in range(20)))
        await database.close()
