"""Where folding a stream starts: at its first event, or at a kept state; and what is kept then."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, FoldRegistry, fold_not_found
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.errors import Refusal
from eventfold_server.limits import KEEP_EVERY_DEFAULT
from eventfold_server.storage.kept import (
    HydrateHead,
    KeptState,
    KeptStorage,
    NamedFold,
    StoredState,
)

# Kept states up to this version: any will do.
ANY_VERSION = (1 << 63) - 1


@dataclass(frozen=True)
class Start:
    """A stream, a fold, and the kept state to go on from."""

    head: HydrateHead
    fold: _core.Fold
    # Whether states that folding comes to may be kept: the fold is a registered one.
    keeps: bool
    kept: KeptState | None

    @property
    def deleted(self) -> Refusal | None:
        """Why the stream cannot be folded."""
        if self.head.lifecycle != LIFECYCLE_DELETED:
            return None
        return Refusal("STREAM_DELETED", "the stream was deleted", stream=self.head.name)

    def from_zero(self) -> "Start":
        """The same from the first event."""
        return replace(self, kept=None)


class Progress:
    """A run from a start, and how far it has come."""

    def __init__(self, start: Start, coverage: _core.Coverage | None = None) -> None:
        self.start = start
        self.kept = start.kept
        self.run = start.fold.run(start.head.name, start.head.root, coverage=coverage)
        self._last: tuple[_core.Batch, int] | None = None

    def begin(self, batch: _core.Batch, first: int = 0) -> int | None:
        """Takes up the first events of the stream, which stand from that row on; the row to fold
        first. None: the log is not the one of the kept state.

        The event that a kept state ends with is read again and compared, but not folded.
        """
        kept = self.kept
        if kept is None or self._last is not None:
            return first
        recorded_us = batch.recorded_us(first)
        if (
            batch.version(first) != kept.version
            or batch.event_id(first) != str(kept.event_id)
            or kept.recorded_us not in (None, recorded_us)
        ):
            return None
        head = self.start.head
        try:
            self.run = self.start.fold.run(
                head.name,
                head.root,
                state=kept.state,
                exists=kept.exists,
                version=kept.version,
                position=batch.position(first),
            )
        except _core.CoreError:
            # Not a state at all.
            return None
        self.kept = replace(kept, recorded_us=recorded_us)
        return first + 1

    def reached(self, batch: _core.Batch, row: int) -> None:
        """Notes the last event that was folded."""
        self._last = (batch, row)

    def state_to_keep(self, result: _core.FoldResult) -> KeptState | None:
        """The state as it would be kept."""
        if self._last is None:
            return None
        batch, row = self._last
        return KeptState(
            result.version,
            UUID(batch.event_id(row)),
            result.exists,
            result.state,
            batch.recorded_us(row),
        )


class Starts:
    """The starts of hydrations of one store, and the states that they leave behind."""

    def __init__(self, storage: KeptStorage, registry: FoldRegistry, kept: KeptStates) -> None:
        self._storage = storage
        self._registry = registry
        self._kept = kept
        # Kept digest of each fold name when it was last seen: tells which state in memory to go on
        # from before the database was asked. One that moved is noticed, and costs one hydration
        # without a kept state.
        self._digests: dict[str, str] = {}

    async def of(self, stream: str, ref: FoldRef, up_to: int) -> Start:
        """The start for a stream, with a kept state of a version of at most `up_to`."""
        fold = None if ref.source is None else await self._registry.compiled.get(ref.source)
        digest = self._digests.get(ref.name or "")
        remembered = None if digest is None else self._kept.recall(stream, digest, up_to)
        head, named = await self._storage.hydrate_head(
            stream, ref.name, remembered.version if remembered else 0, up_to
        )
        if fold is None:
            fold = await self._found(ref, named)
        return _start(head, fold, ref, remembered if digest == fold.kept_digest else None)

    async def of_many(self, streams: Sequence[str], ref: FoldRef) -> AsyncIterator[list[Start]]:
        """The starts for many streams, in their order: mostly at once, and in parts where the kept
        states are large.
        """
        fold = None if ref.source is None else await self._registry.compiled.get(ref.source)
        digest = self._digests.get(ref.name or "")
        done = 0
        while done < len(streams):
            rest = streams[done:]
            remembered = [
                None if digest is None else self._kept.recall(stream, digest, None)
                for stream in rest
            ]
            heads, named = await self._storage.hydrate_heads(
                rest,
                [kept.version if kept else 0 for kept in remembered],
                ref.name if fold is None else None,
                digest if fold is not None and ref.name is not None else None,
            )
            if fold is None:
                fold = await self._found(ref, named)
            yield [
                _start(head, fold, ref, kept if digest == fold.kept_digest else None)
                for head, kept in zip(heads, remembered, strict=False)
            ]
            digest = None if ref.name is None else fold.kept_digest
            done += len(heads)

    def drop(self, start: Start) -> Start:
        """Drops the kept state, which turned out not to be the log's; the start without it."""
        assert start.kept is not None
        self._kept.drop(start.head.name, _stored(start, start.kept))
        return start.from_zero()

    def keep(self, progress: Progress, result: _core.FoldResult) -> None:
        """Keeps the state that the run came to, if enough events came since the last one."""
        start, kept = progress.start, progress.kept
        if not start.keeps:
            return
        every = KEEP_EVERY_DEFAULT if start.fold.keep_every is None else start.fold.keep_every
        if result.version - (kept.version if kept else 0) >= every:
            new = progress.state_to_keep(result)
            if new is not None:
                self._kept.keep(start.head.name, _stored(start, new))
        elif kept is not None:
            # If it came from PostgreSQL, it need not come from there again.
            self._kept.remember(start.head.name, start.fold.kept_digest, kept)

    async def _found(self, ref: FoldRef, named: NamedFold | None) -> _core.Fold:
        if named is None:
            raise fold_not_found(ref.name or "", 0)
        fold = await self._registry.compiled.get(named.source)
        self._digests[ref.name or ""] = fold.kept_digest
        return fold


def _start(
    head: HydrateHead, fold: _core.Fold, ref: FoldRef, remembered: KeptState | None
) -> Start:
    # The kept digest leaves `keep` out: another fold may have kept a state that this one must do
    # without.
    keeps = ref.name is not None and fold.keep_every != 0
    there = keeps and head.stream_no is not None
    return Start(head, fold, keeps, (head.kept or remembered) if there else None)


def _stored(start: Start, kept: KeptState) -> StoredState:
    assert start.head.stream_no is not None
    return StoredState(start.head.stream_no, start.fold.kept_digest, kept)
