"""Goal: a generation tells which types it read before their mapping changed, and who changes a
mapping is told of the generations that should be rebuilt.

Method: the statements of the storage on a real PostgreSQL; mappings come and go by their rows.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from tests.support.mappings import drop_mapping, put_mapping

from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.domain.projections.admin import ProjectionAdmin
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.projections.remapped import Remapped, StaleGeneration
from eventfold_server.domain.requests import Caller
from eventfold_server.storage.database import Database
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.projections import ProjectionStorage

MAPPING = "mapping: {}\ndefaults: {{country: CH}}\n"
DOCUMENT = """
projection: {}
source: {{category: User}}
initial: {{}}
handlers: {}
columns: {{name: text}}
"""
CALLER = Caller("tester", frozenset())


@dataclass
class Store:
    """A store without a server."""

    admin: ProjectionAdmin
    remapped: Remapped
    connection: Any
    schema: str

    async def put(self, name: str, *types: str) -> int:
        handlers = {type_: {"name": "event.name"} for type_ in types}
        _, generation, _ = await self.admin.put(
            CALLER, DOCUMENT.format(name, str(handlers).replace("'", '"')), 3, in_place=False
        )
        return generation

    async def put_resolving(self, name: str) -> None:
        """One whose events refer to others."""
        source = f"""
projection: {name}
source: {{category: Tag}}
resolve: {{booked: "event.bookedId"}}
handlers: {{Tagged: {{amount: "booked.data.amount"}}}}
columns: {{amount: numeric}}
"""
        await self.admin.put(CALLER, source, 3, in_place=False)

    async def types(self, name: str) -> list[list[str]]:
        """Remapped types of the generations, the oldest first."""
        return [list(one.remapped_types) for one in (await self.admin.get(name)).generations]

    async def map(self, event_type: str) -> None:
        await put_mapping(self.connection, self.schema, event_type, MAPPING.format(event_type))


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    schema = f"s_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    connection = await asyncpg.connect(database_url)
    storage = ProjectionStorage(database)
    documents = Documents(FoldRegistry(FoldStorage(database)))
    try:
        yield Store(
            ProjectionAdmin(storage, documents), Remapped(storage, documents), connection, schema
        )
    finally:
        await connection.close()
        await database.close()


async def test_a_generation_tells_of_mappings_that_changed_after_it_was_put(store: Store) -> None:
    await store.map("UserMoved")
    await store.put("users", "UserMoved", "UserRegistered")
    await store.put("names", "UserRenamed")
    assert await store.types("users") == [[]]
    assert await store.remapped.stale("UserMoved") == []

    await store.map("UserRegistered")
    await store.map("OrderPlaced")
    await store.map("UserMoved")
    # Of the two, in byte order, and none that it does not read.
    assert await store.types("users") == [["UserMoved", "UserRegistered"]]
    assert await store.types("names") == [[]]
    assert await store.remapped.stale("UserMoved") == [StaleGeneration("users", 1)]
    assert await store.remapped.stale("UserRegistered") == [StaleGeneration("users", 1)]
    assert await store.remapped.stale("OrderPlaced") == []
    listed = await store.admin.page("", 10)
    assert [list(one.generations[0].remapped_types) for one in listed] == [
        [],
        ["UserMoved", "UserRegistered"],
    ]


async def test_what_is_put_after_the_change_is_not_told(store: Store) -> None:
    await store.put("users", "UserRegistered")
    await store.map("UserRegistered")
    # The rebuilt one takes the place of one that queries did not see yet.
    _, generation = await store.admin.rebuild(CALLER, "users", 3)
    assert (generation, await store.types("users")) == (2, [[]])
    assert await store.remapped.stale("UserRegistered") == []
    await drop_mapping(store.connection, store.schema, "UserRegistered")
    assert await store.types("users") == [["UserRegistered"]]
    assert await store.remapped.stale("UserRegistered") == [StaleGeneration("users", 2)]


async def test_a_trial_tells_of_all_that_read_the_type(store: Store) -> None:
    for name in ("b", "a"):
        await store.put(name, "UserRegistered")
    await store.put("c", "UserMoved")
    assert await store.remapped.stale("UserRegistered") == []
    assert await store.remapped.stale("UserRegistered", if_put=True) == [
        StaleGeneration("a", 1),
        StaleGeneration("b", 1),
    ]


async def test_what_resolves_may_read_any_type(store: Store) -> None:
    await store.put_resolving("purposes")
    await store.put("users", "UserMoved")
    assert await store.types("purposes") == [[]]
    await store.map("Booked")
    assert await store.types("purposes") == [["Booked"]]
    assert await store.types("users") == [[]]
    assert await store.remapped.stale("Booked") == [StaleGeneration("purposes", 1)]
    assert await store.remapped.stale("UserMoved", if_put=True) == [
        StaleGeneration("purposes", 1),
        StaleGeneration("users", 1),
    ]
