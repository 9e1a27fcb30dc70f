"""Goal: the subject index tells exactly which events hold sealed values of whom, and no name.

Method: a real server with keys appends; the index of its store is followed and read beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from eventfold import ANY, Client, Event
from eventfold_server.domain.privacy import subject_index
from eventfold_server.domain.privacy.subject_index import SubjectEvent, SubjectIndex
from eventfold_server.errors import Refusal
from eventfold_server.storage import subject_index as storage_module
from eventfold_server.storage.database import Database
from eventfold_server.storage.subject_index import SubjectIndexStorage


@pytest.fixture
async def storage(store: Client, postgres: str) -> AsyncIterator[SubjectIndexStorage]:
    database = Database(postgres, "personal")
    await database.open()
    yield SubjectIndexStorage(database)
    await database.close()


@pytest.fixture
def index(storage: SubjectIndexStorage) -> SubjectIndex:
    return SubjectIndex(storage)


def fill(store: Client, kind: str) -> None:
    """Five events with values of two subjects, and some without."""
    store.put_privacy_rules(
        {
            "privacy": kind,
            "personal": {
                "/name": None,
                "/a~1b~0/*": {"subject": {"pointer": "/friend", "category": f"{kind}F"}},
            },
        }
    )
    events = [Event(kind, {"name": "x", "n": n}) for n in range(3)]
    store.append(f"{kind}-1", events, expected_version=0)
    friends = [
        Event(kind, {"name": "x", "a/b~": ["y", "z"], "friend": 7}),
        Event(kind, {"a/b~": ["y"], "friend": 7}),
        Event(kind, {"n": 1}),
        Event("Other", {"name": "$sealed:1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
    ]
    store.append(f"{kind}-2", friends, expected_version=0)


def subject(store: Client, name: str) -> UUID:
    return UUID(store.get_subject(name).subject_id)


async def found(index: SubjectIndex, *subjects: UUID) -> list[SubjectEvent]:
    return [event async for page in index.events(subjects) for event in page]


async def test_it_tells_events_and_paths_by_subject(
    store: Client, index: SubjectIndex, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject_index, "SUBJECT_INDEX_PAGE_EVENTS", 2)
    fill(store, kind)
    assert await index.catch_up() >= 7
    one, two, friend = (subject(store, f"{kind}{rest}") for rest in ("-1", "-2", "F-7"))
    events = await found(index, one)
    assert [(one.stream, one.version, one.paths) for one in events] == [
        (f"{kind}-1", version, ["/name"]) for version in (1, 2, 3)
    ]
    assert [(one.version, one.paths) for one in await found(index, two)] == [(1, ["/name"])]
    assert [(one.version, one.paths) for one in await found(index, friend)] == [
        (1, ["/a~1b~0/0", "/a~1b~0/1"]),
        (2, ["/a~1b~0/0"]),
    ]
    both = await found(index, two, friend)
    assert [one.version for one in both] == [1, 1, 2]
    [types] = await index.types([two, friend])
    assert (types.type, types.events, types.streams) == (kind, 2, 1)


async def test_it_is_followed_in_pieces_and_by_one_at_a_time(
    store: Client, storage: SubjectIndexStorage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "SUBJECT_INDEX_EVENTS", 1)
    index = SubjectIndex(storage)
    fill(store, kind)
    assert await index.catch_up() >= 7
    assert len(await found(index, subject(store, f"{kind}-1"))) == 3
    progress = await storage.progress()
    assert progress.position == progress.head
    assert progress.unreadable == 0


async def test_what_takes_too_long_is_told(
    store: Client, storage: SubjectIndexStorage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "SUBJECT_INDEX_EVENTS", 1)
    index = SubjectIndex(storage)
    fill(store, kind)
    with pytest.raises(Refusal, match="SUBJECT_INDEX_BEHIND") as refused:
        await index.catch_up(0.0)
    facts = refused.value.facts
    assert int(facts["position"]) < int(facts["head"])
    await index.catch_up()
    progress = await storage.progress()
    assert progress.position == progress.head


async def test_deleted_and_forgotten_events_are_not_told(
    store: Client, index: SubjectIndex, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "SUBJECT_INDEX_ROWS", 2)
    fill(store, kind)
    await index.catch_up()
    one, friend = subject(store, f"{kind}-1"), subject(store, f"{kind}F-7")
    deletion = store.delete_stream(f"{kind}-2", expected_version=ANY, reason="asked for")
    store.wait_deletion(deletion.deletion_id, timeout=30)
    assert await found(index, friend) == []
    assert await index.forget(one) == 3
    assert await found(index, one) == []
    assert await index.forget(one) == 0


async def test_it_holds_no_name(
    store: Client, index: SubjectIndex, postgres: str, kind: str
) -> None:
    fill(store, kind)
    await index.catch_up()
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM personal.subject_events q WHERE q::text LIKE %s", [f"%{kind}%"]
        ).fetchone()
    assert rows == (0,)
