"""Goal: whoever names a version that the store has gets rules that are as new, for as few looks at
the database as that takes.

Method: a catalogue on a real PostgreSQL, with an eye on its statements.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.database import connected

from eventfold_server.errors import Refusal
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.event_types import EventTypeStorage, NewSchema


class Watched(Database):
    """Counts connections that are lent for reading, and holds them up."""

    def __init__(self, url: str, schema: str) -> None:
        super().__init__(url, schema)
        self.lent = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        self.lent += 1
        async with super().reading() as connection:
            yield connection
            await self.go_on.wait()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Watched]:
    database = Watched(database_url, f"test_{uuid.uuid4().hex}")
    await database.open()
    yield database
    await database.close()


async def put(database: Database, event_type: str, source: str, revision: int = 1) -> int:
    """Puts a schema; the version of the catalogue behind it."""
    digest = uuid.uuid4().hex
    async with EventTypeStorage(database).changing() as change:
        new = NewSchema(event_type, None, digest, source, [], 3, formats=False)
        await change.put_schema(new, revision, 0, "me")
        await change.commit()
    async with database.reading() as connection:
        return int(
            await connection.fetchval(
                f"SELECT catalogue_version FROM {database.queries.schema}.counter"
            )
        )


async def test_it_is_loaded_when_the_version_is_another(
    database: Watched, database_url: str
) -> None:
    catalogue = Catalogue(database)
    assert catalogue.rules.version == 0
    await catalogue.load()
    first = catalogue.rules
    assert first.version == 1
    changed = await put(database, "T", "{}")
    assert catalogue.rules is first
    lent = database.lent
    assert await catalogue.at_least(1) is first
    assert database.lent == lent
    assert (await catalogue.at_least(changed)).version == changed
    assert database.lent == lent + 1
    # A store that was restored has gone back.
    with connected(database_url) as connection:
        connection.execute(f"UPDATE {database.queries.schema}.counter SET catalogue_version = 1")
    assert (await catalogue.at_least(1)).version == 1


async def test_who_asks_at_once_shares_it(database: Watched) -> None:
    catalogue = Catalogue(database)
    await catalogue.load()
    database.go_on.clear()
    lent = database.lent
    early = [asyncio.create_task(catalogue.at_least(7)) for _ in range(50)]
    await asyncio.sleep(0.1)
    # These look at what is in force now, which the one under way may have missed.
    late = [asyncio.create_task(catalogue.at_least(7)) for _ in range(50)]
    await asyncio.sleep(0.1)
    for task in (*early[:10], *late[:10]):
        task.cancel()
    database.go_on.set()
    found = await asyncio.gather(*early, *late, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in found) == 20
    assert {one.version for one in found if not isinstance(one, BaseException)} == {1}
    assert database.lent == lent + 2


async def test_documents_are_sent_once(database: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue(database)
    for number in range(5):
        await put(database, f"T{number}", '{"type": "object"}')
    taken: list[list[Any]] = []
    compiled = catalogue._compiled
    monkeypatch.setattr(catalogue, "_compiled", lambda rows: taken.append(rows) or compiled(rows))
    await catalogue.load()
    await put(database, "T0", "{}", revision=2)
    await catalogue.load()
    sources = [{row["name"]: row["source"] for row in rows} for rows in taken]
    assert sources[0] == {f"T{number}": '{"type": "object"}' for number in range(5)}
    assert sources[1] == {"T0": "{}"} | {f"T{number}": None for number in range(1, 5)}


async def test_who_asks_is_told_what_went_wrong(database: Watched) -> None:
    catalogue = Catalogue(database)
    await catalogue.load()
    await database.close()
    with pytest.raises(Refusal) as refused:
        await catalogue.at_least(2)
    assert refused.value.reason == "SHUTTING_DOWN"
    await database.open()
    assert (await catalogue.at_least(1)).version == 1
    await catalogue.load()
