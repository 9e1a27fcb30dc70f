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
    Upto,
)


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
        # Each fold name as it was last seen: tells which fold to run and which state in memory to
        # go on from before the database was asked. One that moved is noticed, and costs a question
        # more.
        self._named: dict[str, NamedFold] = {}

    async def of(self, stream: str, ref: FoldRef, up_to: int) -> Start:
        """The start for a stream, with a kept state of a version of at most `up_to`."""
        fold = None if ref.source is None else await self._registry.compiled.get(ref.source)
        digest = self._kept_digest(ref)
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
        digest = self._kept_digest(ref)
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
        if progress.start.keeps:
            self._keep(progress.start, progress.kept, progress.state_to_keep(result))

    def _keep(self, start: Start, kept: KeptState | None, last: KeptState | None) -> None:
        """Keeps the last state, if it is far enough from the one that folding went on from."""
        if last is None:
            return
        every = KEEP_EVERY_DEFAULT if start.fold.keep_every is None else start.fold.keep_every
        if last.version - (kept.version if kept else 0) >= every:
            self._kept.keep(start.head.name, _stored(start, last))
        elif kept is not None:
            # If it came from PostgreSQL, it need not come from there again.
            self._kept.remember(start.head.name, start.fold.kept_digest, kept)

    async def hydrate(self, stream: str, ref: FoldRef, upto: Upto) -> "Answer":
        """The state of a stream under a fold, from a kept state on if there is one.

        Mostly one question: stream and fold are taken to be what they were, and asked again if
        the answer says that they are not.
        """
        may_go_on = upto.by_version
        while True:
            named = self._named.get(ref.name) if ref.name is not None else None
            if ref.source is not None:
                fold = await self._registry.compiled.get(ref.source)
            elif named is None:
                fold, named = await self._find(ref)
            else:
                fold = await self._registry.compiled.get(named.source)
            keeps = upto.by_version and ref.name is not None and fold.keep_every != 0
            goes_on = keeps and may_go_on
            kept = self._kept.recall(stream, fold.kept_digest, upto.version) if goes_on else None
            found = await self._storage.hydrate(stream, fold, named, upto, kept, may_go_on=goes_on)
            answer = Answer(stream, fold, found)
            if answer.head.lifecycle == LIFECYCLE_DELETED or found.result is not None:
                self._keep_answer(answer, keeps)
                return answer
            if found.kept is not None:
                self.drop(Start(answer.head, fold, keeps, _kept_state(found.kept)))
                may_go_on = False
            elif named is not None and found.source != named.source:
                # It is another one by now; others may have noticed too.
                self._named.pop(ref.name or "", None)
            else:
                return answer

    def _keep_answer(self, answer: "Answer", keeps: bool) -> None:
        found = answer.found
        if not keeps or found.result is None or found.last_id is None:
            return
        result = found.result
        last = KeptState(
            result.version,
            UUID(bytes=found.last_id),
            result.exists,
            result.state,
            found.last_recorded_us,
        )
        kept = None if found.kept is None else _kept_state(found.kept)
        self._keep(Start(answer.head, answer.fold, keeps, kept), kept, last)

    def _kept_digest(self, ref: FoldRef) -> str | None:
        named = self._named.get(ref.name or "")
        return None if named is None else named.kept_digest

    async def _find(self, ref: FoldRef) -> tuple[_core.Fold, NamedFold]:
        row = await self._registry.get(ref.name or "", 0)
        fold = await self._registry.compiled.get(row.source)
        named = NamedFold(row.digest, fold.kept_digest, row.source)
        self._named[ref.name or ""] = named
        return fold, named

    async def _found(self, ref: FoldRef, named: NamedFold | None) -> _core.Fold:
        if named is None:
            raise fold_not_found(ref.name or "", 0)
        fold = await self._registry.compiled.get(named.source)
        self._named[ref.name or ""] = replace(named, kept_digest=fold.kept_digest)
        return fold


@dataclass(frozen=True)
class Answer:
    """What a hydration came to."""

    stream: str
    fold: _core.Fold
    found: _core.Hydrated

    @property
    def head(self) -> HydrateHead:
        """The stream as it was found."""
        found = self.found
        return HydrateHead(
            self.stream, found.stream_no, found.version, found.lifecycle, found.root, None
        )


def _kept_state(kept: _core.KeptState) -> KeptState:
    return KeptState(
        kept.version, UUID(bytes=kept.event_id), kept.exists, kept.state, kept.recorded_us
    )


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
