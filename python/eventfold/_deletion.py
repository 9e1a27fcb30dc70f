"""Deletions of streams, as the SDK has them."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

from eventfold._links import LinkPolicy, policy_from_wire
from eventfold._results import Hydrated
from eventfold._time import from_timestamp
from eventfold.v1 import deletion_pb2 as pb

DeletionStage = Literal["noting", "emptying", "cleaning", "done"]
"""How far a deletion is."""

_STAGES: dict[int, DeletionStage] = {
    pb.DELETION_STATE_NOTING: "noting",
    pb.DELETION_STATE_EMPTYING: "emptying",
    pb.DELETION_STATE_CLEANING: "cleaning",
    pb.DELETION_STATE_DONE: "done",
}


@dataclass(frozen=True)
class DeletedStream:
    """A stream that goes.

    Attributes:
        stream: its name.
        root: first stream of its line of periods.
        version: its version, and so the number of its events.
        owner: the stream that it belongs to, which goes too; None: it is of the line that was
            asked for.
        rule: the rule by which it belongs to that; None: none, or a link put by hand.
    """

    stream: str
    root: str
    version: int
    owner: str | None
    rule: str | None

    @classmethod
    def _from_wire(cls, one: pb.DeletedStream) -> "DeletedStream":
        return cls(one.stream, one.root, one.version, one.owner or None, one.rule or None)


@dataclass(frozen=True)
class CutLink:
    """A link to a stream that goes.

    Attributes:
        stream: the one that belongs to the other, and stays.
        owner: the one that goes.
        rule: the rule that says so; None: the link was put by hand.
        policy: what the link says: `restrict` or `detach`.
    """

    stream: str
    owner: str
    rule: str | None
    policy: LinkPolicy

    @classmethod
    def _from_wire(cls, one: pb.CutLink) -> "CutLink":
        return cls(one.stream, one.owner, one.rule or None, policy_from_wire(one.policy))


@dataclass(frozen=True)
class TouchedProjection:
    """A generation of a projection that has read events of streams that go.

    Attributes:
        projection: its name.
        generation: number of the generation.
        rebuilt: True: it is built anew beside, and queries see the old one meanwhile; False: rows
            of the streams are dropped.
    """

    projection: str
    generation: int
    rebuilt: bool


@dataclass(frozen=True)
class DeletionPlan:
    """What a deletion would do.

    Attributes:
        stream: first stream of the line that would go.
        position: position up to which events were looked through for links.
        digest: tells the plan from others; `delete_stream` can demand it.
        streams: the streams that go.
        restrictions: links of streams that stay, which forbid it.
        detached: links that are dropped.
        events: events of the streams that go.
        kept_states: states that are kept of them.
        projections: generations that have read their events.
        referrers: events of other streams that refer to them.
        copies: streams that stay and hold copies of their events; the first 100.
    """

    stream: str
    position: int
    digest: str
    streams: tuple[DeletedStream, ...]
    restrictions: tuple[CutLink, ...]
    detached: tuple[CutLink, ...]
    events: int
    kept_states: int
    projections: tuple[TouchedProjection, ...]
    referrers: int
    copies: tuple[str, ...]

    @classmethod
    def _from_wire(cls, plan: pb.DeletionPlan) -> "DeletionPlan":
        return cls(
            stream=plan.stream,
            position=plan.position,
            digest=plan.digest,
            streams=tuple(map(DeletedStream._from_wire, plan.streams)),
            restrictions=tuple(map(CutLink._from_wire, plan.restrictions)),
            detached=tuple(map(CutLink._from_wire, plan.detached)),
            events=plan.events,
            kept_states=plan.kept_states,
            projections=tuple(
                TouchedProjection(one.projection, one.generation, one.rebuilt)
                for one in plan.projections
            ),
            referrers=plan.referrers,
            copies=tuple(plan.copies),
        )


@dataclass(frozen=True)
class DeletionInfo:
    """A job that deletes streams.

    Attributes:
        deletion_id: its id.
        stream: first stream of the line that was asked for.
        reason: why.
        state: how far it is.
        plan_digest: digest of the plan that it carries out.
        streams: number of the streams that it deletes.
        events: events of these.
        events_emptied: those of them that are empty.
        kept_states: kept states that were dropped.
        rows: rows of projections that were dropped.
        waiting: projections that are built anew, and that the job waits for.
        requested_at: when it was asked for.
        requested_by: by whom.
        emptied_at: when the last event was emptied; None: not yet.
        ended_at: when it was done; None: not yet.
    """

    deletion_id: str
    stream: str
    reason: str
    state: DeletionStage
    plan_digest: str
    streams: int
    events: int
    events_emptied: int
    kept_states: int
    rows: int
    waiting: tuple[str, ...]
    requested_at: dt.datetime
    requested_by: str
    emptied_at: dt.datetime | None
    ended_at: dt.datetime | None

    @classmethod
    def _from_wire(cls, one: pb.DeletionJob) -> "DeletionInfo":
        def time(name: Any) -> dt.datetime | None:
            return from_timestamp(getattr(one, name)) if one.HasField(name) else None

        return cls(
            deletion_id=one.deletion_id,
            stream=one.stream,
            reason=one.reason,
            state=_STAGES.get(one.state, "noting"),
            plan_digest=one.plan_digest,
            streams=one.streams,
            events=one.events,
            events_emptied=one.events_emptied,
            kept_states=one.kept_states,
            rows=one.rows,
            waiting=tuple(one.waiting),
            requested_at=from_timestamp(one.requested_at),
            requested_by=one.requested_by,
            emptied_at=time("emptied_at"),
            ended_at=time("ended_at"),
        )


@dataclass(frozen=True)
class HydratedUnion:
    """The state of two streams, folded as if they were one.

    Attributes:
        hydrated: the state; its position is that of the last event, its version that of the stream
            which this is of.
        public_version: version of the public stream, to expect in the next append; 0: no event.
        private_version: the same of the private one; None: it was deleted.
        position: position of the log at which both were read.
    """

    hydrated: Hydrated[Any] = field(repr=False)
    public_version: int
    private_version: int | None
    position: int

    @property
    def state(self) -> Any:
        """The state."""
        return self.hydrated.state
