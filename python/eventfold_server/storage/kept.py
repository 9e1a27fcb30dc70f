"""Statements that begin hydrations, and those on kept states."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
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
from eventfold_server.storage.cancellations import Cancellations
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import time_text
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.sealing import LoadsKeys

_NO_END = (1 << 63) - 1
# No state begins so: it is JSON.
_SEALED = b"$sealed:"
# Events that come with the first answer, before it is known whether there is a kept state. As many
# as there are between two of these, so that few hydrations ask twice.
FIRST_ROWS = 512


@dataclass(frozen=True, slots=True)
class KeptState:
    """A state that folding can go on from."""

    # 0: it is not kept, but what a stream starts from; then there is no event.
    version: int
    # Id of the event at `version`: when the log has another one there, the state is not its state.
    event_id: UUID
    exists: bool
    # JSON text; sealed if personal values went into it.
    state: bytes
    # When that event was recorded; None: not known. A state in memory outlives a fail-over that
    # lost events, after which a client may store the same event anew, behind other ones. The table
    # of kept states does not: it is empty then (UNLOGGED).
    recorded_us: int | None = None
    # Whose personal values went into it, if it is not sealed; see `_core.FoldResult.whose`.
    whose: bytes = b""


class FoldKey(NamedTuple):
    """Which states of a stream are alike: kept digest of the fold, digest of its mappings."""

    kept_digest: str
    mapping_digest: str


@dataclass(frozen=True, slots=True)
class StoredState:
    """A kept state with its key."""

    stream_no: int
    key: FoldKey
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

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        keyring: _core.Keyring | None = None,
        loader: LoadsKeys | None = None,
    ) -> None:
        """Without a keyring, states of personal values are not kept."""
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)
        self._keyring = keyring
        self._loader = loader

    def sealed(self, kept: KeptState, key: FoldKey) -> KeptState | None:
        """A state as it may be kept; None: it may not, since nobody's key is there for it."""
        if not kept.whose:
            return kept
        if self._keyring is None:
            return None
        try:
            text = self._keyring.seal_kept((kept.event_id.bytes, *key), kept.state, kept.whose)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        return None if text is None else replace(kept, state=text, whose=b"")

    async def opened(self, kept: KeptState, key: FoldKey) -> KeptState | None:
        """A kept state as it can be gone on from; None: nobody can read it any more. It may be
        KEYS_UNAVAILABLE.
        """
        if not kept.state.startswith(_SEALED):
            return kept
        if self._keyring is None or self._loader is None:
            return None
        while True:
            try:
                state, whose = self._keyring.open_kept((kept.event_id.bytes, *key), kept.state)
            except _core.CoreError as error:
                raise Refusal.of_core(error) from None
            if state is not None:
                return replace(kept, state=state, whose=whose)
            if not whose:
                return None
            await self._loader.load_ids([whose])

    def rules(self, fold: _core.Fold) -> _core.ReadRules:
        """What a fold reads its events by, as far as this process knows."""
        return self._reads.rules.of_fold(fold)

    async def hydrate_head(
        self,
        stream: str,
        fold_name: str | None,
        kept_above: int,
        kept_up_to: int,
        rules: _core.ReadRules,
    ) -> tuple[HydrateHead, NamedFold | None] | None:
        """The stream, the fold, and a state of a version in that range that was kept under the
        rules, in one round trip; None: there are other rules by now.
        """
        try:
            [row] = await self._fetch(
                "hydrate_head",
                stream,
                fold_name,
                SEMANTICS,
                kept_above,
                kept_up_to,
                rules.mapping_digest,
            )
        except asyncpg.UndefinedTableError:
            # Somebody dropped the cache. The next server that starts makes it again.
            [row] = await self._fetch("hydrate_head_alone", stream, fold_name)
        if await self._are_old(rules, row):
            return None
        return _head(stream, row), _named(row)

    async def hydrate(
        self,
        stream: str,
        fold: _core.Fold,
        named: NamedFold | None,
        upto: Upto,
        kept: KeptState | None,
        rules: _core.ReadRules,
        *,
        may_go_on: bool,
        cancelled: Sequence[UUID] = (),
    ) -> _core.Hydrated | None:
        """Reads the stream, the fold that is `named`, kept states and the events, and folds them,
        in one round trip where there are few events. None: events are read otherwise by now.

        `kept` is a state to go on from, unless the database has a newer one and `may_go_on`.
        `cancelled`: see `_core.Reader.hydrate`. Without a result, stream or fold are not as
        expected, or the state is not the log's.
        """
        kept_up_to = 0 if not may_go_on else _NO_END if upto.version is None else upto.version
        above = kept.version if kept else 0
        until: tuple[object, ...] = ()
        begin, rest = "fold_begin", "fold_rest"
        if not fold.needs_envelope and not rules.needs_envelope:
            begin, rest = "fold_begin_brief", "fold_rest_brief"
        if not upto.by_version:
            begin, rest = "fold_begin_until", "fold_rest_until"
            until = (upto.position, time_text(upto.recorded_at), time_text(upto.occurred_at))
        last = _NO_END if upto.version is None else upto.version
        name = None if named is None else fold.name

        async def hydrate(by: _core.ReadRules, head: str, *arguments: object) -> _core.Hydrated:
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
                    kept.whose,
                ),
                may_go_on=may_go_on,
                cancelled=[event_id.bytes for event_id in cancelled],
                up_to=upto.version,
                head=(self._queries[head], (stream, name, *arguments)),
                first=(
                    self._queries[begin],
                    (stream, max(above, 1), last, FIRST_ROWS, *until),
                ),
                first_rows=FIRST_ROWS,
                rest=(self._queries[rest], (0, 1, last, _NO_END, *until)),
                rules=by,
                inline_steps_max=FOLD_INLINE_STEPS_MAX,
                slice_steps_max=FOLD_SLICE_STEPS_MAX,
            )

        async def read(newest: _core.ReadRules) -> _core.Hydrated | None:
            of_fold = newest.of_fold(fold)
            if of_fold.mapping_digest != rules.mapping_digest:
                return None
            try:
                return await hydrate(
                    of_fold, "hydrate_head", SEMANTICS, above, kept_up_to, rules.mapping_digest
                )
            except asyncpg.UndefinedTableError:
                # Somebody dropped the cache. The next server that starts makes it again.
                return await hydrate(of_fold, "hydrate_head_alone")

        return await self._reads.begin(read)

    async def hydrate_heads(
        self,
        streams: Sequence[str],
        kept_above: Sequence[int],
        fold_name: str | None,
        kept_digest: str | None,
        rules: _core.ReadRules,
    ) -> tuple[list[HydrateHead], NamedFold | None] | None:
        """As `hydrate_head` for many streams, in their order, and for at least the first of them:
        the kept states of one answer are bounded. The fold is asked for by name, or known by kept
        digest.
        """
        try:
            rows = await self._fetch(
                "hydrate_heads",
                streams,
                fold_name,
                SEMANTICS,
                kept_above,
                kept_digest,
                PAGE_BYTES,
                rules.mapping_digest,
            )
        except asyncpg.UndefinedTableError:
            rows = await self._fetch("hydrate_heads_alone", streams, fold_name)
        if await self._are_old(rules, rows[0]):
            return None
        return [_head(row["name"], row) for row in rows], _named(rows[0])

    async def cancellations(
        self, streams: Sequence[int], up_to: Sequence[int], upto: Upto
    ) -> list[Cancellations]:
        """The cancellations of streams, each up to a version that it has, as far as they count by
        what else `upto` says. They are always the same, so this needs no common snapshot.
        """
        rows = await self._fetch(
            "cancellations",
            streams,
            up_to,
            upto.position,
            time_text(upto.recorded_at),
            time_text(upto.occurred_at),
        )
        return [Cancellations(row["versions"] or (), row["ids"] or ()) for row in rows]

    async def keep(self, states: Sequence[StoredState]) -> None:
        """Keeps states of different keys, unless newer ones are kept."""
        await self._write_kept(
            "keep_states",
            SEMANTICS,
            [state.stream_no for state in states],
            [state.key.kept_digest for state in states],
            [state.key.mapping_digest for state in states],
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
            [state.key.kept_digest for state in states],
            [state.key.mapping_digest for state in states],
            [state.kept.event_id for state in states],
        )

    async def sweep(self, compiled: Callable[[str], Awaitable[_core.Fold]]) -> int:
        """Drops some kept states that no fold asks for any more; how many. 0: there is none left,
        or another server is at it. `compiled` gives the fold of a text.
        """
        try:
            rows = await self._fetch("kept_keys")
        except asyncpg.UndefinedTableError as error:
            raise _no_table() from error
        if rows:
            await self._reads.seen(rows[0]["catalogue_version"])
        stale = []
        for row in rows:
            wanted = row["source"] is not None and row["semantics"] == SEMANTICS
            if wanted:
                rules = self.rules(await compiled(row["source"]))
                wanted = row["mapping_digest"] == rules.mapping_digest
            if not wanted:
                stale.append((row["fold_digest"], row["semantics"], row["mapping_digest"]))
        if not stale:
            return 0
        [dropped] = await self._write_kept(
            "sweep_kept_states",
            *(list(column) for column in zip(*stale, strict=True)),
            KEPT_SWEEP_ROWS_MAX,
            self._queries.schema,
        )
        return int(dropped["dropped"])

    async def _are_old(self, rules: _core.ReadRules, row: Any) -> bool:
        """Whether a row was read that tells of other rules, which are read then."""
        await self._reads.seen(row["catalogue_version"])
        return self._reads.rules.version != rules.version

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)

    async def _write_kept(self, query: str, *arguments: object) -> list[Any]:
        try:
            return await self._database.write(self._queries[query], *arguments)
        except asyncpg.UndefinedTableError as error:
            raise _no_table() from error


def _no_table() -> Refusal:
    return Refusal("STORAGE_UNAVAILABLE", "there is no table of kept states")


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
