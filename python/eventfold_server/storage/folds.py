"""Statements on the registry of folds, and the one that begins a hydration."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_SEMANTICS as SEMANTICS
from eventfold_server.limits import KEPT_SWEEP_ROWS_MAX
from eventfold_server.storage.database import Database


@dataclass(frozen=True)
class FoldRow:
    """A revision of a registered fold."""

    name: str
    revision: int
    digest: str
    source: str
    put_at: datetime
    put_by: str


@dataclass(frozen=True, slots=True)
class KeptState:
    """A state that folding can go on from."""

    version: int
    # Id of the event at `version`: when the log has another one there, the state is not its state.
    event_id: UUID
    exists: bool
    # JSON text.
    state: bytes
    # When that event was recorded; None: not known. A state in memory outlives a fail-over that
    # lost events, after which a client may store the same event anew, behind other ones. The table
    # of kept states does not: it is empty then (UNLOGGED).
    recorded_us: int | None = None


@dataclass(frozen=True)
class HydrateHead:
    """What a hydration knows before it reads events."""

    # None: the stream never had an event.
    stream_no: int | None
    version: int
    lifecycle: int
    root: str
    # Newest revision of the fold that was asked for by name; None: there is none.
    fold_digest: str | None
    fold_source: str | None
    # State kept for stream and fold, in the range that was asked for.
    kept: KeptState | None


class FoldStorage:
    """Registered folds of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def put(self, name: str, digest: str, source: str, by: str) -> tuple[FoldRow, bool]:
        """Registers a fold; True if that made a new revision."""
        [row] = await self._database.write(self._queries["put_fold"], name, digest, source, by)
        assert row is not None
        fold = FoldRow(name, row["revision"], digest, row["source"], row["put_at"], row["put_by"])
        return fold, row["created"]

    async def get(self, name: str, revision: int) -> FoldRow | None:
        """A revision of a fold; 0 is the newest."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["fold"], name, revision)
        return None if row is None else FoldRow(**row)

    async def list(self, after: str, limit: int) -> list[FoldRow]:
        """Newest revisions of the folds named above `after`, in byte order."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["folds_page"], after, limit)
        return [FoldRow(**row) for row in rows]

    async def hydrate_head(
        self, stream: str, fold_name: str | None, kept_above: int, kept_up_to: int
    ) -> HydrateHead:
        """The stream, the fold, and a kept state of a version in that range, in one round trip."""
        try:
            row = await self._head(
                "hydrate_head", stream, fold_name, SEMANTICS, kept_above, kept_up_to
            )
        except asyncpg.UndefinedTableError:
            # Somebody dropped the cache. The next server that starts makes it again.
            row = await self._head("hydrate_head_alone", stream, fold_name)
        kept = None
        if row["kept_version"] is not None:
            kept = KeptState(
                row["kept_version"], row["kept_event_id"], row["kept_alive"], row["kept_state"]
            )
        return HydrateHead(
            stream_no=row["stream_no"],
            version=row["version"] or 0,
            lifecycle=row["lifecycle"] or 1,
            root=row["root"] or stream,
            fold_digest=row["digest"],
            fold_source=row["source"],
            kept=kept,
        )

    async def keep(self, stream_no: int, fold_digest: str, kept: KeptState) -> None:
        """Keeps a state, unless a newer one is kept."""
        await self._write_kept(
            "keep_state",
            stream_no,
            fold_digest,
            SEMANTICS,
            kept.version,
            kept.event_id,
            kept.exists,
            kept.state,
        )

    async def drop_kept(self, stream_no: int, fold_digest: str, event_id: UUID) -> None:
        """Drops a kept state that is not the log's."""
        await self._write_kept("drop_kept_state", stream_no, fold_digest, SEMANTICS, event_id)

    async def sweep_kept(self) -> None:
        """Drops kept states that no fold asks for any more."""
        await self._write_kept("sweep_kept_states", SEMANTICS, KEPT_SWEEP_ROWS_MAX)

    async def _head(self, query: str, *arguments: object) -> Any:
        async with self._database.reading() as connection:
            return await connection.fetchrow(self._queries[query], *arguments)

    async def _write_kept(self, query: str, *arguments: object) -> None:
        try:
            await self._database.write(self._queries[query], *arguments)
        except asyncpg.UndefinedTableError as error:
            raise Refusal("STORAGE_UNAVAILABLE", "there is no table of kept states") from error
