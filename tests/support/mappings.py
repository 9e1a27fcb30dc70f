"""Mappings that are put in force by their rows, as the server's own statements would."""

from __future__ import annotations

import hashlib
from typing import Any


async def put_mapping(connection: Any, schema: str, event_type: str, source: str) -> int:
    """Puts a mapping in force; the version of the catalogue that has it."""
    async with connection.transaction():
        version: int = await connection.fetchval(f"SELECT {schema}.catalogue_changed_v1()")
        await connection.execute(
            f"UPDATE {schema}.mappings SET dropped_version = $2"
            " WHERE type = $1 AND dropped_version IS NULL",
            event_type,
            version,
        )
        await connection.execute(
            f"INSERT INTO {schema}.mappings"
            " (type, revision, digest, source, catalogue_version, put_by)"
            " SELECT $1, coalesce(max(revision), 0) + 1, $2, $3, $4, 'tester'"
            f"  FROM {schema}.mappings WHERE type = $1",
            event_type,
            hashlib.sha256(source.encode()).hexdigest(),
            source,
            version,
        )
    return version


async def drop_mapping(connection: Any, schema: str, event_type: str) -> int:
    """Takes the mapping of a type out of force; the version of the catalogue without it."""
    async with connection.transaction():
        version: int = await connection.fetchval(f"SELECT {schema}.catalogue_changed_v1()")
        await connection.execute(
            f"UPDATE {schema}.mappings SET dropped_version = $2"
            " WHERE type = $1 AND dropped_version IS NULL",
            event_type,
            version,
        )
    return version
