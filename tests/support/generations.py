"""Generations of projections as the projector leaves them, made by hand for tests of queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from eventfold_server.storage.projection_table import ProjectionTable
from eventfold_server.storage.queries import Queries

# The values of a row by column, as texts that PostgreSQL casts; None: it has no value.
Values = Mapping[str, str | None]


@dataclass(frozen=True)
class Layout:
    """What a document says of its table."""

    columns: list[tuple[str, str]]
    indexes: list[list[str]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    categories: list[str] | None = None

    def table(self, queries: Queries, generation_no: int) -> ProjectionTable:
        """The table of a generation with this layout."""
        columns = [
            (name, f'{kind} COLLATE "C"' if kind in ("text", "text[]") else kind)
            for name, kind in self.columns
        ]
        document: Any = Layout(columns, self.indexes)
        return ProjectionTable(queries, generation_no, document)


async def make_generation(
    connection: asyncpg.Connection[asyncpg.Record],
    queries: Queries,
    projection: str,
    layout: Layout,
    *,
    active: bool = True,
    position: int = 0,
    source: str = "",
    digest: str = "",
) -> int:
    """Makes a generation, its table, and the projection if need be; its number in the store."""
    schema = queries.schema
    number: int = await connection.fetchval(queries["projection_number"])
    await connection.execute(
        f"INSERT INTO {schema}.projections (name) VALUES ($1) ON CONFLICT DO NOTHING", projection
    )
    await connection.execute(
        f"INSERT INTO {schema}.projection_generations"
        " (generation_no, projection_no, generation, source, digest, state, switch, put_by)"
        " SELECT $1, projection_no, (SELECT count(*) + 1 FROM"
        f" {schema}.projection_generations g WHERE g.projection_no = p.projection_no),"
        f" $2, $3, $4, 1, 'test' FROM {schema}.projections p WHERE name = $5",
        number,
        source,
        digest or f"digest-{number}",
        3 if active else 1,
        projection,
    )
    await connection.execute(
        f"INSERT INTO {schema}.projection_progress (generation_no, position) VALUES ($1, $2)",
        number,
        position,
    )
    for statement in layout.table(queries, number).create():
        await connection.execute(statement)
    if active:
        await connection.execute(
            f"UPDATE {schema}.projections SET active = $1 WHERE name = $2", number, projection
        )
    return number


async def fill(
    connection: asyncpg.Connection[asyncpg.Record],
    queries: Queries,
    generation_no: int,
    layout: Layout,
    rows: Iterable[tuple[str, bool, Values]],
) -> None:
    """Writes rows: key, whether they are shown, values; their positions count from 1."""
    listed: Sequence[tuple[str, bool, Values]] = list(rows)
    await connection.execute(
        layout.table(queries, generation_no).upsert,
        [key for key, _, _ in listed],
        [b"{}"] * len(listed),
        [shown for _, shown, _ in listed],
        [1] * len(listed),
        list(range(1, len(listed) + 1)),
        *([values.get(name) for _, _, values in listed] for name, _ in layout.columns),
    )
