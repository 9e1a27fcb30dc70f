"""Transforms, as the calls on them return them."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from eventfold._errors import EventfoldError
from eventfold._failures import error_from_status
from eventfold._time import from_timestamp
from eventfold.v1 import transforms_pb2 as pb

TransformStage = Literal[
    "trying",
    "tried",
    "copying",
    "verifying",
    "verified",
    "cutting over",
    "switching",
    "done",
    "undoing",
    "cancelled",
    "failed",
    "unknown",
]
"""Where a transform is: its document is tried on what is there; a dry run ended; events are copied;
what was copied is compared; all is equal, and it goes on with the log; sources are being closed;
successors are being named; its cut-over is done; its cut-over is being undone; it was cancelled; it
failed."""

_STATES: "dict[int, TransformStage]" = {
    pb.TRANSFORM_STATE_TRYING: "trying",
    pb.TRANSFORM_STATE_TRIED: "tried",
    pb.TRANSFORM_STATE_COPYING: "copying",
    pb.TRANSFORM_STATE_VERIFYING: "verifying",
    pb.TRANSFORM_STATE_VERIFIED: "verified",
    pb.TRANSFORM_STATE_CUTTING_OVER: "cutting over",
    pb.TRANSFORM_STATE_SWITCHING: "switching",
    pb.TRANSFORM_STATE_DONE: "done",
    pb.TRANSFORM_STATE_UNDOING: "undoing",
    pb.TRANSFORM_STATE_CANCELLED: "cancelled",
    pb.TRANSFORM_STATE_FAILED: "failed",
}
# States that a transform does not leave by itself.
SETTLED = frozenset({"tried", "verified", "done", "cancelled", "failed"})


@dataclass(frozen=True, slots=True)
class TransformCount:
    """Events of one type, and what became of them.

    Attributes:
        type: type of the source events.
        read: events that were looked at.
        written: copies.
        renamed: of them, copies of another type.
        split: events with more than one copy.
        dropped: events without a copy, but for those whose payload was deleted.
        dropped_cancellations: of these, events that cancel another one, which counts again where it
            was copied.
        deleted: events without a copy because their payload was deleted.
    """

    type: str
    read: int
    written: int
    renamed: int
    split: int
    dropped: int
    dropped_cancellations: int
    deleted: int


@dataclass(frozen=True, slots=True)
class TransformCopy:
    """A copy, as an example.

    Attributes:
        stream: the stream that it goes to.
        type: its type.
        data: its data, JSON; empty: it is longer than 4 KiB.
    """

    stream: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class TransformExample:
    """What a document makes of one event.

    Attributes:
        stream: stream of the source event.
        version: its version.
        event_id: its id.
        type: its type.
        data: its data, JSON; empty: it is longer than 4 KiB, or was deleted.
        copies: its copies, the first 5; none: it is dropped.
    """

    stream: str
    version: int
    event_id: str
    type: str
    data: bytes
    copies: tuple[TransformCopy, ...]


@dataclass(frozen=True, slots=True)
class TransformTrial:
    """What trying a document on the events that were there came to.

    Attributes:
        position: position up to which it was tried.
        to_position: position up to which it is tried.
        events_read: events that were tried.
        events_written: copies that would be written.
        counts: both by type; empty in lists of transforms.
        examples: the first event of each type, at most 100; empty in lists.
        failures_count: events on which it failed, and streams that are there already.
        failures: the first 20 of them; empty in lists.
    """

    position: int
    to_position: int
    events_read: int
    events_written: int
    counts: tuple[TransformCount, ...]
    examples: tuple[TransformExample, ...]
    failures_count: int
    failures: tuple[EventfoldError, ...]

    @classmethod
    def _from_wire(cls, trial: pb.TransformTrial) -> "TransformTrial":
        return cls(
            position=trial.position,
            to_position=trial.to_position,
            events_read=trial.events_read,
            events_written=trial.events_written,
            counts=_counts(trial.counts),
            examples=tuple(map(_example, trial.examples)),
            failures_count=trial.failures_count,
            failures=tuple(map(error_from_status, trial.failures)),
        )


@dataclass(frozen=True, slots=True)
class TransformVerification:
    """What comparing copies with their sources has found.

    Attributes:
        position: position up to which both were compared.
        events: copies that were compared.
        targets_equal: targets whose every event was compared, and is equal.
        targets: targets there are.
        states_compared: pairs of streams whose states were compared.
        states_differing: such pairs whose states differ.
        differing: source streams of the first 20 of them.
    """

    position: int
    events: int
    targets_equal: int
    targets: int
    states_compared: int
    states_differing: int
    differing: tuple[str, ...]

    @classmethod
    def _from_wire(cls, found: pb.TransformVerification) -> "TransformVerification":
        return cls(
            position=found.position,
            events=found.events,
            targets_equal=found.targets_equal,
            targets=found.targets,
            states_compared=found.states_compared,
            states_differing=found.states_differing,
            differing=tuple(found.differing),
        )


@dataclass(frozen=True, slots=True)
class TransformPlan:
    """What a cut-over does not do by itself.

    Attributes:
        projections: projections that read source categories by name, and should be rebuilt from a
            document that reads the targets.
        groups: consumer groups that do.
        successors: source streams that get a successor: one source went into one target.
        without_successor: source streams that get none.
    """

    projections: tuple[str, ...]
    groups: tuple[str, ...]
    successors: int
    without_successor: int

    @classmethod
    def _from_wire(cls, plan: pb.TransformPlan) -> "TransformPlan":
        return cls(
            projections=tuple(plan.projections),
            groups=tuple(plan.groups),
            successors=plan.successors,
            without_successor=plan.without_successor,
        )


@dataclass(frozen=True, slots=True)
class TransformSource:
    """A stream that a transform has read.

    Attributes:
        stream: its name.
        version: its last version that was copied.
        closed: whether it is closed, by the cut-over or before.
        successor: the successor that the cut-over has named; None: none.
        targets: the first 10 streams that hold copies of its events.
        targets_count: number of these streams.
    """

    stream: str
    version: int
    closed: bool
    successor: str | None
    targets: tuple[str, ...]
    targets_count: int


@dataclass(frozen=True, slots=True)
class TransformTarget:
    """A stream that a transform has written.

    Attributes:
        stream: its name.
        version: its version, the number of copies in it.
        verified_version: version up to which it was compared.
        source_digest: chained SHA-256 of the copies as the sources give them.
        target_digest: the same of the copies as they are stored.
        sources_count: number of streams that went into it.
    """

    stream: str
    version: int
    verified_version: int
    source_digest: str
    target_digest: str
    sources_count: int


@dataclass(frozen=True, slots=True)
class TransformInfo:
    """A transform.

    Attributes:
        transform_id: names it; a UUID.
        name: the name that its document carries.
        source: the document as it came in; empty in lists.
        digest: SHA-256 of its normal form.
        dry_run: whether it only is tried.
        state: where it is.
        position: position up to which its sources are copied.
        head: position of the newest event of the log.
        events_read: events that were read to be copied.
        events_written: copies that were written.
        counts: both by type; empty in lists.
        sources: number of source streams.
        sources_closed: of them, those that are closed.
        successors: of them, those whose successor is named.
        targets: number of target streams.
        trial: what trying its document came to.
        verification: what comparing has found.
        failure: why it failed; None: it did not.
        cutover_ms_max: the longest that a step of the cut-over may hold up appends; 0: none began.
        held_ms: the longest that one has.
        started_at: when it was started, in UTC.
        started_by: who started it.
        caught_up_at: when it had first caught up with the log; None: not yet.
        verified_at: when all was first compared; None: not yet.
        cut_over_at: when its cut-over was done; None: it is not.
        ended_at: when it ended; None: it has not.
        target: the other server that it copies to; None: the same store.
        waiting: why it waits for that server, such as `CONNECTION_FAILED`; None: it does not.
        plan: what a cut-over does not do by itself; in answers of `cut_over` only.
    """

    transform_id: str
    name: str
    source: str
    digest: str
    dry_run: bool
    state: TransformStage
    position: int
    head: int
    events_read: int
    events_written: int
    counts: tuple[TransformCount, ...]
    sources: int
    sources_closed: int
    successors: int
    targets: int
    trial: TransformTrial
    verification: TransformVerification
    failure: EventfoldError | None
    cutover_ms_max: int
    held_ms: int
    started_at: dt.datetime
    started_by: str
    caught_up_at: dt.datetime | None
    verified_at: dt.datetime | None
    cut_over_at: dt.datetime | None
    ended_at: dt.datetime | None
    target: str | None = None
    waiting: str | None = None
    plan: TransformPlan | None = None

    @classmethod
    def _from_wire(cls, one: pb.Transform, plan: TransformPlan | None = None) -> "TransformInfo":
        return cls(
            transform_id=one.transform_id,
            name=one.name,
            source=one.source,
            target=one.target or None,
            waiting=one.waiting or None,
            digest=one.digest,
            dry_run=one.dry_run,
            state=_STATES.get(one.state, "unknown"),
            position=one.position,
            head=one.head,
            events_read=one.events_read,
            events_written=one.events_written,
            counts=_counts(one.counts),
            sources=one.sources,
            sources_closed=one.sources_closed,
            successors=one.successors,
            targets=one.targets,
            trial=TransformTrial._from_wire(one.trial),
            verification=TransformVerification._from_wire(one.verification),
            failure=error_from_status(one.failure) if one.HasField("failure") else None,
            cutover_ms_max=one.cutover_ms_max,
            held_ms=one.held_ms,
            started_at=from_timestamp(one.started_at),
            started_by=one.started_by,
            caught_up_at=_time(one, "caught_up_at"),
            verified_at=_time(one, "verified_at"),
            cut_over_at=_time(one, "cut_over_at"),
            ended_at=_time(one, "ended_at"),
            plan=plan,
        )

    def progress(self) -> tuple[int, int]:
        """How far it is in its state, and how far it has to go; in positions, or in streams."""
        if self.state in ("trying", "tried"):
            return self.trial.position, self.trial.to_position
        if self.state == "verifying":
            return self.verification.position, self.head
        if self.state == "cutting over":
            return self.sources_closed, self.sources
        return self.position, self.head


def source_from_wire(one: pb.TransformStream) -> TransformSource:
    """A stream that a transform has read."""
    return TransformSource(
        stream=one.source,
        version=one.version,
        closed=one.closed,
        successor=one.successor or None,
        targets=tuple(one.targets),
        targets_count=one.targets_count,
    )


def target_from_wire(one: pb.TransformTarget) -> TransformTarget:
    """A stream that a transform has written."""
    return TransformTarget(
        stream=one.target,
        version=one.version,
        verified_version=one.verified_version,
        source_digest=one.source_digest,
        target_digest=one.target_digest,
        sources_count=one.sources_count,
    )


def _counts(counts: Iterable[pb.TransformCount]) -> tuple[TransformCount, ...]:
    return tuple(
        TransformCount(
            type=one.type,
            read=one.read,
            written=one.written,
            renamed=one.renamed,
            split=one.split,
            dropped=one.dropped,
            dropped_cancellations=one.dropped_cancellations,
            deleted=one.deleted,
        )
        for one in counts
    )


def _example(one: pb.TransformExample) -> TransformExample:
    return TransformExample(
        stream=one.stream,
        version=one.version,
        event_id=one.event_id,
        type=one.type,
        data=one.data,
        copies=tuple(
            TransformCopy(stream=copy.stream, type=copy.type, data=copy.data) for copy in one.copies
        ),
    )


def _time(one: pb.Transform, name: Any) -> dt.datetime | None:
    return from_timestamp(getattr(one, name)) if one.HasField(name) else None
