"""Statements that begin hydrations, and those on kept states."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    FOLD_INLINE_STEPS_MAX,
    FOLD_SLICE_STEPS_MAX,
    KEPT_SWEEP_ROWS_MAX,
    PAGE_BYTES,
)
from eventfold_server.limits import FOLD_SEMANTICS as SEMANTICS
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import time_text

_NO_END = (1 << 63) - 1
# Events that come with the first answer, before it is known whether there is a kept state. As many
# as there are between two of these, so that few hydrations ask twice.
FIRST_ROWS = 512


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


@dataclass(frozen=True)
class Upto:
    """Which events of a stream count; nothing set: all."""

    version: int | None = None
    position: int | None = None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None

    @property
    def by_version(self) -> bool:
        """Whether they are told by their versions alone."""
        return self.position is None and self.recorded_at is None and self.occurred_at is None


class KeptStorage:
    """Kept states of one store, and hydrations, which begin with them."""

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

    async def hydrate(
        self,
        stream: str,
        fold: _core.Fold,
        named: NamedFold | None,
        upto: Upto,
        kept: KeptState | None,
        *,
        may_go_on: bool,
    ) -> _core.Hydrated:
        """Reads the stream, the fold that is `named`, kept states and the events, and folds them,
        in one round trip where there are few events.

        `kept` is a state to go on from, unless the database has a newer one and `may_go_on`.
        Without a result, stream or fold are not as expected, or the state is not the log's.
        """
        kept_up_to = 0 if not may_go_on else _NO_END if upto.version is None else upto.version
        above = kept.version if kept else 0
        until: tuple[object, ...] = ()
        begin, rest = "fold_begin", "fold_rest"
        if not fold.needs_envelope:
            begin, rest = "fold_begin_brief", "fold_rest_brief"
        if not upto.by_version:
            begin, rest = "fold_begin_until", "fold_rest_until"
            until = (upto.position, time_text(upto.recorded_at), time_text(upto.occurred_at))
        last = _NO_END if upto.version is None else upto.version
        name = None if named is None else fold.name

        async def hydrate(head: str, *arguments: object) -> _core.Hydrated:
            return await self._database.events.hydrate(
                stream,
                fold,
                source=None if named is None else named.source,
                kept=None
                if kept is None
                else (
                    kept.version,
                    kept.event_id.bytes,
                    kept.recorded_us,
                    kept.exists,
                    kept.state,
                ),
                may_go_on=may_go_on,
                up_to=upto.version,
                head=(self._queries[head], (stream, name, *arguments)),
                first=(
                    self._queries[begin],
                    (stream, max(above, 1), last, FIRST_ROWS, *until),
                ),
                first_rows=FIRST_ROWS,
                rest=(self._queries[rest], (0, 1, last, _NO_END, *until)),
                inline_steps_max=FOLD_INLINE_STEPS_MAX,
                slice_steps_max=FOLD_SLICE_STEPS_MAX,
            )

        try:
            return await hydrate("hydrate_head", SEMANTICS, above, kept_up_to)
        except asyncpg.UndefinedTableError:
            # Somebody dropped the cache. The next server that starts makes it again.
            return await hydrate("hydrate_head_alone")

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
            return await self._database.write(self._queries[query], *arguments)
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
