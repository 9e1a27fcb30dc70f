"""Statements that begin hydrations, and those on kept states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_SEMANTICS as SEMANTICS
from eventfold_server.limits import KEPT_SWEEP_ROWS_MAX, PAGE_BYTES
from eventfold_server.storage.database import Database


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


@dataclass(frozen=True, slots=True)
class StoredState:
    """A kept state with its key: the stream, and the kept digest of the fold."""

    stream_no: int
    kept_digest: str
    kept: KeptState


@dataclass(frozen=True)
class NamedFold:
    """The newest revision of a fold that was asked for by name."""

    digest: str
    # None: a server registered it that did not know of kept digests.
    kept_digest: str | None
    source: str


@dataclass(frozen=True)
class HydrateHead:
    """What a hydration knows of a stream before it reads events."""

    name: str
    # None: the stream never had an event.
    stream_no: int | None
    version: int
    lifecycle: int
    root: str
    # State kept for stream and fold, in the range that was asked for.
    kept: KeptState | None


class KeptStorage:
    """Kept states of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def hydrate_head(
        self, stream: str, fold_name: str | None, kept_above: int, kept_up_to: int
    ) -> tuple[HydrateHead, NamedFold | None]:
        """The stream, the fold, and a kept state of a version in that range, in one round trip."""
        try:
            [row] = await self._fetch(
                "hydrate_head", stream, fold_name, SEMANTICS, kept_above, kept_up_to
            )
        except asyncpg.UndefinedTableError:
            # Somebody dropped the cache. The next server that starts makes it again.
            [row] = await self._fetch("hydrate_head_alone", stream, fold_name)
        return _head(stream, row), _named(row)

    async def hydrate_heads(
        self,
        streams: Sequence[str],
        kept_above: Sequence[int],
        fold_name: str | None,
        kept_digest: str | None,
    ) -> tuple[list[HydrateHead], NamedFold | None]:
        """The same for many streams, in their order, and for at least the first of them: the kept
        states of one answer are bounded. The fold is asked for by name, or known by kept digest.
        """
        try:
            rows = await self._fetch(
                "hydrate_heads", streams, fold_name, SEMANTICS, kept_above, kept_digest, PAGE_BYTES
            )
        except asyncpg.UndefinedTableError:
            rows = await self._fetch("hydrate_heads_alone", streams, fold_name)
        return [_head(row["name"], row) for row in rows], _named(rows[0])

    async def keep(self, states: Sequence[StoredState]) -> None:
        """Keeps states of different keys, unless newer ones are kept."""
        await self._write_kept(
            "keep_states",
            SEMANTICS,
            [state.stream_no for state in states],
            [state.kept_digest for state in states],
            [state.kept.version for state in states],
            [state.kept.event_id for state in states],
            [state.kept.exists for state in states],
            [state.kept.state for state in states],
        )

    async def drop(self, states: Sequence[StoredState]) -> None:
        """Drops kept states that are not the log's, told by their events."""
        await self._write_kept(
            "drop_kept_states",
            SEMANTICS,
            [state.stream_no for state in states],
            [state.kept_digest for state in states],
            [state.kept.event_id for state in states],
        )

    async def sweep(self) -> int:
        """Drops some kept states that no fold asks for any more; how many. 0: there is none left,
        or another server is at it.
        """
        [row] = await self._write_kept(
            "sweep_kept_states", SEMANTICS, KEPT_SWEEP_ROWS_MAX, self._queries.schema
        )
        return int(row["dropped"])

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)

    async def _write_kept(self, query: str, *arguments: object) -> list[Any]:
        try:
            return await self._database.write_aside(self._queries[query], *arguments)
        except asyncpg.UndefinedTableError as error:
            raise Refusal("STORAGE_UNAVAILABLE", "there is no table of kept states") from error


def _head(stream: str, row: Any) -> HydrateHead:
    kept = None
    if row["kept_version"] is not None:
        kept = KeptState(
            row["kept_version"], row["kept_event_id"], row["kept_alive"], row["kept_state"]
        )
    return HydrateHead(
        name=stream,
        stream_no=row["stream_no"],
        version=row["version"] or 0,
        lifecycle=row["lifecycle"] or 1,
        root=row["root"] or stream,
        kept=kept,
    )


def _named(row: Any) -> NamedFold | None:
    if row["digest"] is None:
        return None
    return NamedFold(row["digest"], row["kept_digest"], row["source"])
