"""Connections to PostgreSQL: what is trusted, how many there are, and the schema in force."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.storage import faults
from eventfold_server.storage.queries import Migration, Queries, migrations

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

log = logging.getLogger(__name__)

POSTGRES_VERSION_MIN = 150000
# The longest name that PostgreSQL keeps whole.
SCHEMA_NAME_BYTES_MAX = 63
_SCHEMA_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

APPEND_CONNECTIONS = 4
READ_CONNECTIONS = 8
CONNECT_TIMEOUT_S = 10.0

# An interleaved heap makes the planner choose bitmap scans with a sort, which cost twice as much
# as following the index; a page ends early, so that its order must come from the index.
_READ_SETTINGS = {"enable_bitmapscan": "off", "jit": "off"}
_APPEND_SETTINGS = {
    # The append function runs with parameters only; planning it anew for each would cost as much
    # as the insert.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "default_transaction_isolation": "read committed",
}


class StorageRefused(Exception):
    """The database cannot be trusted or used as it is; the server does not start."""


async def _keep_session(_connection: Any) -> None:
    """Nothing is reset when a connection goes back: no statement here changes the session."""


class Database:
    """Pools of connections to one store (one schema of one PostgreSQL database)."""

    def __init__(self, dsn: str, schema: str, *, unsafe_durability: bool = False) -> None:
        """Nothing is opened yet.

        `unsafe_durability` accepts a PostgreSQL that may lose acknowledged appends (fsync,
        full_page_writes or synchronous_commit off): for tests alone.
        """
        if not _SCHEMA_NAME.match(schema) or len(schema) > SCHEMA_NAME_BYTES_MAX:
            raise StorageRefused(
                "a schema name has 1 to 63 ASCII letters, digits and underscores, "
                "and does not begin with a digit"
            )
        self.queries = Queries(schema)
        self._dsn = dsn
        self._unsafe_durability = unsafe_durability
        self._read: Pool | None = None
        self._append: Pool | None = None

    async def open(self) -> None:
        """Checks the database, brings the schema up to date, and opens the pools.

        Raises StorageRefused for a database that must not be used, and Refusal
        (STORAGE_UNAVAILABLE) for one that cannot be reached.
        """
        with faults.reading():
            connection = await asyncpg.connect(self._dsn, timeout=CONNECT_TIMEOUT_S)
            try:
                await self._check_settings(connection)
                await self._migrate(connection)
            finally:
                await connection.close()
            self._read = await self._pool(READ_CONNECTIONS, _READ_SETTINGS)
            self._append = await self._pool(APPEND_CONNECTIONS, _APPEND_SETTINGS)

    async def close(self) -> None:
        """Closes the pools; statements under way are finished first, within bounds."""
        for pool in (self._append, self._read):
            if pool is None:
                continue
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except TimeoutError:
                pool.terminate()
        self._append = self._read = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Connection"]:
        """A connection for statements that change nothing; its faults are refusals."""
        with faults.reading():
            async with _opened(self._read).acquire() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, stream: str | None = None) -> AsyncIterator["Connection"]:
        """A connection for one write: before the body nothing can be stored, within it the
        outcome of a break is unknown.
        """
        pool = _opened(self._append)
        with faults.reading():
            connection = await pool.acquire()
        try:
            with faults.writing(stream):
                yield connection
        finally:
            await pool.release(connection)

    async def _pool(self, size: int, settings: dict[str, str]) -> "Pool":
        return await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=size,
            max_inactive_connection_lifetime=300,
            timeout=CONNECT_TIMEOUT_S,
            reset=_keep_session,
            server_settings={"application_name": "eventfold", "timezone": "UTC", **settings},
        )

    async def _check_settings(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        row = await connection.fetchrow(self.queries["settings"])
        assert row is not None
        if row["server_version"] < POSTGRES_VERSION_MIN:
            raise StorageRefused(
                f"PostgreSQL 15 or later is needed, this is {row['server_version'] // 10000}"
            )
        if row["server_encoding"] != "UTF8":
            raise StorageRefused(
                f"a database in UTF8 is needed, this one is in {row['server_encoding']}"
            )
        unsafe = [
            setting
            for setting in ("fsync", "full_page_writes", "synchronous_commit")
            if row[setting] == "off"
        ]
        if unsafe and not self._unsafe_durability:
            raise StorageRefused(
                f"PostgreSQL runs with {' and '.join(unsafe)} off and may lose acknowledged "
                "appends; turn it on, or say --unsafe-durability"
            )
        if unsafe:
            log.warning("acknowledged appends may be lost: %s off", ", ".join(unsafe))

    async def _migrate(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Applies what is missing; several servers may do this at once."""
        async with connection.transaction():
            await connection.execute(self.queries["lock_migrations"], self.queries.schema)
            exists = await connection.fetchval(
                self.queries["schema_exists"], f'"{self.queries.schema}"'
            )
            if not exists:
                await connection.execute(self.queries["create_schema"])
            applied = {
                row["number"]: row
                for row in (
                    await connection.fetch(self.queries["applied_migrations"]) if exists else []
                )
            }
            missing = _missing(applied)
            for migration in missing:
                await connection.execute(migration.sql(self.queries.schema))
                await connection.execute(
                    self.queries["note_migration"],
                    migration.number,
                    migration.name,
                    migration.digest,
                )
                log.info("applied migration %s", migration.name)
        if missing:
            await connection.execute(self.queries["analyze"])


def _missing(applied: dict[int, Any]) -> list[Migration]:
    """Migrations still to be applied; refuses a schema that these migrations did not make."""
    known = migrations()
    if applied and max(applied) > len(known):
        raise StorageRefused(
            f"the schema has migration {max(applied)}, this server knows {len(known)}: "
            "a newer server made it"
        )
    for migration in known:
        row = applied.get(migration.number)
        if row is not None and row["digest"] != migration.digest:
            raise StorageRefused(
                f"migration {row['name']} was applied with other contents than {migration.name} has"
            )
    return [migration for migration in known if migration.number not in applied]


def _opened(pool: "Pool | None") -> "Pool":
    if pool is None:
        raise Refusal("SHUTTING_DOWN", "the server has no connection to PostgreSQL open")
    return pool
