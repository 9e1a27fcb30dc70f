"""Messages of `Deletion` from what the domain knows."""

from eventfold.v1 import deletion_pb2 as pb
from eventfold.v1 import links_pb2
from eventfold_server.domain.deletion.admin import Deleted, Deletion, Detached
from eventfold_server.domain.deletion.plans import Cut, Plan, PlannedStream
from eventfold_server.domain.privacy.cleanup import Touched
from eventfold_server.services.group_messages import timestamp


def plan_message(plan: Plan) -> pb.DeletionPlan:
    """The plan."""
    return pb.DeletionPlan(
        stream=plan.stream,
        position=plan.position,
        digest=plan.digest,
        streams=map(stream_message, plan.streams),
        restrictions=map(cut_message, plan.restrictions),
        detached=map(cut_message, plan.detached),
        events=sum(one.version for one in plan.streams),
        kept_states=plan.kept_states,
        projections=map(touched_message, plan.projections),
        referrers=plan.referrers,
        copies=plan.copies,
    )


def stream_message(row: PlannedStream | Deleted) -> pb.DeletedStream:
    """A stream that goes."""
    return pb.DeletedStream(
        stream=row.stream,
        root=row.root,
        version=row.version,
        owner=row.owner or "",
        rule=row.rule or "",
    )


def detached_message(row: Detached) -> pb.CutLink:
    """A link that a job has dropped."""
    return pb.CutLink(
        stream=row.stream,
        owner=row.owner,
        rule=row.rule,
        policy=links_pb2.LINK_POLICY_DETACH,
    )


def deletion_message(row: Deletion) -> pb.DeletionJob:
    """The job."""
    message = pb.DeletionJob(
        deletion_id=str(row.deletion_id),
        stream=row.stream,
        reason=row.reason,
        state=pb.DeletionState.ValueType(row.state),
        plan_digest=row.digest,
        streams=row.streams,
        events=row.events_in_all,
        events_emptied=row.events,
        kept_states=row.kept_states,
        rows=row.rows,
        waiting=row.waiting,
        requested_at=timestamp(row.requested_at),
        requested_by=row.requested_by,
    )
    for name in ("emptied_at", "ended_at"):
        time = getattr(row, name)
        if time is not None:
            getattr(message, name).CopyFrom(timestamp(time))
    return message


def touched_message(one: Touched) -> pb.TouchedProjection:
    """A projection that has read events that go."""
    return pb.TouchedProjection(
        projection=one.projection, generation=one.generation, rebuilt=one.rebuilt
    )


def cut_message(link: Cut) -> pb.CutLink:
    """A link to a stream that goes."""
    return pb.CutLink(
        stream=link.stream,
        owner=link.owner,
        rule=link.rule,
        policy=links_pb2.LinkPolicy.ValueType(link.policy),
    )
