"""Messages of `ConsumerGroups` from what the domain knows, and back."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold.v1 import event_store_pb2
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.groups.admin import Group, Parked, Spec, Status
from eventfold_server.domain.log_start import LogStart
from eventfold_server.services.log_requests import copies, demands, log_start
from eventfold_server.status import to_status

# Durations beyond any limit, as far as `timedelta` can hold them.
_SECONDS_MAX = 10**9


def spec_of(source: pb.GroupSource, settings: pb.GroupSettings) -> Spec:
    """What a request says of a group, with defaults filled in."""
    initial = _duration(settings, "retry_initial", limits.GROUP_RETRY_INITIAL_S_DEFAULT)
    default_max_s = max(limits.GROUP_RETRY_S_DEFAULT, initial.total_seconds())
    if settings.on_park not in pb.OnPark.values():
        raise requests.invalid("settings.on_park", "is none of the known ones")
    categories, types, tags, condition = demands(source, "source.")
    return Spec(
        categories=_set(categories),
        stream=source.stream or None,
        types=_set(types),
        tags=_set(tags),
        condition=condition,
        with_system=source.include_system_events or source.stream.startswith("$"),
        copies=copies(source, "source.").value or None,
        ack_timeout=_duration(settings, "ack_timeout", limits.GROUP_ACK_TIMEOUT_S_DEFAULT),
        attempts_max=settings.attempts_max or limits.GROUP_ATTEMPTS_DEFAULT,
        retry_initial=initial,
        retry_factor=settings.retry_factor or limits.GROUP_RETRY_FACTOR_DEFAULT,
        retry_max=_duration(settings, "retry_max", default_max_s),
        hold_back=settings.on_park != pb.ON_PARK_LET_PASS and not settings.unordered,
        ordered=not settings.unordered,
    )


def start_of(start: pb.GroupStart) -> LogStart:
    """Where a request lets a group begin."""
    found = log_start(start, start.WhichOneof("kind"), "start.")
    if found is None:
        raise requests.invalid("start", "is required: where to begin")
    return found


def group_message(group: Group) -> pb.Group:
    """The group, with everything set."""
    spec = group.spec
    return pb.Group(
        name=group.name,
        source=pb.GroupSource(
            categories=spec.categories or (),
            stream=spec.stream or "",
            types=spec.types or (),
            tags=spec.tags or (),
            where=spec.condition or "",
            include_system_events=spec.with_system,
            copies=event_store_pb2.Copies.ValueType(spec.copies or 0),
        ),
        settings=settings_message(spec),
        generation=group.generation,
        created_at=timestamp(group.created_at),
        created_by=group.created_by,
        cursor=group.cursor,
        progress=group.progress,
        lag=max(group.head - group.progress, 0),
        stopped=None if group.stopped is None else to_status(group.stopped),
    )


def settings_message(spec: Spec) -> pb.GroupSettings:
    """How a group delivers, with everything set."""
    return pb.GroupSettings(
        ack_timeout=_duration_message(spec.ack_timeout),
        attempts_max=spec.attempts_max,
        retry_initial=_duration_message(spec.retry_initial),
        retry_factor=spec.retry_factor,
        retry_max=_duration_message(spec.retry_max),
        on_park=pb.ON_PARK_HOLD_BACK if spec.hold_back else pb.ON_PARK_LET_PASS,
        unordered=not spec.ordered,
    )


def status_message(group: Group, status: Status) -> pb.GroupStatus:
    """How a group is doing."""
    message = pb.GroupStatus(
        head=group.head,
        waiting=status.waiting,
        under_way=status.under_way,
        retrying=status.retrying,
        held_back=status.held_back,
        parked=status.parked,
        oldest_parked=status.oldest_parked,
        consumers=[
            pb.GroupConsumer(
                session=one.session,
                consumer=one.consumer,
                caller=one.caller,
                since=timestamp(one.since),
                streams=one.streams,
                under_way=one.under_way,
            )
            for one in status.consumers
        ],
    )
    if status.oldest_at is not None:
        message.oldest_recorded_at.CopyFrom(timestamp(status.oldest_at))
    return message


def parked_message(parked: Parked) -> pb.ParkedEvent:
    """What is known of a parked event."""
    return pb.ParkedEvent(
        position=parked.position,
        attempts=parked.attempts,
        parked_at=timestamp(parked.parked_at),
        cause=pb.ParkCause.ValueType(parked.cause),
        reason=parked.reason,
        consumer=parked.consumer,
        holds_back=parked.holds,
    )


def timestamp(time: datetime) -> Timestamp:
    """The time as protobuf has it."""
    seconds, nanos = requests.to_seconds_nanos(time)
    return Timestamp(seconds=seconds, nanos=nanos)


def timedelta_of(duration: Duration) -> timedelta:
    """The duration in whole microseconds; what is none is shorter than any limit."""
    if abs(duration.seconds) > _SECONDS_MAX or abs(duration.nanos) >= 10**9:
        return timedelta(days=-1)
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def _duration(settings: pb.GroupSettings, field: str, default_s: float) -> timedelta:
    if not settings.HasField(field):  # type: ignore[arg-type]
        return timedelta(seconds=default_s)
    return timedelta_of(getattr(settings, field))


def _duration_message(delta: timedelta) -> Duration:
    return Duration(seconds=delta.days * 86_400 + delta.seconds, nanos=delta.microseconds * 1000)


def _set(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else sorted(set(values), key=str.encode)
