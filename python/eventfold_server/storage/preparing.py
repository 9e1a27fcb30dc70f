"""What a server does with a database before it uses it: checks it, brings the schema up to date."""

import logging
import re
from typing import TYPE_CHECKING, Any

import asyncpg

from eventfold_server.storage.queries import Migration, Queries, migrations, query_schema

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

log = logging.getLogger(__name__)

POSTGRES_VERSION_MIN = 150000
# Migrations that servers of the version before can go on with, by the rule of their names.
_PRE = re.compile(r"[0-9]+_pre_")


class StorageRefused(Exception):
    """The database cannot be trusted or used as it is; the server does not start."""


async def check_settings(
    connection: Connection, queries: Queries, *, unsafe_durability: bool
) -> None:
    """Refuses a PostgreSQL that is too old, or that may lose what was acknowledged."""
    row = await connection.fetchrow(queries["settings"])
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
    if unsafe and not unsafe_durability:
        raise StorageRefused(
            f"PostgreSQL runs with {' and '.join(unsafe)} off and may lose acknowledged "
            "appends; turn it on, or say --unsafe-durability"
        )
    if unsafe:
        log.warning("acknowledged appends may be lost: %s off", ", ".join(unsafe))


async def migrate(connection: Connection, queries: Queries) -> None:
    """Applies what is missing; several servers may do this at once."""
    known = migrations()
    async with connection.transaction():
        missing, newer = await apply_migrations(connection, queries, known)
        if not newer:
            await _make_kept_states(connection, queries)
    if missing:
        await connection.execute(queries["analyze"])


async def apply_migrations(
    connection: Connection, queries: Queries, known: list[Migration]
) -> tuple[list[Migration], list[str]]:
    """Applies what is missing, within a transaction of the caller; what that was, and names of
    migrations that only a newer server knows.
    """
    await connection.execute(queries["lock_migrations"], queries.schema)
    exists = await connection.fetchval(queries["schema_exists"], f'"{queries.schema}"')
    if not exists and not await connection.fetchval(queries["namespace_exists"], queries.schema):
        await connection.execute(queries["create_schema"])
    applied = {
        row["number"]: row
        for row in (await connection.fetch(queries["applied_migrations"]) if exists else [])
    }
    missing = _missing(applied, known)
    for migration in missing:
        await connection.execute(migration.sql(queries.schema))
        await connection.execute(
            queries["note_migration"],
            migration.number,
            migration.name,
            migration.digest,
        )
        log.info("applied migration %s", migration.name)
    newer = _newer(applied, known)
    if newer:
        log.warning("a newer server has applied %s; going on with it", ", ".join(newer))
    return missing, newer


async def make_query_schema(
    connection: Connection, queries: Queries, role: str | None, *, make_role: bool
) -> None:
    """Makes the schema of the views, if the server may, and lets a role read it."""
    name = query_schema(queries.schema)
    async with connection.transaction():
        await connection.execute(queries["lock_migrations"], queries.schema)
        if not await connection.fetchval(queries["namespace_exists"], name):
            try:
                async with connection.transaction():
                    await connection.execute(queries["create_query_schema"])
            except asyncpg.InsufficientPrivilegeError:
                log.warning(
                    "schema %s is missing and may not be made: projections have no views", name
                )
                return
        if role is None:
            return
        if not await connection.fetchval(queries["role_exists"], role):
            if not make_role:
                raise StorageRefused(f"there is no role {role} to read the views")
            await connection.execute(queries["create_query_role"], role)
        await connection.execute(queries["grant_projections"], name, role)


async def _make_kept_states(connection: Connection, queries: Queries) -> None:
    """Makes the cache of states again if somebody dropped it."""
    if not await connection.fetchval(queries["kept_states_exists"], f'"{queries.schema}"'):
        making = [m for m in migrations() if m.name.endswith("_kept_states.sql")]
        # The last one makes it as it is now.
        await connection.execute(making[-1].sql(queries.schema))
        log.warning("the table of kept states was gone, and is made again")


def _missing(applied: dict[int, Any], known: list[Migration]) -> list[Migration]:
    """Migrations still to be applied; refuses a schema that these migrations did not make."""
    missing = [migration for migration in known if migration.number not in applied]
    newer = _newer(applied, known)
    if newer and (missing or not all(_PRE.match(name) for name in newer)):
        raise StorageRefused(
            f"the schema has migration {newer[-1]}, this server knows {len(known)}: a newer "
            "server made it, which this one cannot share it with"
        )
    for migration in known:
        row = applied.get(migration.number)
        if row is not None and row["digest"] != migration.digest:
            raise StorageRefused(
                f"migration {row['name']} was applied with other contents than {migration.name} has"
            )
    return missing


def _newer(applied: dict[int, Any], known: list[Migration]) -> list[str]:
    """Names of migrations that only a newer server knows, in order."""
    return [applied[number]["name"] for number in sorted(applied) if number > len(known)]
