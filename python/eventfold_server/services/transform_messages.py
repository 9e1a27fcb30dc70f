"""Messages of `Transforms` from what the domain knows."""

from eventfold.v1 import transforms_pb2 as pb
from eventfold_server.domain.transforms.admin import Source, Target, Transform
from eventfold_server.domain.transforms.plans import Plan
from eventfold_server.domain.transforms.tally import COUNTED, Counts, Example, States, Trial
from eventfold_server.services.group_messages import timestamp
from eventfold_server.status import to_status


def transform_message(transform: Transform, *, whole: bool = True) -> pb.Transform:
    """The transform; not `whole`: without what is long."""
    message = pb.Transform(
        transform_id=str(transform.transform_id),
        name=transform.name,
        source=transform.source if whole else "",
        digest=transform.digest,
        dry_run=transform.dry_run,
        state=pb.TransformState.ValueType(transform.state),
        position=transform.position,
        head=transform.head,
        events_read=transform.events_read,
        events_written=transform.events_written,
        counts=_counts(Counts.restored(transform.counts)) if whole else [],
        sources=transform.sources,
        sources_closed=transform.sources_closed,
        successors=transform.successors,
        targets=transform.targets,
        trial=_trial(transform, whole=whole),
        verification=_verification(transform),
        failure=None if transform.failure is None else to_status(transform.failure),
        cutover_ms_max=transform.cutover_ms_max or 0,
        held_ms=transform.held_ms,
        started_at=timestamp(transform.started_at),
        started_by=transform.started_by,
        target=transform.target or "",
        waiting="" if transform.ended_at is not None else transform.waiting or "",
    )
    for name in ("caught_up_at", "verified_at", "cut_over_at", "ended_at"):
        time = getattr(transform, name)
        if time is not None:
            getattr(message, name).CopyFrom(timestamp(time))
    return message


def source_message(row: Source) -> pb.TransformStream:
    """A source stream."""
    return pb.TransformStream(
        source=row.stream,
        version=row.version,
        closed=row.closure > 0,
        successor=row.successor or "",
        targets=row.targets,
        targets_count=row.targets_in_all,
    )


def target_message(row: Target) -> pb.TransformTarget:
    """A target stream."""
    return pb.TransformTarget(
        target=row.stream,
        version=row.version,
        verified_version=row.verified_version,
        source_digest=(row.source_hash or b"").hex(),
        target_digest=(row.target_hash or b"").hex(),
        sources_count=row.sources,
    )


def plan_message(plan: Plan) -> pb.TransformPlan:
    """What a cut-over does not do by itself."""
    return pb.TransformPlan(
        projections=plan.projections,
        groups=plan.groups,
        successors=plan.successors,
        without_successor=plan.without_successor,
    )


def _trial(transform: Transform, *, whole: bool) -> pb.TransformTrial:
    trial = Trial.restored(transform.trial)
    message = pb.TransformTrial(
        position=transform.tried,
        to_position=trial.to,
        events_read=trial.counts.total("read"),
        events_written=trial.counts.total("written"),
        failures_count=trial.failures_count,
    )
    if whole:
        message.counts.extend(_counts(trial.counts))
        message.examples.extend(map(_example, trial.examples))
        message.failures.extend(map(to_status, trial.failures))
    return message


def _verification(transform: Transform) -> pb.TransformVerification:
    states = States.restored(transform.states)
    return pb.TransformVerification(
        position=transform.verified,
        events=transform.events_verified,
        targets_equal=transform.targets_equal,
        targets=transform.targets,
        states_compared=states.compared,
        states_differing=states.differing,
        differing=states.streams,
    )


def _counts(counts: Counts) -> list[pb.TransformCount]:
    return [
        pb.TransformCount(type=type_, **dict(zip(COUNTED, numbers, strict=True)))
        for type_, numbers in counts.rows()
    ]


def _example(example: Example) -> pb.TransformExample:
    return pb.TransformExample(
        stream=example.stream,
        version=example.version,
        event_id=example.event_id,
        type=example.type,
        data=example.data.encode(),
        copies=[
            pb.TransformCopy(stream=stream, type=type_, data=data.encode())
            for stream, type_, data in example.copies
        ],
    )
