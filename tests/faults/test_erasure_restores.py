"""Goal: a restored backup of the log, of the key store, or of both brings nobody back who was
erased since.

Method: copies of all tables of the two schemas, from before an erasure, are put back while no
server runs; the ledger stays, as it stands in a third place. A ledger that is missing or was put
back too is refused.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.database import connected
from tests.support.keys import master_key_file
from tests.support.servers import ServerDied, start_postgres, start_server

import eventfold
from eventfold import Client, Event

SECRET = "Ada" + uuid.uuid4().hex


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("restores")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


class Backup:
    """All that a schema holds, as it is now: its tables are copied beside it, and put back later
    in place of what they hold then.
    """

    def __init__(self, url: str, schema: str) -> None:
        self._url, self._schema, self._copy = url, schema, f"{schema}_b"
        with connected(url) as connection:
            connection.execute(f"CREATE SCHEMA {self._copy}")
            for table in self._tables():
                connection.execute(
                    f'CREATE TABLE {self._copy}."{table}" AS TABLE {schema}."{table}"'
                )

    def restore(self) -> None:
        with connected(self._url) as connection:
            # As a restore does: no trigger, no foreign key.
            connection.execute("SET session_replication_role = replica")
            for table in self._tables():
                connection.execute(f'DELETE FROM {self._schema}."{table}"')
                connection.execute(
                    f'INSERT INTO {self._schema}."{table}" OVERRIDING SYSTEM VALUE'
                    f' SELECT * FROM {self._copy}."{table}"'
                )

    def _tables(self) -> list[str]:
        with connected(self._url) as connection:
            rows = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
                " AND table_type = 'BASE TABLE'",
                (self._copy if self._has_copy() else self._schema,),
            ).fetchall()
        return [name for (name,) in rows]

    def _has_copy(self) -> bool:
        with connected(self._url) as connection:
            found = connection.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s",
                (self._copy,),
            ).fetchone()
        return found is not None and found[0] > 0


class Place:
    """A store in schemas of its own, and its ledger."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.schema = f"r_{uuid.uuid4().hex[:12]}"
        self.ledger = folder / "fences"
        self.options: dict[str, object] = {
            "database_url": url,
            "schema": self.schema,
            "master_key_file": master_key_file(folder),
            "fence_ledger": f"file:{self.ledger}",
        }


@pytest.fixture
def place(url: str, tmp_path: Path) -> Place:
    return Place(url, tmp_path)


def fill(store: Client) -> None:
    store.put_privacy_rules({"privacy": "Named", "personal": {"/name": None}})
    for number, name in ((1, SECRET), (2, "Eve")):
        event = Event("Named", {"name": name})
        store.append(f"User-{number}", [event], expected_version=0)


def names(store: Client) -> list[object]:
    return [event.data["name"] for event in store.read_all(types=["Named"])]


@pytest.mark.parametrize(
    "restored",
    [
        pytest.param("log", marks=pytest.mark.long),
        pytest.param("keys", marks=pytest.mark.long),
        "both",
    ],
)
def test_a_restored_backup_brings_nobody_back(restored: str, place: Place) -> None:
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        fill(store)
        assert names(store) == [SECRET, "Eve"]
    backups = [
        Backup(place.url, schema)
        for schema, parts in ((place.schema, "log both"), (f"{place.schema}_keys", "keys both"))
        if restored in parts.split()
    ]
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        job = store.erase("User-1", reason="asked for")
        subject_id = store.wait_erasure(job.erasure_id, timeout=60).subject_id
    for backup in backups:
        backup.restore()
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        assert names(store) == [None, "Eve"]
        with pytest.raises(eventfold.SubjectErased):
            store.append("User-1", [Event("Named", {"name": "x"})], expected_version=1)
        if restored != "keys":
            check_done_again(store, subject_id)
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        assert names(store) == [None, "Eve"]
        assert len(list(store.list_erasures())) == 1


def check_done_again(store: Client, subject_id: str | None) -> None:
    """The log, which knew nothing of the erasure, erases once more what was made of values."""
    deadline = 60.0
    [again] = wait_for_one(store, deadline)
    done = store.wait_erasure(again.erasure_id, timeout=deadline)
    assert (done.subject_id, done.plan_digest) == (subject_id, None)
    receipt = store.get_receipt(done.erasure_id)
    assert receipt is not None
    assert receipt.content["removed"]["events_with_sealed_values"] == 1
    assert receipt.content["remains"]["plaintext"] is None
    told = [event.type for event in store.read("$audit")]
    assert told == ["$SubjectErased"]


def wait_for_one(store: Client, seconds: float) -> list[eventfold.ErasureInfo]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = list(store.list_erasures())
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("no erasure has begun")


def test_a_ledger_that_is_missing_or_shorter_is_refused(place: Place) -> None:
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        fill(store)
    shorter = place.folder / "shorter"
    shutil.copy(place.ledger, shorter)
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        job = store.erase("User-1", reason="asked for")
        store.wait_erasure(job.erasure_id, timeout=60)
    kept = place.folder / "kept"
    shutil.move(place.ledger, kept)
    for put_back in (None, shorter):
        if put_back is not None:
            shutil.copy(put_back, place.ledger)
        with (
            pytest.raises(ServerDied, match="ledger of fences"),
            start_server(place.folder, **place.options),
        ):
            pass
    shutil.copy(kept, place.ledger)
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        assert names(store) == [None, "Eve"]


def test_dumps_of_log_and_key_store_hold_nobody(place: Place) -> None:
    """What is dumped after an erasure: ciphertext, and no key that opens it."""
    with start_server(place.folder, **place.options) as server, Client(server.address) as store:
        fill(store)
        subject = store.get_subject("User-1")
        job = store.erase("User-1", reason="asked for")
        store.wait_erasure(job.erasure_id, timeout=60)
    with connected(place.url) as connection:
        keys = connection.execute(
            f"SELECT count(*) FROM {place.schema}_keys.data_keys WHERE subject_id = %s",
            (subject.subject_id,),
        ).fetchone()
        named = connection.execute(
            f"SELECT name FROM {place.schema}_keys.subjects WHERE subject_id = %s",
            (subject.subject_id,),
        ).fetchone()
    assert (keys, named) == ((0,), (None,))
    assert b"User-1" not in place.ledger.read_bytes()
