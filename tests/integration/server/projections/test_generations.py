"""Goal: the life of generations: at most one that is being built, one that queries see, one on
standby; whoever comes second sees what the first one did; and views and tables follow.

Method: the statements of the storage on a real PostgreSQL, without anybody who builds; what a
builder would note is written into the rows.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from eventfold import _core
from eventfold_server.storage.database import Database
from eventfold_server.storage.projections import Document, GenerationRow, ProjectionStorage

_DOCUMENT = """
projection: {name}
source: {{category: User}}
initial: {{}}
handlers: {{UserRegistered: {{'name': "event.name"}}}}
columns:
{columns}
"""


def document(name: str, *columns: str, more: str = "") -> Document:
    lines = "\n".join(f"  {column}: text" for column in columns or ("name",))
    source = _DOCUMENT.format(name=name, columns=lines) + more
    return Document(source, _core.Projection(source), None, None, None)


@dataclass
class Store:
    """A store without a server."""

    storage: ProjectionStorage
    connection: Any
    schema: str

    async def put(self, wanted: Document, basis: int | None = None) -> tuple[str, int]:
        return await self.storage.put(wanted, 1, "tester", basis)

    async def generations(self, name: str) -> dict[int, int]:
        """States by numbers."""
        found = await self.storage.get(name)
        return {} if found is None else {one.generation: one.state for one in found.generations}

    async def generation(self, name: str, number: int) -> GenerationRow:
        found = await self.storage.get(name)
        assert found is not None
        return next(one for one in found.generations if one.generation == number)

    async def ready(self, name: str, number: int, position: int = 0) -> GenerationRow:
        """Notes that a generation has caught up."""
        row = await self.generation(name, number)
        await self.connection.execute(
            f"UPDATE {self.schema}.projection_generations SET state = 2 WHERE generation_no = $1",
            row.generation_no,
        )
        await self.connection.execute(
            f"UPDATE {self.schema}.projection_progress SET position = $2 WHERE generation_no = $1",
            row.generation_no,
            position,
        )
        return row

    async def switch(self, name: str, number: int, wanted: Document, *, ahead: bool = True) -> str:
        row = await self.generation(name, number)
        return await self.storage.switch(
            row.generation_no, wanted.compiled, lease=None, ahead=ahead, wait_s=0.1
        )

    async def activate(self, name: str, number: int, wanted: Document) -> None:
        await self.ready(name, number)
        assert await self.switch(name, number, wanted) == "switched"

    async def tables(self) -> set[str]:
        rows = await self.connection.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = $1::regnamespace"
            " AND c.relkind = 'r' AND c.relname ~ '^projection_[0-9]+$'",
            self.schema,
        )
        return {row[0] for row in rows}

    async def columns(self, name: str) -> list[str]:
        """Of the view; empty: there is none."""
        rows = await self.connection.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
            f"{self.schema}_query",
            name,
        )
        return [row[0] for row in rows]


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    schema = f"s_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    connection = await asyncpg.connect(database_url)
    try:
        yield Store(ProjectionStorage(database), connection, schema)
    finally:
        await connection.close()
        await database.close()


async def test_the_same_document_stays_the_same_generation(store: Store) -> None:
    assert await store.put(document("users")) == ("created", 1)
    parks = document("users", more="on_error: park\n# a remark\n")
    assert await store.put(parks) == ("same", 1)
    assert (await store.generation("users", 1)).source == parks.source
    assert await store.generations("users") == {1: 1}
    assert len(await store.tables()) == 1


async def test_what_is_not_active_yet_gives_way(store: Store) -> None:
    first, second = document("users"), document("users", "name", "city")
    await store.put(first)
    assert await store.put(second) == ("created", 2)
    assert await store.generations("users") == {2: 1}
    assert await store.storage.sweep(wait_s=0.1) == 0
    assert len(await store.tables()) == 1
    await store.activate("users", 2, second)
    assert await store.put(first) == ("created", 3)
    # Back to what queries see: nothing is to be built any more.
    assert await store.put(second) == ("same", 2)
    assert await store.generations("users") == {2: 3}


async def test_switch_and_switch_back(store: Store) -> None:
    first, second, third = (document("users", *names) for names in (["a"], ["b"], ["a", "b"]))
    await store.put(first)
    assert await store.switch("users", 1, first) == "building"
    assert await store.columns("users") == []
    await store.activate("users", 1, first)
    assert await store.switch("users", 1, first) == "active"
    assert await store.columns("users") == ["key", "a", "version", "position"]
    await store.put(second)
    await store.activate("users", 2, second)
    assert await store.generations("users") == {1: 4, 2: 3}
    assert await store.columns("users") == ["key", "b", "version", "position"]
    assert await store.switch("users", 1, first) == "switched"
    assert await store.generations("users") == {1: 3, 2: 4}
    assert await store.columns("users") == ["key", "a", "version", "position"]
    await store.put(third)
    await store.activate("users", 3, third)
    assert await store.generations("users") == {1: 4, 3: 3}
    found = await store.storage.get("users")
    assert found is not None
    assert (found.active, found.view) == (3, f"{store.schema}_query.users")


async def test_nobody_goes_back_in_time(store: Store) -> None:
    first, second = document("users"), document("users", "city")
    await store.put(first)
    await store.activate("users", 1, first)
    await store.ready("users", 1, position=7)
    await store.connection.execute(
        f"UPDATE {store.schema}.projection_generations SET state = 3 WHERE generation = 1"
    )
    await store.put(second)
    await store.ready("users", 2, position=6)
    assert await store.switch("users", 2, second) == "behind"
    assert await store.generations("users") == {1: 3, 2: 2}
    assert await store.switch("users", 2, second, ahead=False) == "switched"


async def test_two_puts_at_once(store: Store) -> None:
    one, other = document("users"), document("users", "city")
    outcomes = await asyncio.gather(*(store.put(one) for _ in range(4)))
    assert sorted(outcomes) == [("created", 1)] + [("same", 1)] * 3
    await asyncio.gather(*(store.put(wanted) for wanted in (one, other) * 4))
    assert list((await store.generations("users")).values()) == [1]
    await store.storage.sweep(wait_s=0.1)
    [left] = (await store.storage.get("users")).generations  # type: ignore[union-attr]
    assert await store.tables() == {f"projection_{left.generation_no}"}


async def test_a_rebuild_is_of_the_document_that_was_put_last(store: Store) -> None:
    first, second = document("users"), document("users", "city")
    await store.put(first)
    await store.activate("users", 1, first)
    basis = (await store.generation("users", 1)).generation_no
    assert await store.put(first, basis) == ("created", 2)
    assert await store.put(first, basis) == ("moved", 0)
    assert await store.generations("users") == {1: 3, 2: 1}
    await store.put(second)
    assert await store.generations("users") == {1: 3, 3: 1}
    assert await store.put(document("nobody"), basis) == ("moved", 0)
    assert await store.storage.get("nobody") is None


async def test_drop(store: Store) -> None:
    first, second = document("users"), document("users", "city")
    await store.put(first)
    await store.activate("users", 1, first)
    await store.put(second)
    assert await store.storage.drop("users", 1, wait_s=0.1) == "active"
    assert await store.storage.drop("users", 9, wait_s=0.1) == "gone"
    assert await store.storage.drop("users", 2, wait_s=0.1) == "dropped"
    assert await store.generations("users") == {1: 3}
    assert await store.storage.drop("users", 0, wait_s=0.1) == "dropped"
    assert await store.storage.drop("users", 0, wait_s=0.1) == "gone"
    assert await store.storage.sweep(wait_s=0.1) == 0
    assert (await store.tables(), await store.columns("users")) == (set(), [])
    # The only one there is, not active: with it the projection goes.
    await store.put(first)
    assert await store.storage.drop("users", 1, wait_s=0.1) == "dropped"
    assert await store.storage.get("users") is None


async def test_readers_hold_up_a_switch_but_not_for_long(store: Store, database_url: str) -> None:
    """Nor does a switch let others who want to read wait: it gives up, and is tried again."""
    first, second = document("users"), document("users", "city")
    await store.put(first)
    await store.activate("users", 1, first)
    await store.put(second)
    await store.ready("users", 2)
    reader = await asyncpg.connect(database_url)
    transaction = reader.transaction()
    await transaction.start()
    try:
        assert await reader.fetch(f"SELECT name FROM {store.schema}_query.users") == []
        assert await store.switch("users", 2, second) == "held"
        assert await store.generations("users") == {1: 3, 2: 2}
        assert await store.storage.drop("users", 0, wait_s=0.1) == "held"
        assert await store.generations("users") == {1: 3, 2: 2}
    finally:
        await transaction.rollback()
        await reader.close()
    assert await store.switch("users", 2, second) == "switched"
    assert await store.storage.drop("users", 1, wait_s=0.1) == "dropped"


async def test_a_table_that_is_read_goes_later(store: Store, database_url: str) -> None:
    await store.put(document("users"))
    [table] = await store.tables()
    reader = await asyncpg.connect(database_url)
    transaction = reader.transaction()
    await transaction.start()
    try:
        await reader.fetch(f"SELECT key FROM {store.schema}.{table}")
        assert await store.storage.drop("users", 0, wait_s=0.1) == "dropped"
        assert await store.storage.sweep(wait_s=0.1) == 1
        assert await store.tables() == {table}
    finally:
        await transaction.rollback()
        await reader.close()
    assert await store.storage.sweep(wait_s=0.1) == 0
    assert await store.tables() == set()


async def test_grants_outlive_a_switch(store: Store) -> None:
    role = f"r_{uuid.uuid4().hex}"
    await store.connection.execute(f"CREATE ROLE {role}")
    first, second = document("users"), document("users", "city")
    await store.put(first)
    await store.activate("users", 1, first)
    await store.connection.execute(f"GRANT SELECT ON {store.schema}_query.users TO {role}, PUBLIC")
    await store.put(second)
    await store.activate("users", 2, second)
    assert await store.connection.fetchval(
        "SELECT has_table_privilege($1, $2, 'SELECT')", role, f"{store.schema}_query.users"
    )


async def test_a_view_that_others_build_on_is_not_taken_from_them(store: Store) -> None:
    first, second = document("users"), document("users", "city")
    await store.put(first)
    await store.activate("users", 1, first)
    view = f"{store.schema}_query.users"
    await store.connection.execute(f"CREATE VIEW {store.schema}_query.mine AS SELECT * FROM {view}")
    await store.put(first, (await store.generation("users", 1)).generation_no)
    # The same columns: the same view.
    await store.activate("users", 2, first)
    await store.put(second)
    await store.ready("users", 3)
    assert await store.switch("users", 3, second) == "used"
    assert await store.storage.drop("users", 0, wait_s=0.1) == "used"
    assert await store.generations("users") == {1: 4, 2: 3, 3: 2}


async def test_leases(store: Store) -> None:
    for name in ("a", "b", "c"):
        await store.put(document(name))
    first = await store.storage.claim(60, [])
    second = await store.storage.claim(60, [])
    assert [len(first), len(second)] == [2, 1]
    assert {one.name for one in (*first, *second)} == {"a", "b", "c"}
    assert await store.storage.claim(60, []) == []
    # Of a server that was killed.
    await store.connection.execute(
        f"UPDATE {store.schema}.projection_progress SET lease_until = now() - interval '1 ms'"
        " WHERE generation_no = $1",
        second[0].generation_no,
    )
    assert await store.storage.claim(60, [second[0].generation_no]) == []
    [taken] = await store.storage.claim(60, [])
    assert taken.generation_no == second[0].generation_no
    assert taken.lease > second[0].lease
    # Who lost it gives nothing back.
    await store.storage.release({second[0].generation_no: second[0].lease})
    assert await store.storage.claim(60, []) == []
    await store.storage.release({taken.generation_no: taken.lease})
    assert len(await store.storage.claim(60, [])) == 1


async def test_a_changed_text_comes_to_who_builds(store: Store) -> None:
    """Whoever has the generation loses it, so that the document is read anew."""
    await store.put(document("users"))
    [before] = await store.storage.claim(60, [])
    await store.put(document("users"))
    assert await store.storage.claim(60, []) == []
    await store.put(document("users", more="on_error: park\n"))
    [after] = await store.storage.claim(60, [])
    assert "park" in after.source
    assert after.lease > before.lease


async def test_what_stopped_is_not_taken(store: Store) -> None:
    await store.put(document("users"))
    await store.connection.execute(
        f"UPDATE {store.schema}.projection_progress SET stopped ="
        """ '{"reason": "PROJECTION_FAILED", "message": "no", "facts": {"path": "key"}}'"""
    )
    assert await store.storage.claim(60, []) == []
    stopped = (await store.generation("users", 1)).stopped
    assert stopped is not None
    assert (stopped.reason, stopped.facts) == ("PROJECTION_FAILED", {"path": "key"})
