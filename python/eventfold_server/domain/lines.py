"""Lines of periods: which stream is open, and what a fold comes to through several of them.

A stream that goes on from another starts at the state that its opening event carries. Where that is
the state of another version of the fold, the streams before it are folded from the first one on,
and what they come to is what this one starts from: it inherits.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, FoldRegistry
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.start import Inherited, Start
from eventfold_server.domain.starts import Answer, Starts
from eventfold_server.errors import Refusal
from eventfold_server.storage.kept import Upto
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.log import StreamRow, not_found

ALL = Upto()


@dataclass(frozen=True)
class Through:
    """What a fold comes to through several streams."""

    # Of the last one.
    answer: Answer
    # Of those before it.
    events_read: int = 0
    events_folded: int = 0
    # Whether the events of all of them were read by the same mappings.
    alike: bool = True


@dataclass
class Reached:
    """How far a fold has come in a line of periods."""

    stream: str = ""
    # Behind that stream.
    state: Inherited | None = None


class Lines:
    """The lines of periods of one store."""

    def __init__(self, storage: LineStorage, starts: Starts, registry: FoldRegistry) -> None:
        self._storage = storage
        self._starts = starts
        self._registry = registry

    async def end(self, stream: str, upto: Upto = ALL) -> StreamRow | None:
        """The last stream of the line that had begun by then; None: none had."""
        return await self._storage.end(stream, upto)

    def periods(self, stream: str, upto: Upto = ALL) -> AsyncIterator[StreamRow]:
        """The streams of the line that had begun by then, in their order."""
        return self._storage.periods(stream, upto)

    async def fold_names(self, refs: Sequence[FoldRef]) -> list[str]:
        """The names of folds; a document carries its own."""
        return [ref.name or (await self._registry.find(ref)).name for ref in refs]

    async def hydrate(
        self, stream: str, ref: FoldRef, upto: Upto, *, through: bool = False
    ) -> Answer:
        """The state of one stream, which inherits where it must. `through`: also where it was
        opened with no state of the fold.
        """
        try:
            return await self._starts.hydrate(stream, ref, upto)
        except Refusal as refusal:
            if not inherits(refusal) and not (through and lacks(refusal)):
                raise
        fold = await self._registry.find(ref)
        while True:
            inherited = await self._inherit(stream, fold, keeps=ref.name is not None)
            if through:
                # What it was not opened with, nobody else may take it to be opened with.
                inherited = replace(inherited, keep=False)
            answer = await self._starts.hydrate(stream, ref, upto, fold=fold, inherited=inherited)
            if answer.rules.mapping_digest == inherited.mapping_digest:
                return answer

    async def inheriting(
        self, start: Start, refusal: Refusal, reached: Reached | None = None
    ) -> Start:
        """A start on a stream that the fold could not start on; raises the refusal where the
        streams before it do not tell either. `reached`: where the last one of the same fold got to.
        """
        if start.inherited is not None or not inherits(refusal):
            raise refusal
        name, fold = start.head.name, start.fold
        inherited = await self._inherit(name, fold, keeps=start.keeps, reached=reached)
        return start.inheriting(inherited)

    async def _inherit(
        self, stream: str, fold: _core.Fold, *, keeps: bool, reached: Reached | None = None
    ) -> Inherited:
        """What the streams before one come to, as they would have carried it: none with its closing
        event. `keeps`: the fold is a registered one.
        """
        names, ends = [], []
        async for period in self.periods(stream):
            if period.name == stream:
                break
            names.append(period.name)
            # They are closed, and get no further.
            ends.append(Upto(version=period.version - 1))
        if not names:
            raise not_found(stream)
        known, alike = reached or Reached(), False
        while not alike:
            # From the last one on that the fold can start on by itself: the first one, if need be.
            at, before = len(names), None
            while before is None:
                at -= 1
                is_known = known.stream == names[at]
                before = (
                    known.state
                    if is_known
                    else await self._alone(names[at], fold, ends[at], keeps=keeps)
                )
            alike = True
            for name, end in zip(names[at + 1 :], ends[at + 1 :], strict=True):
                state = _inherited(await self._next(before, name, fold, end, keeps=keeps))
                # If not, events are read in another way by now, those of the first streams too.
                alike = alike and state.mapping_digest == before.mapping_digest
                before = state
            known = Reached()
        assert before is not None
        if reached is not None:
            reached.stream, reached.state = names[-1], before
        return replace(before, keep=True)

    async def _alone(
        self, stream: str, fold: _core.Fold, upto: Upto, *, keeps: bool
    ) -> Inherited | None:
        """What one stream comes to by itself; None: the fold cannot start on it."""
        try:
            return _inherited(await self._next(None, stream, fold, upto, keeps=keeps))
        except Refusal as refusal:
            if inherits(refusal) or lacks(refusal):
                return None
            raise

    async def through(self, stream: str, ref: FoldRef, upto: Upto) -> Through:
        """What a fold comes to through all streams of a line."""
        fold, keeps = await self._registry.find(ref), ref.name is not None
        while True:
            found = await self._through(stream, fold, upto, keeps=keeps)
            if found is None:
                # Nothing of the line had begun, or there is no such stream: the initial state.
                return Through(await self._starts.hydrate(stream, ref, upto, fold=fold))
            if found.alike:
                return found

    async def _through(
        self, stream: str, fold: _core.Fold, upto: Upto, *, keeps: bool
    ) -> Through | None:
        found: Through | None = None
        # Events of a later period may have occurred in an earlier one.
        async for period in self.periods(stream, replace(upto, occurred_at=None)):
            if found is None:
                found = Through(await self._next(None, period.name, fold, upto, keeps=keeps))
                continue
            result, before = found.answer.found.result, _inherited(found.answer)
            assert result is not None
            answer = await self._next(before, period.name, fold, upto, keeps=keeps)
            found = Through(
                answer,
                found.events_read + found.answer.events_read,
                found.events_folded + result.events_folded,
                found.alike and answer.rules.mapping_digest == before.mapping_digest,
            )
        return found

    async def _next(
        self,
        before: Inherited | None,
        stream: str,
        fold: _core.Fold,
        upto: Upto,
        *,
        keeps: bool,
    ) -> Answer:
        ref = FoldRef(fold.name if keeps else None, None)
        answer = await self._starts.hydrate(stream, ref, upto, fold=fold, inherited=before)
        if answer.head.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=stream)
        return answer


def inherits(refusal: Refusal) -> bool:
    """Whether the streams before one tell what it starts from: it was opened with a state of the
    fold, only of another version.
    """
    return refusal.reason == "STATE_NOT_CARRIED" and refusal.facts.get("problem") == "other_digest"


def lacks(refusal: Refusal) -> bool:
    """Whether a stream was opened with no state of the fold."""
    return refusal.reason == "STATE_NOT_CARRIED" and refusal.facts.get("problem") == "not_carried"


def _inherited(answer: Answer) -> Inherited:
    result = answer.found.result
    assert result is not None
    return Inherited(result.exists, result.state, answer.rules.mapping_digest, result.whose)
