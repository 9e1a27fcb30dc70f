"""Messages of `Erasures` from what the domain knows."""

from eventfold.v1 import erasure_pb2 as pb
from eventfold_server.domain.erasure.admin import Erasure
from eventfold_server.domain.erasure.plans import ErasurePlan
from eventfold_server.domain.privacy.holds import LegalHold
from eventfold_server.services.deletion_messages import cut_message, stream_message, touched_message
from eventfold_server.services.group_messages import timestamp


def plan_message(plan: ErasurePlan) -> pb.ErasurePlan:
    """The plan."""
    return pb.ErasurePlan(
        active=plan.active,
        subject_hash=plan.subject_hash,
        key_versions=plan.key_versions,
        position=plan.position,
        digest=plan.digest,
        events=[
            pb.ErasedEvents(event_type=one.type, events=one.events, streams=one.streams)
            for one in plan.events
        ],
        plaintext=[
            pb.PlaintextEvents(
                event_type=one.type or "",
                category=one.category or "",
                events=one.events,
                until=one.until,
            )
            for one in plan.plaintext
        ],
        streams=plan.streams,
        kept_states=plan.kept_states,
        projections=map(touched_message, plan.projections),
        deleted=map(stream_message, plan.deleted),
        restrictions=map(cut_message, plan.restrictions),
        detached=map(cut_message, plan.detached),
        referrers=plan.referrers,
        holds=plan.holds,
    )


def erasure_message(row: Erasure) -> pb.ErasureJob:
    """The job."""
    return pb.ErasureJob(
        erasure_id=str(row.erasure_id),
        subject_hash=row.subject_hash,
        subject_id="" if row.subject_id is None else str(row.subject_id),
        reason=row.reason,
        state=pb.ErasureState.ValueType(row.state),
        plan_digest=row.plan_digest or "",
        requested_at=timestamp(row.requested_at),
        requested_by=row.requested_by,
        keys_destroyed=row.keys_destroyed,
        kept_states=row.kept_states,
        rows=row.rows,
        waiting=row.waiting,
        ended_at=None if row.ended_at is None else timestamp(row.ended_at),
    )


def hold_message(row: LegalHold) -> pb.LegalHold:
    """The hold."""
    message = pb.LegalHold(
        name=row.name, reason=row.reason, put_at=timestamp(row.put_at), put_by=row.put_by
    )
    if row.subject_hash is not None:
        message.subject_hash = row.subject_hash
    if row.stream is not None:
        message.stream = row.stream
    return message
