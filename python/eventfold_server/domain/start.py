"""One start of folding a stream: at its first event, at a kept state, or at what the streams before
it come to; and how far a run has come from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from eventfold import _core
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.errors import Refusal
from eventfold_server.storage.cancellations import Cancellations
from eventfold_server.storage.kept import FoldKey, HydrateHead, KeptState


@dataclass(frozen=True)
class Inherited:
    """What a stream starts from in place of what its opening event carries."""

    exists: bool
    # JSON text.
    state: bytes
    # What its events were read by.
    mapping_digest: str
    # Whose personal values went into it.
    whose: bytes = b""
    # Whether states that come of it may be kept: nobody would start the stream otherwise.
    keep: bool = False


class Resumed(NamedTuple):
    """A state that a run goes on from."""

    exists: bool
    state: bytes
    # Of the last event that it has seen; 0: it comes from before the stream.
    version: int = 0
    position: int = 0
    # Whose personal values went into it.
    whose: bytes = b""


@dataclass(frozen=True)
class Start:
    """A stream, a fold, and the kept state to go on from."""

    head: HydrateHead
    fold: _core.Fold
    # What the fold reads its events by.
    rules: _core.ReadRules
    # Whether states that folding comes to may be kept: the fold is a registered one.
    keeps: bool
    kept: KeptState | None
    inherited: Inherited | None = None
    # The kept state as it can be gone on from, if it is sealed.
    opened: KeptState | None = None
    # What is cancelled in the stream, as far as the fold wants to know, by events up to the version
    # `cancelled_to`: the run stops at those behind it.
    cancellations: Cancellations = field(default_factory=Cancellations)
    cancelled_to: int = 0

    @property
    def cancelled(self) -> Sequence[UUID]:
        """What the run passes over."""
        return self.cancellations.up_to(self.cancelled_to)

    @property
    def deleted(self) -> Refusal | None:
        """Why the stream cannot be folded."""
        if self.head.lifecycle != LIFECYCLE_DELETED:
            return None
        return Refusal("STREAM_DELETED", "the stream was deleted", stream=self.head.name)

    @property
    def key(self) -> FoldKey:
        """Under which states of the stream are kept."""
        return FoldKey(self.fold.kept_digest, self.rules.mapping_digest)

    def from_zero(self) -> "Start":
        """The same from the first event."""
        return replace(self, kept=None)

    def knowing(self, cancellations: Cancellations, version: int) -> "Start":
        """The same for a run that knows the cancellations up to a version. One behind the kept
        state may be that of an event before it: then all is folded.
        """
        kept = self.kept
        if kept is not None and cancellations.any_between(kept.version, version):
            kept = None
        return replace(self, kept=kept, cancellations=cancellations, cancelled_to=version)

    def inheriting(self, inherited: Inherited) -> "Start":
        """The same, from what the streams before this one come to. Read by other mappings, it leads
        to nothing that may be kept.
        """
        alike = inherited.mapping_digest == self.rules.mapping_digest
        return replace(self, inherited=inherited, keeps=self.keeps and alike)

    def run(
        self, coverage: _core.Coverage | None = None, kept: Resumed | None = None
    ) -> _core.FoldRun:
        """A run before the first event, or behind that of a kept state."""
        head, inherited = self.head, self.inherited
        if kept is None and inherited is not None:
            kept = Resumed(inherited.exists, inherited.state, whose=inherited.whose)
        state = {} if kept is None else kept._asdict()
        return self.fold.run(
            head.name,
            head.root,
            cancelled=[str(event_id) for event_id in self.cancelled],
            cancelled_to=self.cancelled_to,
            coverage=coverage,
            **state,
        )


class Progress:
    """A run from a start, and how far it has come."""

    def __init__(
        self,
        start: Start,
        coverage: _core.Coverage | None = None,
        before: _core.FoldRun | None = None,
    ) -> None:
        """`before`: the run that came to the state before the first event that is explained, if
        that is another one.
        """
        self._coverage = coverage
        self._before = before
        self.begin_anew(start)

    def begin_anew(self, start: Start, before: _core.FoldRun | None = None) -> None:
        """Forgets what was folded, and begins from another start."""
        self.start = start
        self.kept = start.kept
        self.run = start.run(self._coverage)
        self._before = self._before or before
        if self._before is not None:
            self.run.explain_from(self._before)
        self._last: tuple[_core.Batch, int] | None = None

    def begin(self, batch: _core.Batch, first: int = 0) -> int | None:
        """Takes up the first events of the stream, which stand from that row on; the row to fold
        first. None: the log is not the one of the kept state.

        The event that a kept state ends with is read again and compared, but not folded.
        """
        kept = self.kept
        if kept is None or self._last is not None:
            return first
        opened = self.start.opened or kept
        recorded_us = batch.recorded_us(first)
        if (
            batch.version(first) != kept.version
            or batch.event_id(first) != str(kept.event_id)
            or kept.recorded_us not in (None, recorded_us)
        ):
            return None
        try:
            self.run = self.start.run(
                self._coverage,
                Resumed(
                    kept.exists, opened.state, kept.version, batch.position(first), opened.whose
                ),
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
            result.whose,
        )
