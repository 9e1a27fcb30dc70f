"""Erasures of subjects and legal holds, as the SDK has them."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Literal

from eventfold._deletion import CutLink, DeletedStream, TouchedProjection
from eventfold._time import from_timestamp, time_of
from eventfold.v1 import erasure_pb2 as pb

ErasureStage = Literal["requested", "destroyed", "evicted", "scrubbed", "announced", "done"]
"""How far an erasure is."""

_STAGES: dict[int, ErasureStage] = {
    pb.ERASURE_STATE_REQUESTED: "requested",
    pb.ERASURE_STATE_DESTROYED: "destroyed",
    pb.ERASURE_STATE_EVICTED: "evicted",
    pb.ERASURE_STATE_SCRUBBED: "scrubbed",
    pb.ERASURE_STATE_ANNOUNCED: "announced",
    pb.ERASURE_STATE_DONE: "done",
}


@dataclass(frozen=True, slots=True)
class ErasedEvents:
    """Events of one type with sealed values of a subject.

    Attributes:
        event_type: the type.
        events: how many events.
        streams: in how many streams.
    """

    event_type: str
    events: int
    streams: int


@dataclass(frozen=True, slots=True)
class PlaintextEvents:
    """Events with plaintext of a subject, from before their fields were declared personal. An
    erasure does not touch them.

    Attributes:
        event_type: the type; None: it is a category.
        category: the category; None: it is an event type.
        events: how many events.
        until: position at or before which they are.
    """

    event_type: str | None
    category: str | None
    events: int
    until: int


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would do.

    Attributes:
        active: whether the subject has keys.
        subject_hash: keyed hash of its name: what stands for it in `$audit`.
        key_versions: versions of its data key, which would be destroyed.
        position: position up to which events were looked through.
        digest: tells the plan from others; `erase` can demand it.
        events: events with sealed values of it, by type.
        plaintext: events with plaintext of it, which stay.
        streams: number of streams with sealed values of it.
        kept_states: states that are kept of these.
        projections: generations that have read such events.
        deleted: streams that would be deleted.
        restrictions: links of streams that stay, which forbid it.
        detached: links that are dropped.
        referrers: events of other streams that refer to the deleted ones.
        holds: names of the legal holds that forbid it.
    """

    active: bool
    subject_hash: bytes
    key_versions: int
    position: int
    digest: str
    events: tuple[ErasedEvents, ...]
    plaintext: tuple[PlaintextEvents, ...]
    streams: int
    kept_states: int
    projections: tuple[TouchedProjection, ...]
    deleted: tuple[DeletedStream, ...]
    restrictions: tuple[CutLink, ...]
    detached: tuple[CutLink, ...]
    referrers: int
    holds: tuple[str, ...]

    @classmethod
    def _from_wire(cls, plan: pb.ErasurePlan) -> "ErasurePlan":
        return cls(
            active=plan.active,
            subject_hash=plan.subject_hash,
            key_versions=plan.key_versions,
            position=plan.position,
            digest=plan.digest,
            events=tuple(
                ErasedEvents(one.event_type, one.events, one.streams) for one in plan.events
            ),
            plaintext=tuple(
                PlaintextEvents(one.event_type or None, one.category or None, one.events, one.until)
                for one in plan.plaintext
            ),
            streams=plan.streams,
            kept_states=plan.kept_states,
            projections=tuple(
                TouchedProjection(one.projection, one.generation, one.rebuilt)
                for one in plan.projections
            ),
            deleted=tuple(map(DeletedStream._from_wire, plan.deleted)),
            restrictions=tuple(map(CutLink._from_wire, plan.restrictions)),
            detached=tuple(map(CutLink._from_wire, plan.detached)),
            referrers=plan.referrers,
            holds=tuple(plan.holds),
        )


@dataclass(frozen=True, slots=True)
class ErasureInfo:
    """A job that erases a subject.

    Attributes:
        erasure_id: its id.
        subject_hash: keyed hash of the name of the subject.
        subject_id: id of the subject in the key store; None: the fence is not written yet.
        reason: why.
        state: how far it is.
        plan_digest: digest of the plan; None: it was done again after a backup was restored.
        requested_at: when it was asked for.
        requested_by: by whom.
        keys_destroyed: data keys that were destroyed.
        kept_states: kept states that were dropped.
        rows: rows of projections that were made anew.
        waiting: projections that are built anew, and that the job waits for.
        ended_at: when it was done; None: not yet.
    """

    erasure_id: str
    subject_hash: bytes
    subject_id: str | None
    reason: str
    state: ErasureStage
    plan_digest: str | None
    requested_at: dt.datetime
    requested_by: str
    keys_destroyed: int
    kept_states: int
    rows: int
    waiting: tuple[str, ...]
    ended_at: dt.datetime | None

    @classmethod
    def _from_wire(cls, one: pb.ErasureJob) -> "ErasureInfo":
        return cls(
            erasure_id=one.erasure_id,
            subject_hash=one.subject_hash,
            subject_id=one.subject_id or None,
            reason=one.reason,
            state=_STAGES.get(one.state, "requested"),
            plan_digest=one.plan_digest or None,
            requested_at=from_timestamp(one.requested_at),
            requested_by=one.requested_by,
            keys_destroyed=one.keys_destroyed,
            kept_states=one.kept_states,
            rows=one.rows,
            waiting=tuple(one.waiting),
            ended_at=time_of(one, "ended_at"),
        )


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What an erasure has done, as it is told to people.

    Attributes:
        erasure_id: id of the erasure.
        source: the receipt as JSON text, the same whenever it is asked for.
    """

    erasure_id: str
    source: str

    @property
    def content(self) -> dict[str, Any]:
        """The receipt as a document."""
        content: dict[str, Any] = json.loads(self.source)
        return content


@dataclass(frozen=True, slots=True)
class LegalHoldInfo:
    """What is neither erased nor deleted for now.

    Attributes:
        name: its name.
        subject_hash: keyed hash of the name of the subject that is held; None: it is a stream.
        stream: first stream of the line that is held; None: it is a subject.
        reason: why.
        put_at: when it was put.
        put_by: by whom.
    """

    name: str
    subject_hash: bytes | None
    stream: str | None
    reason: str
    put_at: dt.datetime
    put_by: str

    @classmethod
    def _from_wire(cls, one: pb.LegalHold) -> "LegalHoldInfo":
        return cls(
            one.name,
            one.subject_hash or None,
            one.stream or None,
            one.reason,
            from_timestamp(one.put_at),
            one.put_by,
        )
