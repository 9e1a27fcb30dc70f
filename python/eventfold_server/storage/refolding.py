"""What folds events of projections beside those who build them: verifications, retries, trials."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage.bridge import Bridge
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_calls import told
from eventfold_server.storage.projection_rows import (
    ROWS_FIRST_PARAMETER,
    Row,
    page_of,
    rows_statement,
)
from eventfold_server.storage.queries import quote_identifier
from eventfold_server.storage.stored_errors import restored

# What a verification found, or how far it is.
Comparison = _core.ProjectionComparison
# What one transaction of a retry came to.
Retried = _core.ProjectionRetried
# How far a trial is.
Tried = _core.ProjectionTried

# What `tried_rows` calls the rows.
_TRIED_TABLE = "tried"


class Verification:
    """A comparison of one generation with a fold from scratch."""

    def __init__(self, bridge: Bridge, verifier: _core.ProjectionVerifier) -> None:
        self._bridge = bridge
        self._verifier = verifier

    async def go_on(self) -> Comparison | None:
        """Works for a moment, the first time until the snapshot is taken; to be called until it is
        `done`. None: the generation is gone.
        """
        try:
            compared: Comparison | None = await told(self._bridge, self._verifier.go_on)
        except asyncpg.UndefinedTableError:
            # It was dropped between two statements.
            return None
        return compared


class Retry:
    """A retry of parked keys of one generation, under one lease."""

    def __init__(self, bridge: Bridge, retry: _core.ProjectionRetry) -> None:
        self._bridge = bridge
        self._retry = retry

    async def go_on(self) -> Retried:
        """Tries some keys, in one transaction; to be called until it is `done` or `fenced`."""
        retried: Retried = await told(self._bridge, self._retry.go_on)
        return retried


@dataclass(frozen=True)
class SetAside:
    """A key that a trial parked."""

    key: str
    error: Refusal
    # Of the event that failed.
    position: int
    events: int


class Trial:
    """A trial of a document."""

    def __init__(self, bridge: Bridge, trial: _core.ProjectionTrial) -> None:
        self._bridge = bridge
        self._trial = trial

    async def go_on(self) -> Tried:
        """Folds for a moment; to be called until it is `done`, or time is up."""
        tried: Tried = await told(self._bridge, self._trial.go_on)
        return tried

    async def rows(self) -> _core.ProjectionTriedRows:
        """What came of it; it cannot go on any more."""
        rows: _core.ProjectionTriedRows = await told(self._bridge, self._trial.rows)
        return rows


def set_aside(rows: _core.ProjectionTriedRows) -> list[SetAside]:
    """The first keys that were parked, in byte order."""
    return [
        SetAside(key, restored(error), position, events)
        for key, error, position, events in rows.parked
    ]


class RefoldStorage:
    """Statements for these."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def note_verification(
        self, generation_no: int, digest: str, found: Comparison
    ) -> str | None:
        """Keeps what was found, and gives it as JSON; None: the generation is gone, or has another
        document by now.
        """
        rows = await self._database.write(
            self._queries["note_verification"],
            generation_no,
            found.to_position,
            found.rows_shown,
            found.rows_hidden,
            found.keys_checked,
            found.table_checksum,
            found.fold_checksum,
            found.keys_differing,
            found.differing,
            digest,
        )
        return rows[0]["verification"] if rows else None

    async def take(self, generation_no: int, lease_s: float) -> tuple[int, bool] | None:
        """Takes the generation from whoever has it: the lease, and whether it had stopped, which it
        has no more. None: it is gone.
        """
        rows = await self._database.write(
            self._queries["take_projection"], generation_no, timedelta(seconds=lease_s)
        )
        return (rows[0]["lease"], rows[0]["stopped"]) if rows else None

    async def clock_us(self) -> int:
        """PostgreSQL's clock, in microseconds since 1970."""
        async with self._database.reading() as connection:
            us: int = await connection.fetchval(self._queries["clock_us"])
            return us

    async def tried_rows(
        self,
        document: _core.Projection,
        tried: _core.ProjectionTriedRows,
        query: _core.ProjectionQuery,
        sealed: Collection[str],
        size: int,
        page_bytes: int,
    ) -> tuple[int, Sequence[Row]]:
        """How many of the rows pass, and the first of those, in order. `sealed`: columns that are
        sealed in a table, and have no values here.
        """
        first = ROWS_FIRST_PARAMETER + len(query.parameters)
        numbered = list(enumerate(document.columns, 1))
        statement = rows_statement(
            self._queries,
            "tried_rows",
            _TRIED_TABLE,
            query,
            condition=query.condition,
            values="".join(
                f", a.c{number}::{'text' if name in sealed else kind} AS {quote_identifier(name)}"
                for number, (name, kind) in numbered
            ),
            arrays=", ".join(
                (f"${first}::bigint[]", *(f"${first + n}::text[]" for n, _ in numbered))
            ),
            aliases="".join(f", c{number}" for number, _ in numbered),
        )
        async with self._database.querying() as connection:
            records = await connection.fetch(
                statement,
                tried.keys,
                tried.versions,
                size,
                page_bytes,
                *query.parameters,
                tried.positions,
                *tried.columns,
            )
        page, _ = page_of(records)
        return records[0]["rows_passing"], page
