"""A server with keys and tokens, and what its tests need of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from tests.support.keys import master_key_file
from tests.support.servers import RunningServer, start_server

from eventfold import Client
from eventfold_server.config import ServerConfig
from eventfold_server.domain.privacy.keys import PersonalKeys
from eventfold_server.storage.database import Database

SEES = "sees"
BLIND = "blind"
_PERMISSIONS = {SEES: "read,write,admin,personal", BLIND: "read,write,admin"}
# A personal value that nothing else holds.
CANARY = "canary-7f3a"


def token_lines(permissions: dict[str, str]) -> str:
    """A file of tokens, each of which is the name of its caller."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in permissions}
    return "".join(f"{name} {digests[name]} {permissions[name]}\n" for name in permissions)


@contextmanager
def guarded(folder: Path, postgres: str, schema: str, **options: Any) -> Iterator[RunningServer]:
    """A server where `sees` may see personal values, and `blind` may not."""
    (folder / "tokens").write_text(token_lines(_PERMISSIONS))
    every: dict[str, Any] = {
        "database_url": postgres,
        "schema": schema,
        "master_key_file": options.get("master_key_file") or master_key_file(folder),
        "fence_ledger": f"file:{folder / 'fences'}",
        "token_file": folder / "tokens",
    }
    with start_server(folder, **(every | options)) as started:
        yield started


def client(server: RunningServer, token: str, **more: Any) -> Client:
    """A client of a caller."""
    return Client(server.address, token=token, **more)


def declare(store: Client, kind: str, *names: str) -> None:
    """Declares fields of an event type personal, of the root of the stream."""
    store.put_privacy_rules({"privacy": kind, "personal": {f"/{name}": None for name in names}})


class Log:
    """What PostgreSQL holds of a log, past the server."""

    def __init__(self, postgres: str, schema: str) -> None:
        self._postgres = postgres
        self._schema = schema

    def data(self, position: int) -> dict[str, Any]:
        """Data of an event, as they are stored."""
        with psycopg.connect(self._postgres) as connection:
            row = connection.execute(
                f"SELECT data FROM {self._schema}.events WHERE position = %s", [position]
            ).fetchone()
        assert row is not None
        data: dict[str, Any] = json.loads(bytes(row[0]))
        return data

    def put_data(self, position: int, data: dict[str, Any]) -> None:
        """Writes over the data of an event, which the server never does."""
        with psycopg.connect(self._postgres) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                f"UPDATE {self._schema}.events SET data = %s WHERE position = %s",
                [json.dumps(data).encode(), position],
            )


@asynccontextmanager
async def beside(server: RunningServer) -> AsyncIterator[tuple[Database, PersonalKeys]]:
    """The database and the keys of a server, as another one would have them."""
    options = server.options
    named = ("database_url", "schema", "master_key_file", "fence_ledger")
    config = ServerConfig(listen="127.0.0.1:0", **{name: options[name] for name in named})
    database = Database(str(options["database_url"]), str(options["schema"]))
    await database.open()
    keys = PersonalKeys(config, database)
    try:
        await keys.open()
        yield database, keys
    finally:
        await keys.close()
        await database.close()


async def erase(server: RunningServer, subject: str) -> None:
    """Fences a subject and destroys its keys, as another server would; returns when no server may
    use one any more.
    """
    async with beside(server) as (_, keys):
        assert keys.parts is not None
        fenced = await keys.parts.fences.fence(keys.parts.store.hash_of(subject))
        assert await keys.parts.leases.wait_for_acknowledgement(fenced.catalogue_version, 20.0)
