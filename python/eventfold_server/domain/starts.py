"""Where folding streams starts: at their first events, or at kept states; and what is kept then."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, FoldRegistry
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.start import Inherited, Progress, Start
from eventfold_server.limits import KEEP_EVERY_DEFAULT
from eventfold_server.storage.kept import (
    FoldKey,
    HydrateHead,
    KeptState,
    KeptStorage,
    NamedFold,
    StoredState,
    Upto,
)

_NO_END = (1 << 63) - 1
_ALL = Upto()
# A state that comes from before a stream stands for no event of it.
_NO_EVENT = UUID(int=0)


class _Beginning(NamedTuple):
    """What a hydration begins with, as far as this process knows."""

    rules: _core.ReadRules
    # Which events count, no further than what was looked at.
    upto: Upto
    kept: KeptState | None
    # Whether the database may have a newer one.
    may_go_on: bool = False
    # What the run passes over.
    cancelled: Sequence[UUID] = ()


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

    async def of(
        self, stream: str, ref: FoldRef, up_to: int, fold: _core.Fold | None = None
    ) -> Start:
        """The start for a stream, with a kept state of a version of at most `up_to`. `fold`: this
        one, whatever its name stands for by now, and without a kept state.
        """
        given = fold
        if given is not None:
            ref = FoldRef(None, None)
        while True:
            fold, named = (given, None) if given is not None else await self._known(ref)
            rules = self._storage.rules(fold)
            key = FoldKey(fold.kept_digest, rules.mapping_digest)
            kept = self._kept.recall(stream, key, up_to) if named else None
            above = kept.version if kept else 0
            found = await self._storage.hydrate_head(stream, ref.name, above, up_to, rules)
            if found is not None and self._is_still(ref, named, found[1]):
                start = _start(found[0], fold, rules, ref, kept)
                [informed] = await self.informed([await self._opened(start)], up_to)
                return informed

    async def of_many(self, streams: Sequence[str], ref: FoldRef) -> AsyncIterator[list[Start]]:
        """The starts for many streams, in their order: mostly at once, and in parts where the kept
        states are large.
        """
        fold, named = await self._known(ref)
        done = 0
        while done < len(streams):
            rest = streams[done:]
            rules = self._storage.rules(fold)
            key = FoldKey(fold.kept_digest, rules.mapping_digest)
            remembered = [self._kept.recall(one, key, None) if named else None for one in rest]
            above = [kept.version if kept else 0 for kept in remembered]
            # Which fold it is, the first answer says.
            digest = fold.kept_digest if done and named else None
            found = await self._storage.hydrate_heads(
                rest, above, None if done else ref.name, digest, rules
            )
            if found is None:
                continue
            if not done and not self._is_still(ref, named, found[1]):
                fold, named = await self._known(ref)
                continue
            starts = [
                _start(head, fold, rules, ref, kept)
                for head, kept in zip(found[0], remembered, strict=False)
            ]
            yield await self.informed([await self._opened(start) for start in starts])
            done += len(found[0])

    async def informed(
        self, starts: list[Start], up_to: int | None = None, upto: Upto = _ALL
    ) -> list[Start]:
        """The starts, which have one fold, with what it wants to know of cancellations: those up to
        a version, or to the heads of the streams, that count by what else `upto` says.
        """
        there = [start for start in starts if start.head.stream_no is not None]
        if not there or not there[0].fold.skip_cancelled:
            return starts
        last = {start.head.name: start.head.version for start in there}
        if up_to is not None:
            last = {name: min(up_to, version) for name, version in last.items()}
        found = await self._storage.cancellations(
            [start.head.stream_no for start in there if start.head.stream_no is not None],
            [last[start.head.name] for start in there],
            upto,
        )
        known = {start.head.name: one for start, one in zip(there, found, strict=True)}
        return [
            start.knowing(known[name], last[name]) if (name := start.head.name) in known else start
            for start in starts
        ]

    async def _opened(self, start: Start) -> Start:
        """The start with its kept state as it can be gone on from."""
        if start.kept is None:
            return start
        opened = await self._storage.opened(start.kept, start.key)
        return self.drop(start) if opened is None else replace(start, opened=opened)

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
        # What took all streams before this one to come by is kept in any case.
        inherited = start.inherited is not None
        if inherited or last.version - (kept.version if kept else 0) >= every:
            sealed = self._storage.sealed(last, start.key)
            if sealed is not None:
                self._kept.keep(start.head.name, _stored(start, sealed))
        elif kept is not None:
            # If it came from PostgreSQL, it need not come from there again.
            self._kept.remember(start.head.name, start.key, kept)

    async def hydrate(
        self,
        stream: str,
        ref: FoldRef,
        upto: Upto,
        *,
        fold: _core.Fold | None = None,
        inherited: Inherited | None = None,
    ) -> "Answer":
        """The state of a stream under a fold, from a kept state on if there is one, or from what it
        inherits. `fold`: the one that `ref` is known to be.

        Mostly one question: stream and fold are taken to be what they were, and asked again if
        the answer says that they are not.
        """
        may_go_on = upto.by_version and inherited is None
        may_keep = upto.by_version and (inherited is None or inherited.keep)
        given = fold
        while True:
            fold, named = (given, None) if given is not None else await self._known(ref)
            keeps = may_keep and ref.name is not None and fold.keep_every != 0
            begun = await self._beginning(
                stream, ref, fold, upto, given, goes_on=keeps and may_go_on
            )
            if begun is None:
                continue
            kept = begun.kept
            if inherited is not None:
                # Read by mappings that are in force no more, it leads to nothing to keep.
                keeps = keeps and inherited.mapping_digest == begun.rules.mapping_digest
                kept = KeptState(
                    0, _NO_EVENT, inherited.exists, inherited.state, whose=inherited.whose
                )
            found = await self._storage.hydrate(
                stream,
                fold,
                named,
                begun.upto,
                kept,
                begun.rules,
                may_go_on=begun.may_go_on,
                cancelled=begun.cancelled,
            )
            if found is None:
                continue
            answer = Answer(stream, fold, begun.rules, found, inherited)
            if answer.head.lifecycle == LIFECYCLE_DELETED or found.result is not None:
                self._keep_answer(answer, keeps)
                return answer
            if found.kept is not None:
                self.drop(Start(answer.head, fold, begun.rules, keeps, _kept_state(found.kept)))
                may_go_on = False
            elif named is not None and found.source != named.source:
                self._forget(ref)
            else:
                return answer

    async def _beginning(
        self,
        stream: str,
        ref: FoldRef,
        fold: _core.Fold,
        upto: Upto,
        given: _core.Fold | None,
        *,
        goes_on: bool,
    ) -> _Beginning | None:
        """What a hydration begins with; None: the fold is another one by now. `goes_on`: it may go
        on from a kept state.
        """
        if not fold.skip_cancelled:
            rules = self._storage.rules(fold)
            key = FoldKey(fold.kept_digest, rules.mapping_digest)
            kept = self._kept.recall(stream, key, upto.version) if goes_on else None
            return _Beginning(rules, upto, kept, goes_on)
        # What is cancelled, it has to know before.
        start = await self.of(stream, ref, _NO_END if upto.version is None else upto.version, given)
        if start.fold is not fold:
            return None
        if not upto.by_version:
            [start] = await self.informed([start], None, upto)
        last = start.head.version if upto.version is None else upto.version
        kept = start.kept if goes_on else None
        return _Beginning(start.rules, replace(upto, version=last), kept, False, start.cancelled)

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
            result.whose,
        )
        kept = None if found.kept is None else _kept_state(found.kept)
        start = Start(answer.head, answer.fold, answer.rules, keeps, kept, answer.inherited)
        self._keep(start, kept, last)

    async def _known(self, ref: FoldRef) -> tuple[_core.Fold, NamedFold | None]:
        """The fold, as far as this process knows; None: it was not asked for by its name."""
        if ref.source is not None:
            return await self._registry.compiled.get(ref.source), None
        named = self._named.get(ref.name or "")
        if named is None:
            return await self._find(ref)
        return await self._registry.compiled.get(named.source), named

    def _is_still(self, ref: FoldRef, named: NamedFold | None, found: NamedFold | None) -> bool:
        """Whether the fold that was asked for by its name is the one that the store has."""
        if named is None or (found is not None and found.source == named.source):
            return True
        self._forget(ref)
        return False

    def _forget(self, ref: FoldRef) -> None:
        """Forgets a fold that is another one by now; others may have noticed too."""
        self._named.pop(ref.name or "", None)

    async def _find(self, ref: FoldRef) -> tuple[_core.Fold, NamedFold]:
        row = await self._registry.get(ref.name or "", 0)
        fold = await self._registry.compiled.get(row.source)
        named = NamedFold(row.digest, fold.kept_digest, row.source)
        self._named[ref.name or ""] = named
        return fold, named


@dataclass(frozen=True)
class Answer:
    """What a hydration came to."""

    stream: str
    fold: _core.Fold
    rules: _core.ReadRules
    found: _core.Hydrated
    inherited: Inherited | None = None

    @property
    def events_read(self) -> int:
        """Events that were read for it: the run does not see the one of a kept state."""
        result = self.found.result
        return 0 if result is None else result.events_read + (self.found.kept is not None)

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
    head: HydrateHead,
    fold: _core.Fold,
    rules: _core.ReadRules,
    ref: FoldRef,
    remembered: KeptState | None,
) -> Start:
    # The kept digest leaves `keep` out: another fold may have kept a state that this one must do
    # without.
    keeps = ref.name is not None and fold.keep_every != 0
    there = keeps and head.stream_no is not None
    return Start(head, fold, rules, keeps, (head.kept or remembered) if there else None)


def _stored(start: Start, kept: KeptState) -> StoredState:
    assert start.head.stream_no is not None
    return StoredState(start.head.stream_no, start.key, kept)
