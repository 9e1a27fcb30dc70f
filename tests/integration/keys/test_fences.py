"""Goal: who was fenced stays so, wherever it was killed, and whichever backups are restored.

Method: a log, a key store and a ledger in schemas and a file of their own. A backup of a schema is
a copy of its rows from before; a kill is a process of its own that ends itself at a failpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.keys import key_store, master_key

from eventfold import _core
from eventfold_server.domain.privacy.fences import Fences
from eventfold_server.domain.privacy.leases import Leases
from eventfold_server.errors import Refusal
from eventfold_server.storage.database import Database
from eventfold_server.storage.keys.ledger import EntryKind, LedgerRefused
from eventfold_server.storage.keys.ledger_file import FileLedger
from eventfold_server.storage.keys.loading import KeyLoader
from eventfold_server.storage.keys.store import Erased, KeyRow, KeyStore, SubjectStatus
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage

ROOT = Path(__file__).resolve().parents[3]
MAIN = master_key("main")
KEY_TABLES = ("subjects", "data_keys", "key_store")


@pytest.fixture
def storage(database: Database) -> PrivacyLeaseStorage:
    return PrivacyLeaseStorage(database)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fences"


@pytest.fixture
async def keys(postgres: str, schema: str, storage: PrivacyLeaseStorage) -> AsyncIterator[KeyStore]:
    made = key_store(postgres, f"{schema}_keys", MAIN)
    await made.open(await storage.store_id())
    yield made
    await made.close()


async def started(path: Path, keys: KeyStore, storage: PrivacyLeaseStorage) -> Fences:
    """As a server starts."""
    fences = Fences(FileLedger(path), keys, storage)
    await fences.start()
    return fences


class Backup:
    """The rows of tables as they are now, to be put back later."""

    def __init__(self, url: str, schema: str, tables: tuple[str, ...]) -> None:
        self._url, self._schema, self._tables = url, schema, tables
        with psycopg.connect(url) as connection:
            for table in tables:
                connection.execute(
                    f"CREATE TABLE {schema}.backup_{table} AS TABLE {schema}.{table}"
                )

    async def restore(self) -> None:
        """Beside the event loop: what runs on it may hold a lock of these tables."""
        await asyncio.to_thread(self._restore)

    def _restore(self) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute(
                f"TRUNCATE {', '.join(f'{self._schema}.{table}' for table in self._tables)}"
            )
            for table in self._tables:
                connection.execute(
                    f"INSERT INTO {self._schema}.{table} OVERRIDING SYSTEM VALUE"
                    f" TABLE {self._schema}.backup_{table}"
                )


async def test_a_fence_stands_in_three_places(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage
) -> None:
    fences = await started(path, keys, storage)
    row = (await keys.current(["User-1"]))["User-1"]
    assert isinstance(row, KeyRow)
    hash_ = keys.hash_of("User-1")
    fenced = await fences.fence(hash_, 5)
    assert (fenced.subject_id, fenced.keys_destroyed) == (row.subject_id, 1)
    assert fenced.catalogue_version > 1
    assert await keys.current(["User-1"]) == {"User-1": Erased(row.subject_id)}
    assert (await storage.followed()).number == (await keys.followed()).number == 1
    # Again in another server, whose ledger is the same; servers are told each time.
    for again in (fences, await started(path, keys, storage)):
        version = fenced.catalogue_version
        fenced_again = await again.fence(hash_)
        assert fenced_again.catalogue_version > version
        fenced = replace(fenced, catalogue_version=fenced_again.catalogue_version)
        assert fenced_again == fenced
    assert (await storage.followed()).number == (await keys.followed()).number == 1
    assert "User-1" not in path.read_text()  # noqa: ASYNC240


async def test_who_is_admitted_again_is_another(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage
) -> None:
    fences = await started(path, keys, storage)
    with pytest.raises(Refusal, match="SUBJECT_NOT_ERASED"):
        await fences.readmit("User-1")
    first = await fences.fence(keys.hash_of("User-1"))
    readmitted = await fences.readmit("User-1")
    assert (readmitted.subject_id, readmitted.repeated) == (first.subject_id, False)
    # Whoever began it may have been killed.
    assert await fences.readmit("User-1") == replace(readmitted, repeated=True)
    again = (await keys.current(["User-1"]))["User-1"]
    assert isinstance(again, KeyRow)
    await started(path, keys, storage)
    assert (await keys.current(["User-1"]))["User-1"] == again
    second = await fences.fence(keys.hash_of("User-1"))
    assert second.subject_id == again.subject_id
    assert second.catalogue_version > first.catalogue_version


@pytest.mark.parametrize("restored", ["log", "keys", "both"])
async def test_old_backups_bring_nobody_back(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, postgres: str, schema: str,
    restored: str,
) -> None:  # fmt: skip
    fences = await started(path, keys, storage)
    names = [f"User-{number}" for number in range(4)]
    await keys.current(names)
    early = await fences.fence(keys.hash_of("User-0"))
    log = Backup(postgres, schema, ("fences",))
    store = Backup(postgres, f"{schema}_keys", KEY_TABLES)
    await fences.fence(keys.hash_of("User-1"))
    await fences.fence(keys.hash_of("User-2"))
    await fences.readmit("User-2")
    before = (await keys.current(["User-2"]))["User-2"]
    if restored in ("log", "both"):
        await log.restore()
    if restored in ("keys", "both"):
        await store.restore()
        subject = await keys.subject("User-1")
        assert subject is not None
        assert subject.status is SubjectStatus.ACTIVE, "it is an old one"
    await started(path, keys, storage)
    found = await keys.current(names)
    assert isinstance(found["User-1"], Erased)
    assert found["User-0"] == Erased(early.subject_id)
    assert isinstance(found["User-3"], KeyRow)
    again = found["User-2"]
    assert isinstance(again, KeyRow)
    if restored == "log":
        assert again == before
    assert (await storage.followed()).number == (await keys.followed()).number == 4
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(
            f"SELECT ledger_no, subject_id, readmit_no FROM {schema}.fences ORDER BY ledger_no"
        ).fetchall()
    assert [(row[0], row[2]) for row in rows] == [(1, None), (2, None), (3, 4)]
    # The one that was admitted again has a key, which no server may be told to throw away.
    assert again.subject_id not in {row[1] for row in rows}


async def test_a_key_store_restored_under_a_server_brings_nobody_back(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, postgres: str, schema: str
) -> None:
    """Another server erased somebody, and this one was told; then it looks for the keys again."""
    fences = await started(path, keys, storage)
    keyring = _core.Keyring(10)
    leases, loader = Leases(storage, keyring, keys.saw), KeyLoader(keys, keyring)
    await leases.start()
    row = (await keys.current(["User-1"]))["User-1"]
    assert isinstance(row, KeyRow)
    backup = Backup(postgres, f"{schema}_keys", KEY_TABLES)
    other = key_store(postgres, f"{schema}_keys", MAIN)
    await other.open(await storage.store_id())
    try:
        beside = await started(path, other, storage)
        fenced = await beside.fence(keys.hash_of("User-1"))
        await leases.follow(fenced.catalogue_version)
        loads = (
            lambda: loader.load_ids([row.subject_id.bytes]),
            lambda: loader.load_names(["User-1"]),
        )
        for load in loads:
            await backup.restore()
            keyring.evict_all()
            with pytest.raises(Refusal, match="KEYS_UNAVAILABLE") as refused:
                await load()
            assert refused.value.facts["problem"] == "key_store_restored"
            await until_given(load)
        assert await keys.current(["User-1"]) == {"User-1": Erased(row.subject_id)}
        # Told to all, and waited for, once more.
        await backup.restore()
        again = await beside.fence(keys.hash_of("User-1"))
        assert again.catalogue_version > fenced.catalogue_version
        assert await keys.current(["User-1"]) == {"User-1": Erased(row.subject_id)}
    finally:
        await leases.stop()
        await fences.close()
        await other.close()


async def until_given(load: Callable[[], Awaitable[None]]) -> None:
    """The ledger is followed again, and what the key store says then is heard."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Refusal):
                return await load()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("act", ["start", "erase"])
async def test_what_is_done_again_is_told_to_servers_that_run(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, postgres: str, schema: str, act: str
) -> None:
    fences = await started(path, keys, storage)
    await keys.current(["User-1", "User-2"])
    backup = Backup(postgres, f"{schema}_keys", KEY_TABLES)
    subjects = [
        (await fences.fence(keys.hash_of(name))).subject_id for name in ("User-1", "User-2")
    ]
    seen = await storage.renew(uuid.uuid4(), 1_000, None)
    assert seen.ledger_no == 2
    await backup.restore()
    if act == "start":
        await started(path, keys, storage)
    else:
        await fences.fence(keys.hash_of("User-1"))
    renewed = await storage.renew(uuid.uuid4(), 1_000, seen.catalogue_version)
    assert set(renewed.fenced) == set(subjects)
    # They have keys in memory that the key store may have lost.
    assert renewed.rotated


@pytest.mark.parametrize("appended", [False, True])
async def test_who_is_admitted_again_beside_it_is_fenced_as_another(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, monkeypatch: pytest.MonkeyPatch,
    appended: bool,
) -> None:  # fmt: skip
    """Another server admits the subject again, which is erased already, while it is fenced."""
    fences = await started(path, keys, storage)
    await keys.current(["User-1"])
    first = await fences.fence(keys.hash_of("User-1"))
    follow, found = fences._follow_in_log, list[object]()

    async def follow_late(*arguments: Any) -> int:
        monkeypatch.undo()
        version = await follow(*arguments)
        await fences.readmit("User-1")
        if appended:
            found.append((await keys.current(["User-1"]))["User-1"])
        return version

    monkeypatch.setattr(fences, "_follow_in_log", follow_late)
    fenced = await fences.fence(keys.hash_of("User-1"))
    assert (fenced.entry.number, fenced.keys_destroyed) == (3, int(appended))
    assert fenced.subject_id != first.subject_id
    for row in found:
        assert isinstance(row, KeyRow)
        assert fenced.subject_id == row.subject_id
    subject = await keys.subject_of_id(fenced.subject_id)
    assert subject is not None
    assert subject.status is SubjectStatus.ERASED
    assert await keys.current(["User-1"]) == {"User-1": Erased(fenced.subject_id)}


async def test_the_log_hears_of_nobody_before_the_key_store(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server writes into the ledger while this one follows it."""
    fences = await started(path, keys, storage)
    rows = await keys.current(["User-1", "User-2"])
    follow = fences._follow_in_keys

    async def follow_late() -> object:
        found = await follow()
        monkeypatch.undo()
        await fences._ledger.append(EntryKind.FENCE, keys.hash_of("User-2"))
        return found

    monkeypatch.setattr(fences, "_follow_in_keys", follow_late)
    seen = await storage.renew(uuid.uuid4(), 1_000, None)
    await fences.fence(keys.hash_of("User-1"))
    assert (await storage.followed()).number == 1
    await fences.fence(keys.hash_of("User-2"))
    renewed = await storage.renew(uuid.uuid4(), 1_000, seen.catalogue_version)
    assert set(renewed.fenced) == {row.subject_id for row in rows.values()}
    assert not renewed.rotated


async def test_a_ledger_that_is_older_than_log_or_key_store_is_refused(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, postgres: str, schema: str
) -> None:
    fences = await started(path, keys, storage)
    log = Backup(postgres, schema, ("fences",))
    store = Backup(postgres, f"{schema}_keys", KEY_TABLES)
    old = path.read_bytes()  # noqa: ASYNC240
    await fences.fence(keys.hash_of("User-1"))
    new = path.read_bytes()  # noqa: ASYNC240
    await log.restore()
    for who in ("key store", "log"):
        path.write_bytes(old)  # noqa: ASYNC240
        with pytest.raises(LedgerRefused, match=f"ends with entry 0, and the {who} has"):
            await started(path, keys, storage)
        path.unlink()  # noqa: ASYNC240
        with pytest.raises(LedgerRefused, match="missing"):
            await started(path, keys, storage)
        path.write_bytes(new)  # noqa: ASYNC240
        await started(path, keys, storage)
        await store.restore()


_KILLED = """
import asyncio, sys, uuid
from pathlib import Path
from tests.support.keys import key_store
from eventfold_server.domain.privacy.fences import Fences
from eventfold_server.storage.database import Database
from eventfold_server.storage.keys.ledger_file import FileLedger
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage

async def main(url, schema, path, line, act):
    database = Database(url, schema)
    await database.open()
    storage = PrivacyLeaseStorage(database)
    keys = key_store(url, schema + "_keys", line)
    await keys.open(await storage.store_id())
    fences = Fences(FileLedger(Path(path)), keys, storage)
    await fences.start()
    if act == "fence":
        await fences.fence(keys.hash_of("User-1"))
    else:
        await fences.readmit("User-1")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("act", "point"),
    [
        ("fence", "fence_written"),
        ("fence", "keys_destroyed"),
        ("fence", "fence_in_log"),
        ("readmit", "readmission_written"),
    ],
)
async def test_killed_on_the_way_it_is_done_at_the_next_start(
    path: Path, keys: KeyStore, storage: PrivacyLeaseStorage, postgres: str, schema: str,
    act: str, point: str,
) -> None:  # fmt: skip
    fences = await started(path, keys, storage)
    row = (await keys.current(["User-1"]))["User-1"]
    assert isinstance(row, KeyRow)
    if act == "readmit":
        await fences.fence(keys.hash_of("User-1"))
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, postgres, schema, str(path), MAIN, act,
        env=os.environ | {"EVENTFOLD_FAILPOINT": point, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert await killed.wait() == -signal.SIGKILL
    if point == "fence_written":
        assert isinstance((await keys.current(["User-1"]))["User-1"], KeyRow), "nothing is done"
    fences = await started(path, keys, storage)
    found = (await keys.current(["User-1"]))["User-1"]
    if act == "fence":
        assert found == Erased(row.subject_id)
        fenced = await fences.fence(keys.hash_of("User-1"))
        assert (fenced.subject_id, fenced.keys_destroyed) == (row.subject_id, 1)
    else:
        assert isinstance(found, KeyRow)
    assert (await storage.followed()) == (await keys.followed())
