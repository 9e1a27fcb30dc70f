"""Goal: subjects get keys once, whoever asks, lose them for good, and are what the store says.

Method: key stores on a real PostgreSQL, several on one schema where servers would be.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from tests.support.keys import key_store, master_key

from eventfold_server.config import ConfigError
from eventfold_server.errors import Refusal
from eventfold_server.limits import REWRAP_KEYS_MAX
from eventfold_server.storage.keys.ledger import EntryKind, LedgerEntry, LedgerPlace
from eventfold_server.storage.keys.rotation import START, MasterKeyRotation
from eventfold_server.storage.keys.store import (
    Erased,
    KeyRow,
    KeyStore,
    SubjectKeys,
    SubjectStatus,
)
from eventfold_server.storage.preparing import StorageRefused

STORE_ID = uuid.uuid4()
MAIN = master_key("main")
NOBODY = uuid.UUID(int=0)


@pytest.fixture
async def keys(postgres: str, schema: str) -> AsyncIterator[KeyStore]:
    made = key_store(postgres, schema, MAIN)
    await made.open(STORE_ID)
    yield made
    await made.close()


async def key_of(keys: KeyStore, name: str) -> KeyRow:
    found = (await keys.current([name]))[name]
    assert isinstance(found, KeyRow)
    return found


async def opened(keys: KeyStore, row: KeyRow) -> bytes:
    [key] = await keys.unwrapped([row])
    assert isinstance(key, bytes)
    return key


async def test_a_key_is_made_once_and_found_again(keys: KeyStore) -> None:
    found = await keys.current(["User-1", "User-2"])
    assert set(found) == {"User-1", "User-2"}
    one, two = await key_of(keys, "User-1"), await key_of(keys, "User-2")
    assert found == {"User-1": one, "User-2": two}
    assert (one.version, two.version) == (1, 1)
    assert len(await opened(keys, one)) == 32
    assert await opened(keys, one) != await opened(keys, two)
    by_ids = await keys.by_ids([(two.subject_id, 1), (uuid.uuid4(), 1), (one.subject_id, 2)])
    assert by_ids == [two, None, None]
    # A key that was moved to another subject does not open.
    moved = KeyRow(two.subject_id, 1, one.wrapped, one.master_key)
    [refused] = await keys.unwrapped([moved])
    assert isinstance(refused, Refusal)


async def test_servers_that_ask_at_once_get_the_same_keys(postgres: str, schema: str) -> None:
    stores = [key_store(postgres, schema, MAIN) for _ in range(4)]
    # The first start of several at once makes one key store.
    await asyncio.gather(*(store.open(STORE_ID) for store in stores))
    assert len({store.hash_of("User-1") for store in stores}) == 1
    names = [f"User-{number}" for number in range(100)]
    orders = [names, names[::-1], names[50:] + names[:50], names]
    answers = await asyncio.gather(
        *(store.current(order) for store, order in zip(stores, orders, strict=True))
    )
    assert all(answer == answers[0] for answer in answers)
    for store in stores:
        await store.close()


async def test_a_subject_that_is_erased_gets_no_key(
    keys: KeyStore, postgres: str, schema: str
) -> None:
    row = await key_of(keys, "User-1")
    hash_ = keys.hash_of("User-1")
    assert await keys.destroy(row.subject_id) is None, "an active subject is fenced first"
    assert await keys.fence(hash_) == row.subject_id
    erased = Erased(row.subject_id)
    assert await keys.current(["User-1"]) == {"User-1": erased}
    assert await keys.by_ids([(row.subject_id, 1)]) == [erased]
    assert not await keys.add_version(row.subject_id, 2)
    assert not await keys.readmit(hash_), "an erasure is under way"
    assert await keys.destroy(row.subject_id) == 1
    assert await keys.destroy(row.subject_id) == 1, "as often as it is asked"
    # Again, as an erasure that is resumed does.
    assert await keys.fence(hash_) == row.subject_id
    assert await keys.current(["User-1"]) == {"User-1": erased}
    subject = await keys.subject("User-1")
    assert subject is not None
    assert (subject.name, subject.status, subject.keys) == (None, SubjectStatus.ERASED, 0)
    with psycopg.connect(postgres) as connection:
        assert connection.execute(f"SELECT * FROM {schema}.data_keys").fetchall() == []
        assert (
            b"User-1"
            not in str(connection.execute(f"SELECT * FROM {schema}.subjects").fetchall()).encode()
        )


async def test_one_that_never_had_a_key_can_be_fenced(keys: KeyStore) -> None:
    hash_ = keys.hash_of("User-1")
    fenced = await keys.fence(hash_)
    assert await keys.current(["User-1"]) == {"User-1": Erased(fenced)}
    assert await keys.destroy(fenced) == 0
    assert await keys.current(["User-1"]) == {"User-1": Erased(fenced)}


async def test_a_fence_and_a_first_key_at_once(postgres: str, schema: str) -> None:
    one, other = key_store(postgres, schema, MAIN), key_store(postgres, schema, MAIN)
    await one.open(STORE_ID)
    await other.open(STORE_ID)
    for number in range(20):
        name = f"User-{number}"
        await asyncio.gather(one.current([name]), other.fence(other.hash_of(name)))
        assert isinstance((await one.current([name]))[name], Erased)
    await one.close()
    await other.close()


async def test_a_subject_that_is_admitted_again_is_another(keys: KeyStore) -> None:
    first = await key_of(keys, "User-1")
    hash_ = keys.hash_of("User-1")
    await keys.destroy(await keys.fence(hash_))
    assert await keys.readmit(hash_)
    assert not await keys.readmit(hash_)
    second = await key_of(keys, "User-1")
    assert second.subject_id != first.subject_id
    assert await keys.by_ids([(first.subject_id, 1), (second.subject_id, 1)]) == [
        Erased(first.subject_id),
        second,
    ]
    listed = await keys.subjects(NOBODY, None, None, 10)
    assert {one.subject_id for one in listed} == {first.subject_id, second.subject_id}
    assert [one.subject_id for one in await keys.subjects(NOBODY, None, "User", 10)] == [
        second.subject_id
    ]


async def test_versions_of_a_data_key(keys: KeyStore) -> None:
    first = await key_of(keys, "User-1")
    made = await asyncio.gather(*(keys.add_version(first.subject_id, 2) for _ in range(3)))
    assert sorted(made) == [False, False, True]
    second = await key_of(keys, "User-1")
    assert (second.subject_id, second.version) == (first.subject_id, 2)
    assert await opened(keys, first) != await opened(keys, second)
    assert await keys.by_ids([(first.subject_id, 1)]) == [first]
    assert await keys.active_of("User", NOBODY, 10) == [(first.subject_id, 2)]
    await keys.fence(keys.hash_of("User-1"))
    assert await keys.destroy(first.subject_id) == 2


async def test_a_master_key_is_replaced_while_keys_are_made(postgres: str, schema: str) -> None:
    old = key_store(postgres, schema, MAIN)
    await old.open(STORE_ID)
    names = [f"User-{number}" for number in range(REWRAP_KEYS_MAX + 10)]
    before = await old.current(names)
    keys_before = await old.unwrapped([row for row in before.values() if isinstance(row, KeyRow)])
    new_line = master_key("new")
    new = key_store(postgres, schema, new_line, MAIN)
    await new.open(STORE_ID)
    newest = await new.provider.newest()
    rotation = MasterKeyRotation(new)
    assert await rotation.left(newest) == len(names)
    first = await rotation.step(newest, START)
    assert (first.keys, first.failed) == (REWRAP_KEYS_MAX, 0)
    assert first.place is not None
    # A server with the old master key goes on meanwhile.
    await old.current(["Late-1"])
    # From the start, as after a kill: what is done is not done again.
    second = await rotation.step(newest, START)
    assert (second.keys, second.failed, second.place) == (11, 0, None)
    assert await rotation.left(newest) == 0
    assert await rotation.index_key(newest)
    assert not await rotation.index_key(newest)
    after = await new.current(names)
    keys_after = await new.unwrapped([row for row in after.values() if isinstance(row, KeyRow)])
    assert keys_after == keys_before
    await old.close()
    await new.close()
    # The old one can be thrown away.
    alone = key_store(postgres, schema, new_line)
    await alone.open(STORE_ID)
    assert alone.hash_of("User-1") == old.hash_of("User-1")
    assert await alone.master_keys() == {newest: len(names) + 1}
    await alone.close()


async def test_a_missing_or_wrong_master_key_is_refused(
    keys: KeyStore, postgres: str, schema: str
) -> None:
    await keys.current(["User-1"])
    for line in (master_key("other"), master_key("main")):
        other = key_store(postgres, schema, line)
        with pytest.raises(ConfigError, match=r"file:main:[0-9a-f]{8} \(1 data keys\)"):
            await other.open(STORE_ID)
        await other.close()


async def test_the_keys_of_another_log_are_refused(
    keys: KeyStore, postgres: str, schema: str
) -> None:
    await keys.current(["User-1"])
    other = key_store(postgres, schema, MAIN)
    with pytest.raises(StorageRefused, match=str(STORE_ID)):
        await other.open(uuid.uuid4())
    await other.close()


async def test_a_key_store_that_is_away(schema: str) -> None:
    away = key_store("postgresql://nobody@127.0.0.1:1/none", schema, MAIN)
    with pytest.raises(Refusal, match="KEYS_UNAVAILABLE"):
        await away.open(STORE_ID)


async def test_entries_of_the_ledger_are_followed_in_order(keys: KeyStore) -> None:
    row = await key_of(keys, "User-1")
    hash_ = keys.hash_of("User-1")

    def entry(number: int, kind: EntryKind) -> LedgerEntry:
        return LedgerEntry(number, kind, hash_, datetime.now(UTC), b"%d" % number)

    assert await keys.followed() == LedgerPlace()
    assert await keys.follow(entry(1, EntryKind.FENCE)) == row.subject_id
    assert await keys.current(["User-1"]) == {"User-1": Erased(row.subject_id)}
    assert await keys.followed() == LedgerPlace(1, b"1")
    with pytest.raises(AssertionError):
        await keys.follow(entry(3, EntryKind.FENCE))
    await keys.follow(entry(2, EntryKind.READMIT))
    again = await key_of(keys, "User-1")
    # An entry that was followed before changes nothing: not the fence, nor the re-admission.
    await keys.follow(entry(1, EntryKind.FENCE))
    assert await key_of(keys, "User-1") == again
    await keys.follow(entry(3, EntryKind.FENCE))
    await keys.follow(entry(2, EntryKind.READMIT))
    assert await keys.current(["User-1"]) == {"User-1": Erased(again.subject_id)}
    subject = await keys.subject_of_id(row.subject_id)
    assert subject is not None
    assert (subject.keys_destroyed, subject.readmitted_at is None) == (1, False)


async def test_all_keys_of_subjects(keys: KeyStore) -> None:
    one, other = await key_of(keys, "User-1"), await key_of(keys, "User-2")
    await keys.add_version(one.subject_id, 2)
    await keys.fence(keys.hash_of("User-2"))
    found = await keys.of_subjects([other.subject_id, one.subject_id, uuid.uuid4()])
    assert found == {
        one.subject_id: SubjectKeys("User-1", (one, await key_of(keys, "User-1"))),
        other.subject_id: SubjectKeys(None, None),
    }
