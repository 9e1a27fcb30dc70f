"""Goal: a server starts on keys that it can use, says clearly why it does not, and touches nothing
of keys where none are wanted.

Method: real servers on one PostgreSQL; each test has a store of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from tests.support.keys import key_store, master_key, master_key_file
from tests.support.servers import RunningServer, ServerDied, start_server
from tests.support.vault import start_vault

import eventfold
from eventfold_server.storage.keys.store import KeyRow

Start = Callable[..., RunningServer]


@pytest.fixture
def start(postgres: str, schema: str, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(**options: object) -> RunningServer:
            options = {"database_url": postgres, "schema": schema, **options}
            return stack.enter_context(start_server(tmp_path, **options))

        yield start


def make_key(url: str, schema: str, *lines: str) -> str:
    """Makes a key as the first append of a personal value does; its subject."""
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT store_id FROM {schema}.store").fetchone()
    assert row is not None

    async def make() -> str:
        keys = key_store(url, f"{schema}_keys", *lines)
        await keys.open(row[0])
        try:
            found = (await keys.current(["User-1"]))["User-1"]
            assert isinstance(found, KeyRow)
            return str(found.subject_id)
        finally:
            await keys.close()

    return asyncio.run(make())


def schemas(url: str, schema: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [schema]
        )
        return {name.removeprefix(schema) for (name,) in rows}


def test_without_a_master_key_nothing_of_keys_is_made(
    start: Start, postgres: str, schema: str
) -> None:
    server = start()
    assert schemas(postgres, schema) == {"", "_query"}
    with eventfold.Client(server.address) as client:
        with pytest.raises(eventfold.KeysNotConfigured):
            client.list_subjects().__next__()
        with pytest.raises(eventfold.KeysNotConfigured):
            client.rotate_master_key()


def test_keys_and_their_administration(
    start: Start, postgres: str, schema: str, tmp_path: Path
) -> None:
    line = master_key("old")
    ledger = tmp_path / "apart" / "fences"
    options = {"fence_ledger": f"file:{ledger}"}
    server = start(master_key_file=master_key_file(tmp_path, line), **options)
    assert schemas(postgres, schema) == {"", "_query", "_keys"}
    assert ledger.exists()
    subject_id = make_key(postgres, schema, line)
    with eventfold.Client(server.address) as client:
        subject = client.get_subject("User-1")
        assert (subject.subject_id, subject.status, subject.versions) == (subject_id, "active", 1)
        assert client.rotate_data_key("User-1") == 2
        assert client.rotate_data_keys("User") == 1
        assert client.get_subject(subject_id=subject_id).version == 3
        assert [one.subject_id for one in client.list_subjects(category="User")] == [subject_id]
        assert list(client.list_subjects(status="erased")) == []
    server.stop()
    newer = master_key("new")
    again = start(master_key_file=master_key_file(tmp_path, newer, line), **options)
    with eventfold.Client(again.address) as client:
        rotated = client.rotate_master_key()
        assert rotated.master_key.startswith("file:new:")
        assert (rotated.rewrapped, rotated.failed) == (3, 0)
        assert client.rotate_master_key().rewrapped == 0
        audit = list(client.read("$audit"))
        assert [event.type for event in audit] == [
            "$DataKeyRotated",
            "$DataKeysRotated",
            "$MasterKeyRotated",
        ]
        assert all(event.writer == "anonymous" for event in audit)
        assert not any("User-1" in str(event.data) for event in audit)
        assert audit[0].data["subject_hash"] == subject.subject_hash.hex()
    again.stop()
    # The old line can go.
    start(master_key_file=master_key_file(tmp_path, newer), **options)


def test_a_missing_or_another_master_key_is_told(
    start: Start, postgres: str, schema: str, tmp_path: Path
) -> None:
    line = master_key("main")
    start(master_key_file=master_key_file(tmp_path, line)).stop()
    make_key(postgres, schema, line)
    with pytest.raises(ServerDied, match=r"has keys that file:main:[0-9a-f]{8} wraps"):
        start()
    with pytest.raises(ServerDied, match=r"a master key is missing.*file:main:"):
        start(master_key_file=master_key_file(tmp_path, master_key("main")))
    path = master_key_file(tmp_path, line)
    path.chmod(0o644)
    with pytest.raises(ServerDied, match="open to others"):
        start(master_key_file=path)
    path.chmod(0o600)
    start(master_key_file=path)


def test_a_ledger_that_went_missing_is_told(
    start: Start, postgres: str, schema: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "fences"
    options = {
        "master_key_file": master_key_file(tmp_path),
        "fence_ledger": f"file:{ledger}",
    }
    start(**options).stop()
    with psycopg.connect(postgres) as connection:
        connection.execute(
            f"UPDATE {schema}_keys.key_store SET ledger_no = 1, ledger_digest = '\\x01'"
        )
    with pytest.raises(ServerDied, match=r"LedgerRefused: .* ends with entry 0"):
        start(**options)
    ledger.unlink()
    with pytest.raises(ServerDied, match=r"LedgerRefused: .* missing or empty"):
        start(**options)


def test_a_key_store_of_its_own_and_a_ledger_in_a_table(
    start: Start, postgres: str, schema: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {schema}_other")
    other = postgres.replace("/postgres?", f"/{schema}_other?")
    assert other != postgres
    server = start(
        master_key_file=master_key_file(tmp_path),
        key_store_url=other,
        fence_ledger=other,
        workers=2,
    )
    assert schemas(postgres, schema) == {"", "_query"}
    assert schemas(other, schema) == {"_keys", "_fences"}
    with eventfold.Client(server.address) as client:
        assert client.rotate_data_keys("User") == 0
    with psycopg.connect(postgres) as connection:
        leases = connection.execute(f"SELECT count(*) FROM {schema}.privacy_servers").fetchone()
    assert leases == (2,)
    assert "stands in the log's own database" not in server.log.read_text()


def test_with_vault(start: Start, tmp_path: Path) -> None:
    token = tmp_path / "vault-token"
    token.write_text("s.right")
    with start_vault() as vault:
        options = {
            "master_key": "vault:eventfold",
            "vault_url": vault.url,
            "vault_token_file": token,
        }
        server = start(**options)
        with eventfold.Client(server.address) as client:
            assert client.rotate_master_key().master_key == "vault:eventfold:v1"
            vault.sealed = True
            with pytest.raises(eventfold.EventfoldError) as caught:
                client.rotate_master_key()
            assert caught.value.reason == "KEYS_UNAVAILABLE"
            vault.sealed = False
            vault.keys["eventfold"].rotate()
            assert client.rotate_master_key().master_key == "vault:eventfold:v2"
        server.stop()
        token.write_text("s.wrong")
        with pytest.raises(ServerDied, match="KEYS_UNAVAILABLE: Vault does not let the token"):
            start(**options)


def test_the_embedded_one_keeps_its_ledger_beside_its_data(tmp_path: Path) -> None:
    key = master_key("env")
    for _ in range(2):
        with start_server(tmp_path, environment={"EVENTFOLD_MASTER_KEY": key}) as server:
            assert (tmp_path / "data" / "fences").exists()
            with eventfold.Client(server.address) as client:
                assert client.rotate_master_key().master_key.startswith("file:env:")
    # The key itself stands nowhere.
    secret = key.partition(":")[2].encode()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert not any(secret in path.read_bytes() for path in files if os.access(path, os.R_OK))
    assert secret not in server.log.read_bytes()
