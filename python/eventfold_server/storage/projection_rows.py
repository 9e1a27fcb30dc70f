"""Statements on the rows of projections, for queries."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_table import sealed_columns, table_name
from eventfold_server.storage.queries import Queries
from eventfold_server.storage.sealing import LoadsKeys
from eventfold_server.storage.stored_errors import restored

# Parameters of `queried_rows` and `queried_count` before those of the filter.
ROWS_FIRST_PARAMETER = 5
COUNT_FIRST_PARAMETER = 3

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Queried:
    """The generation that queries see, or the newest if they see none."""

    generation_no: int
    generation: int
    digest: str
    is_active: bool
    position: int
    stopped: Refusal | None
    # Of the log.
    head: int
    # PostgreSQL's clock, in microseconds since 1970.
    now_us: int


@dataclass(frozen=True)
class Fresh:
    """How fresh an answer is."""

    generation: int
    position: int
    head: int
    stopped: Refusal | None
    parked_keys: int


@dataclass(frozen=True)
class Row:
    """A row of a projection."""

    key: str
    # JSON object.
    columns: str
    version: int
    position: int
    # Names of columns without a value because it was erased, or the caller may not see it.
    erased: Sequence[str] = ()
    withheld: Sequence[str] = ()


@dataclass(frozen=True)
class Rows:
    """A page of rows."""

    rows: Sequence[Row]
    fresh: Fresh
    # Where in the order the page ends; None: it is the last.
    place: Sequence[str | None] | None


class ProjectionRows:
    """Rows of the projections of one store."""

    def __init__(
        self,
        database: Database,
        keyring: _core.Keyring | None = None,
        loader: LoadsKeys | None = None,
    ) -> None:
        """Without a keyring nothing that is sealed is opened."""
        self._database = database
        self._queries = database.queries
        self._keyring = keyring
        self._loader = loader

    async def sealed(self, generation_no: int) -> list[str]:
        """Names of the columns of a generation whose values are sealed."""
        return await sealed_columns(self._database, generation_no)

    async def opened(
        self,
        generation_no: int,
        document: _core.Projection,
        sealed: Collection[str],
        rows: Sequence[Row],
        *,
        personal: bool,
    ) -> list[Row]:
        """Rows as a caller sees them; KEYS_UNAVAILABLE."""
        keyring = self._keyring if personal else None
        if personal and (keyring is None or self._loader is None):
            raise Refusal(
                "KEYS_UNAVAILABLE",
                "the projection has personal values, and this server has no key store",
                problem="not_configured",
            )
        epoch = 0 if keyring is None else keyring.epoch
        found = []
        for row in rows:
            while True:
                try:
                    columns, erased, withheld, missing = document.open_row(
                        row.columns, row.key, generation_no, list(sealed), keyring
                    )
                except _core.CoreError as error:
                    raise Refusal.of_core(error) from None
                if not missing:
                    break
                assert self._loader is not None
                await self._loader.load_ids(missing)
            found.append(replace(row, columns=columns, erased=erased, withheld=withheld))
        if keyring is not None and not keyring.may_leave(epoch):
            raise Refusal(
                "KEYS_UNAVAILABLE", "somebody was erased meanwhile; try again", problem="moved"
            )
        return found

    async def generation(self, projection: str) -> Queried | None:
        """What queries of the projection see; None: there is none of this name."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["queried_generation"], projection)
        if row is None:
            return None
        fields = dict(row)
        now = fields.pop("now")
        return Queried(
            **{**fields, "stopped": _refusal(row["stopped"])},
            now_us=(now - _EPOCH) // _MICROSECOND,
        )

    async def document(self, generation: Queried) -> tuple[str, str | None] | None:
        """The document of the generation, and that of the fold that it names; None: it has another
        one by now, or is gone.
        """
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["queried_document"], generation.generation_no, generation.digest
            )
        return None if row is None else (row["source"], row["fold_source"])

    async def source_has_events(self, document: _core.Projection, after: int, up_to: int) -> bool:
        """Whether the source of a document has events behind a position, up to another."""
        async with self._database.reading() as connection:
            return bool(
                await connection.fetchval(
                    self._queries["source_has_events"],
                    document.types,
                    document.categories,
                    after,
                    up_to,
                    document.with_copies,
                    document.skip_cancelled,
                )
            )

    async def rows(
        self,
        projection: str,
        generation_no: int,
        query: _core.ProjectionQuery,
        size: int,
        page_bytes: int,
    ) -> Rows | None:
        """A page of rows; None: queries see another generation by now."""
        records = await self._fetch(
            rows_statement(
                self._queries,
                "queried_rows",
                table_name(self._queries.schema, generation_no),
                query,
            ),
            projection,
            generation_no,
            size,
            page_bytes,
            *query.parameters,
        )
        if not records:
            return None
        page, place = page_of(records)
        return Rows(page, _fresh(records[0]), place)

    async def count(
        self, projection: str, generation_no: int, query: _core.ProjectionQuery
    ) -> tuple[int, Fresh] | None:
        """The number of rows that pass; None: queries see another generation by now."""
        statement = filled(
            self._queries["queried_count"],
            table=table_name(self._queries.schema, generation_no),
            condition=query.condition,
        )
        records = await self._fetch(statement, projection, generation_no, *query.parameters)
        return (records[0]["rows"], _fresh(records[0])) if records else None

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        async with self._database.querying() as connection:
            try:
                return list(await connection.fetch(statement, *arguments))
            except asyncpg.UndefinedTableError:
                # Its generation was dropped a moment ago, for another one.
                return []


def rows_statement(
    queries: Queries, name: str, table: str, query: _core.ProjectionQuery, **more: str
) -> str:
    """A statement that has the fragment `queried`, for a query of a table, with more parts."""
    names = "".join(f", {column}" for column in query.names)
    branches = [
        filled(
            queries["queried_branch"],
            names=names,
            table=table,
            condition=query.condition,
            branch=condition,
            order=order,
        )
        for condition, order in query.branches
    ]
    return filled(
        queries[name],
        branches="\nUNION ALL ".join(branches),
        place=query.place,
        bytes=query.bytes,
        json=query.json,
        **more,
    )


def page_of(records: Sequence[Any]) -> tuple[list[Row], Sequence[str | None] | None]:
    """The rows of a page, and where in the order it ends; None: it is the last."""
    found = [record for record in records if record["columns"] is not None]
    rows = [Row(r["key"], r["columns"], r["version"], r["row_position"]) for r in found]
    is_last = not found or len(found) == len(records)
    return rows, None if is_last else found[-1]["place"]


def filled(text: str, **parts: str) -> str:
    """The text with each `{name}` replaced by its part, which is not looked at again."""
    return _PLACEHOLDER.sub(lambda match: parts[match[1]], text)


def _fresh(record: Any) -> Fresh:
    return Fresh(
        record["generation"],
        record["position"],
        record["head"],
        _refusal(record["stopped"]),
        record["parked_keys"],
    )


def _refusal(stored: str | None) -> Refusal | None:
    return None if stored is None else restored(stored)
