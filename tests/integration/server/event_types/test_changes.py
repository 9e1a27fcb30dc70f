"""Goal: changes of the catalogue come one after the other, each knows what the one before left,
and one that is not committed has changed nothing.

Method: the statements of the storage on a real PostgreSQL, without a server.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.support.database import connected

from eventfold_server.errors import Refusal
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.event_types import EventTypeStorage, NewSchema, Said

MAPPING = '{"mapping": "T", "defaults": {"a": 1}}'


class Store:
    """A store without a server."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.storage = EventTypeStorage(database)
        self.catalogue = Catalogue(database)

    async def version(self) -> int:
        await self.catalogue.load()
        return self.catalogue.rules.version

    async def held(self, url: str, count: int) -> None:
        """Waits until so many changes wait for each other."""
        for _ in range(2_000):
            if len(await self._waiting(url)) == count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nobody waits")

    async def _waiting(self, url: str) -> list[object]:
        def ask() -> list[object]:
            with connected(url) as connection:
                return connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND query LIKE %s",
                    (f"%{self.database.queries.schema}%",),
                ).fetchall()

        return await asyncio.to_thread(ask)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    database = Database(database_url, f"test_{uuid.uuid4().hex}")
    await database.open()
    yield Store(database)
    await database.close()


def new(event_type: str | None, digest: str, schema_id: str | None = None) -> NewSchema:
    return NewSchema(event_type, schema_id, digest, "{}", [("a", "{}")], 3, formats=True)


async def test_changes_come_one_after_the_other(store: Store, database_url: str) -> None:
    async def put(digest: str) -> int:
        # As in another process: in one they wait for each other without the database.
        async with EventTypeStorage(store.database).changing() as change:
            before = await change.schema("T", None)
            revision = 1 if before is None else before.revision + 1
            await change.put_schema(new("T", digest), revision, 0, "me")
            await change.commit()
            return revision

    async with store.storage.changing() as first:
        others = [asyncio.create_task(put(f"d{n}")) for n in range(5)]
        await store.held(database_url, 5)
        assert not any(other.done() for other in others)
        await first.put_schema(new("T", "d"), 1, 3, "you")
        await first.commit()
    assert sorted(await asyncio.gather(*others)) == [2, 3, 4, 5, 6]
    found = await store.storage.schema("T", None, 1)
    assert found is not None
    assert (found.digest, found.accepted_misfits, found.put_by) == ("d", 3, "you")
    assert (found.resource_ids, found.resources, found.formats) == (["a"], ["{}"], True)


async def test_nothing_is_changed_without_a_commit(store: Store) -> None:
    before = await store.version()
    async with store.storage.changing() as change:
        await change.say("T", Said("a", "U", 2, 2), "me", of_rules=True)
        assert (await change.said("T")).replaced_by == "U"
    with pytest.raises(ZeroDivisionError):
        await _fail(store)
    assert await store.version() == before
    assert await store.storage.categories("", 10) == []
    assert (await store.storage.event_type("T")).said == Said()
    # The connections are as good as new.
    for n in range(20):
        async with store.storage.changing() as change:
            await change.put_category(f"c{n}", 1)
            await change.commit()
    assert len(await store.storage.categories("", 100)) == 20
    assert store.catalogue.rules.version == before < await store.version()


async def _fail(store: Store) -> None:
    async with store.storage.changing() as change:
        await change.put_category("c", 3)
        raise ZeroDivisionError


async def test_who_leaves_before_the_commit_has_changed_nothing(
    store: Store, database_url: str
) -> None:
    async def put() -> None:
        async with EventTypeStorage(store.database).changing() as change:
            await change.put_category("c", 1)
            await change.commit()

    async with store.storage.changing():
        # Waits for the lock, and leaves.
        leaving = asyncio.create_task(put())
        await store.held(database_url, 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await store.held(database_url, 0)
    assert await store.storage.categories("", 10) == []
    await put()
    assert await store.storage.categories("", 10) == [("c", 1)]


async def test_a_commit_is_carried_through(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves during it is told that nobody knows."""
    entered, go_on = asyncio.Event(), asyncio.Event()
    fetch = asyncpg.Connection.fetch

    async def slow(self: object, sql: str, *arguments: object, **options: object) -> object:
        if sql == "COMMIT":
            entered.set()
            await go_on.wait()
        return await fetch(self, sql, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "fetch", slow)

    async def put() -> None:
        async with store.storage.changing() as change:
            await change.put_category("c", 2)
            await change.commit()

    putting = asyncio.create_task(put())
    await entered.wait()
    putting.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(Refusal) as refused:
        await putting
    assert refused.value.reason == "OUTCOME_UNKNOWN"
    assert await store.storage.categories("", 10) == [("c", 2)]


async def test_a_connection_that_breaks_has_changed_nothing(
    store: Store, database_url: str
) -> None:
    async def put(more: bool) -> None:
        async with store.storage.changing() as change:
            await change.put_category("c", 2)
            _terminate(database_url, store.database.queries.schema)
            if more:
                await change.put_category("d", 2)
            await change.commit()

    with pytest.raises(Refusal) as refused:
        await put(True)
    assert refused.value.reason == "STORAGE_UNAVAILABLE"
    with pytest.raises(Refusal) as refused:
        await put(False)
    # It does not know that nothing was stored.
    assert refused.value.reason == "OUTCOME_UNKNOWN"
    assert await store.storage.categories("", 10) == []
    async with store.storage.changing() as change:
        await change.put_category("c", 3)
        await change.commit()
    assert await store.storage.categories("", 10) == [("c", 3)]


def _terminate(database_url: str, schema: str) -> None:
    """Ends the session that changes this store."""
    with connected(database_url) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND query LIKE %s",
            (f"%{schema}%",),
        ).fetchall()
    assert rows == [(True,)]


async def test_one_mapping_of_a_type_is_in_force(store: Store) -> None:
    versions = []
    for digest in ("a", "b"):
        async with store.storage.changing() as change:
            row = await change.put_mapping("T", digest, MAPPING, "me")
            await change.commit()
        versions.append(await store.version())
        assert await store.storage.mapping("T") == row
    assert row.revision == 2
    assert versions[0] < versions[1]
    async with store.storage.changing() as change:
        await change.drop_mapping("T")
        await change.commit()
    assert await store.storage.mapping("T") is None
    old = await store.storage.mapping("T", 1)
    assert old is not None
    assert old.digest == "a"
    async with store.storage.changing() as change:
        row = await change.put_mapping("T", "a", MAPPING, "me")
        await change.commit()
    assert row.revision == 3
    assert await store.storage.mapping("T") == row
    assert await store.storage.mappings("", 10) == ([row], False)


async def test_pages_end_with_the_size_or_the_bytes(store: Store) -> None:
    async with store.storage.changing() as change:
        for n in range(7):
            big = NewSchema(f"t{n}", None, "d", f'"{"x" * 300_000}"', [], 3, formats=False)
            await change.put_schema(big, 1, 0, "me")
            await change.put_schema(big, 2, 0, "me")
            await change.put_schema(new(None, "d", f"i{n}"), 1, 0, "me")
            await change.put_mapping(f"t{n}", "d", "y" * 400_000, "me")
        await change.commit()
    page, more = await store.storage.schemas("", "", 3)
    assert ([row.type for row in page], more) == (["t0", "t1", "t2"], True)
    assert {row.revision for row in page} == {2}
    page, more = await store.storage.schemas("t0", "", 6)
    # The fourth reaches 1 MiB.
    assert ([row.type for row in page], more) == (["t1", "t2", "t3", "t4"], True)
    page, more = await store.storage.schemas("t4", "", 6)
    assert [row.type or row.schema_id for row in page] == ["t5", "t6", "i0", "i1", "i2", "i3"]
    assert more
    page, more = await store.storage.schemas(None, "i3", 3)
    assert ([row.schema_id for row in page], more) == (["i4", "i5", "i6"], False)
    assert await store.storage.schemas(None, "i6", 3) == ([], False)
    mappings, more = await store.storage.mappings("t1", 100)
    assert ([row.type for row in mappings], more) == (["t2", "t3", "t4"], True)
    mappings, more = await store.storage.mappings("t4", 2)
    assert ([row.type for row in mappings], more) == (["t5", "t6"], False)


async def test_circles_of_replacements_are_seen(store: Store) -> None:
    async with store.storage.changing() as change:
        for of, by in (("a", "b"), ("b", "c"), ("d", "b")):
            await change.say(of, Said(replaced_by=by), "me", of_rules=False)
        assert await change.replacements("a", "c") == ["a", "b", "c"]
        assert await change.replacements("b", "a") == ["b", "c"]
        await change.say("c", Said(replaced_by="a"), "me", of_rules=False)
        # One that is there is no circle without end.
        assert sorted(await change.replacements("d", "x")) == ["a", "b", "c", "d"]
        await change.commit()
    assert (await store.storage.event_type("b")).replaces == ["a", "d"]
