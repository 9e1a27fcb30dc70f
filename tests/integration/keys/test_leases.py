"""Goal: who erases waits for every server that may still use a key, and for no other.

Method: leases with keyrings of the core on a real PostgreSQL; a server that stands still is one
whose lease is not renewed.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import asyncpg
import pytest

from eventfold import _core
from eventfold_server.domain.privacy import leases as leases_module
from eventfold_server.domain.privacy.leases import Leases
from eventfold_server.storage.database import Database
from eventfold_server.storage.keys.ledger import EntryKind, LedgerEntry, LedgerPlace
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage

HASH = b"h" * 32
Start = Callable[[], Awaitable[tuple[Leases, _core.Keyring]]]


def entry(number: int, kind: EntryKind = EntryKind.FENCE, hash_: bytes = HASH) -> LedgerEntry:
    return LedgerEntry(number, kind, hash_, datetime.now(UTC), b"digest %d" % number)


@pytest.fixture
def storage(database: Database) -> PrivacyLeaseStorage:
    return PrivacyLeaseStorage(database)


@pytest.fixture
async def start(storage: PrivacyLeaseStorage) -> AsyncIterator[Start]:
    """Starts servers, as far as leases see them, each with a key of `SUBJECT`."""
    async with AsyncExitStack() as stack:

        async def start() -> tuple[Leases, _core.Keyring]:
            keyring = _core.Keyring(10)
            made = Leases(storage, keyring)
            await made.start()
            stack.push_async_callback(made.stop)
            return made, keyring

        yield start


async def test_keys_are_gone_when_a_fence_is_acknowledged(
    start: Start, storage: PrivacyLeaseStorage
) -> None:
    one, first = await start()
    _, second = await start()
    subject = uuid.uuid4()
    for keyring in (first, second):
        assert keyring.is_leased
        assert keyring.put(subject.bytes, "User-1", [(1, os.urandom(32))], keyring.epoch)
    epochs = [first.epoch, second.epoch]
    version = await storage.fence(entry(1), subject, 7)
    assert await one.wait_for_acknowledgement(version, 10.0)
    assert not first.may_leave(epochs[0])
    assert not second.may_leave(epochs[1])
    # Nothing else was lost.
    assert first.is_leased
    assert second.is_leased
    epochs = [first.epoch, second.epoch]
    assert await one.wait_for_acknowledgement(version, 10.0)
    assert [first.epoch, second.epoch] == epochs


async def test_one_that_stands_still_is_waited_for_until_its_lease_has_run_out(
    start: Start, storage: PrivacyLeaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases_module, "PRIVACY_LEASE_S", 1.5)
    monkeypatch.setattr(leases_module, "PRIVACY_LEASE_PAUSE_S", 0.2)
    one, _ = await start()
    still, keyring = await start()
    assert still._loop is not None
    still._loop.cancel()
    await asyncio.sleep(0.3)
    subject = uuid.uuid4()
    version = await storage.fence(entry(1), subject, None)
    assert not await one.wait_for_acknowledgement(version, 0.2), "its lease has not run out"
    assert await one.wait_for_acknowledgement(version, 10.0)
    # By its own clock it has run out too, and before it gets another it throws the key away.
    assert not keyring.is_leased
    epoch = keyring.epoch
    await still.follow(version)
    assert keyring.is_leased
    assert keyring.epoch != epoch


async def test_one_that_ended_is_not_waited_for(start: Start, storage: PrivacyLeaseStorage) -> None:
    one, _ = await start()
    other, keyring = await start()
    await other.stop()
    assert not keyring.is_leased
    version = await storage.fence(entry(1), uuid.uuid4(), None)
    await one.follow(version)
    assert await one.wait_for_acknowledgement(version, 0.0)


async def test_it_stops_while_a_renewal_is_under_way(
    start: Start,
    storage: PrivacyLeaseStorage,
    postgres: str,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases_module, "PRIVACY_LEASE_PAUSE_S", 0.05)
    one, keyring = await start()
    holder = await asyncpg.connect(postgres)
    try:
        held = holder.transaction()
        await held.start()
        await holder.execute(f"LOCK TABLE {schema}.privacy_servers")
        waiting = (
            "SELECT count(*) FROM pg_locks"
            f" WHERE relation = '{schema}.privacy_servers'::regclass AND NOT granted"
        )
        async with asyncio.timeout(60):
            while not await holder.fetchval(waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        stopping = asyncio.create_task(one.stop())
        await asyncio.sleep(0.1)
        await held.rollback()
        async with asyncio.timeout(60):
            await stopping
    finally:
        await holder.close()
    assert not keyring.is_leased
    await asyncio.sleep(0.2)
    assert not keyring.is_leased
    version = await storage.fence(entry(1), uuid.uuid4(), None)
    assert await storage.behind(version, 0) == 0


async def test_a_fence_is_set_once_and_lifted_once(storage: PrivacyLeaseStorage) -> None:
    subject = uuid.uuid4()
    versions: list[int] = []

    async def told(number: int) -> bool:
        """Whether servers are told, once more."""
        versions.append(await storage.fence(entry(number), subject, 1))
        renewed = await storage.renew(uuid.uuid4(), 1_000, versions[-1] - 1)
        return list(renewed.fenced) == [subject] and versions == sorted(set(versions))

    assert await storage.followed() == LedgerPlace()
    assert not await storage.readmit(entry(1, EntryKind.READMIT))
    assert await told(1)
    assert await told(1)
    # One that somebody else has written meanwhile.
    assert await told(2)
    assert await storage.followed() == entry(1).place
    assert await storage.readmit(entry(3, EntryKind.READMIT))
    assert not await storage.readmit(entry(3, EntryKind.READMIT))
    assert await storage.followed() == entry(3).place
    # An entry from before the re-admission is out of date.
    assert await told(1)
    assert await told(2)
    assert await storage.followed() == entry(3).place
    later = await storage.fence(entry(4), uuid.uuid4(), 2)
    assert later > versions[-1]
    assert not await storage.readmit(entry(3, EntryKind.READMIT))
    assert await storage.followed() == entry(4).place


async def test_a_renewal_tells_what_was_fenced_since(storage: PrivacyLeaseStorage) -> None:
    server = uuid.uuid4()
    subjects = [uuid.uuid4() for _ in range(3)]
    await storage.fence(entry(1, hash_=b"1" * 32), subjects[0], None)
    first = await storage.renew(server, 1_000, None)
    assert list(first.fenced) == []
    for number in (2, 3):
        await storage.fence(entry(number, hash_=b"%d" % number * 32), subjects[number - 1], None)
    second = await storage.renew(server, 1_000, first.catalogue_version)
    assert set(second.fenced) == set(subjects[1:])
    assert await storage.behind(second.catalogue_version, 0) == 1
    third = await storage.renew(server, 1_000, second.catalogue_version)
    assert list(third.fenced) == []
    assert await storage.behind(third.catalogue_version, 0) == 0
    await storage.end(server)
    assert await storage.behind(third.catalogue_version + 1, 0) == 0
