"""What the calls on consumer groups return, and what they are asked with."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from eventfold._errors import InvalidValue
from eventfold._events import RecordedEvent
from eventfold._results import Copies
from eventfold._time import from_timestamp
from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold.v1 import event_store_pb2

OnPark = Literal["hold back", "let pass"]
"""What a parked event does to the later events of its stream."""

ParkCause = Literal["consumer", "retries exhausted", "never settled", "unknown"]

_ON_PARK: "dict[OnPark, pb.OnPark.ValueType]" = {
    "hold back": pb.ON_PARK_HOLD_BACK,
    "let pass": pb.ON_PARK_LET_PASS,
}
_COPIES: "dict[int, Copies]" = {
    event_store_pb2.COPIES_INCLUDE: "include",
    event_store_pb2.COPIES_EXCLUDE: "exclude",
}
_CAUSES: "dict[int, ParkCause]" = {
    pb.PARK_CAUSE_CONSUMER: "consumer",
    pb.PARK_CAUSE_RETRIES_EXHAUSTED: "retries exhausted",
    pb.PARK_CAUSE_NEVER_SETTLED: "never settled",
}


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """How a group delivers; None, or 0: the default. What a group returns has all of them set.

    Attributes:
        ack_timeout: seconds that the events that a consumer has of one stream may take, from their
            delivery or from the last that it settled or extended; 1 to 43,200. Default: 30.
        attempts_max: deliveries after which an event that failed is parked. Default: 10.
        retry_initial: seconds before the second attempt, 0 to 86,400. Default: 1.
        retry_factor: what the wait is multiplied with for each further attempt. Default: 2.
        retry_max: longest wait in seconds. Default: 60.
        on_park: whether a parked event holds back the later ones of its stream, or lets them pass.
        unordered: events are delivered without regard for the order in their streams.
    """

    ack_timeout: float | None = None
    attempts_max: int = 0
    retry_initial: float | None = None
    retry_factor: float = 0.0
    retry_max: float | None = None
    on_park: OnPark = "hold back"
    unordered: bool = False

    def _to_wire(self) -> pb.GroupSettings:
        if self.on_park not in _ON_PARK:
            raise ValueError(f"on_park is 'hold back' or 'let pass', not {self.on_park!r}")
        settings = pb.GroupSettings(
            attempts_max=self.attempts_max,
            retry_factor=self.retry_factor,
            on_park=_ON_PARK[self.on_park],
            unordered=self.unordered,
        )
        for name in ("ack_timeout", "retry_initial", "retry_max"):
            seconds = getattr(self, name)
            if seconds is not None:
                duration(getattr(settings, name), seconds, name)
        return settings

    @classmethod
    def _from_wire(cls, settings: pb.GroupSettings) -> "GroupSettings":
        return cls(
            ack_timeout=settings.ack_timeout.ToNanoseconds() / 1e9,
            attempts_max=settings.attempts_max,
            retry_initial=settings.retry_initial.ToNanoseconds() / 1e9,
            retry_factor=settings.retry_factor,
            retry_max=settings.retry_max.ToNanoseconds() / 1e9,
            on_park="let pass" if settings.on_park == pb.ON_PARK_LET_PASS else "hold back",
            unordered=settings.unordered,
        )


def duration(field: object, seconds: float, name: str) -> None:
    """Puts seconds into a duration of protobuf.

    Raises:
        InvalidValue: it cannot hold them.
    """
    try:
        field.FromNanoseconds(round(seconds * 1e9))  # type: ignore[attr-defined]
    except (ValueError, OverflowError) as error:
        problem = f"{name} is a number of seconds, not {seconds!r}"
        raise InvalidValue(problem, {"path": name, "problem": problem}) from error


@dataclass(frozen=True, slots=True)
class GroupConsumer:
    """A session on a group.

    Attributes:
        session: its number, unique in the store.
        consumer: the name that the consumer gave.
        caller: who consumes: the name of the token, or `anonymous`.
        since: when it began, in UTC.
        streams: streams that are with it; of an unordered group, events.
        under_way: events that are with it.
    """

    session: int
    consumer: str
    caller: str
    since: dt.datetime
    streams: int
    under_way: int


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """How a group is doing at the moment.

    Attributes:
        head: position of the newest event of the log.
        waiting: events up to the cursor that may be delivered now.
        under_way: events that are with consumers.
        retrying: events that wait for a retry, of theirs or of an earlier event of their stream.
        held_back: events that a parked event of their stream holds back.
        parked: parked events.
        oldest_parked: position of the oldest parked event; 0: there is none.
        oldest_recorded_at: when the oldest event that is neither settled nor parked was recorded,
            in UTC; None: there is none up to the cursor.
        consumers: sessions that were alive within the last 30 s.
    """

    head: int
    waiting: int
    under_way: int
    retrying: int
    held_back: int
    parked: int
    oldest_parked: int
    oldest_recorded_at: dt.datetime | None
    consumers: tuple[GroupConsumer, ...]

    @classmethod
    def _from_wire(cls, status: pb.GroupStatus) -> "GroupStatus":
        oldest = status.oldest_recorded_at
        return cls(
            head=status.head,
            waiting=status.waiting,
            under_way=status.under_way,
            retrying=status.retrying,
            held_back=status.held_back,
            parked=status.parked,
            oldest_parked=status.oldest_parked,
            oldest_recorded_at=from_timestamp(oldest)
            if status.HasField("oldest_recorded_at")
            else None,
            consumers=tuple(
                GroupConsumer(
                    one.session,
                    one.consumer,
                    one.caller,
                    from_timestamp(one.since),
                    one.streams,
                    one.under_way,
                )
                for one in status.consumers
            ),
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group.

    Attributes:
        name: its name.
        stream: the one stream that it is about; empty: all.
        categories: the categories that it is about; empty: all.
        types: the event types that it is about; empty: all.
        tags: the tags that its events have; empty: any.
        where: the CEL expression that its events pass; empty: none.
        include_system_events: whether events of streams with a leading `$` count.
        copies: whether copies are among its events, as it was said; None: it was not.
        settings: how it delivers.
        generation: counts from 1, and goes up with each reset.
        created_at: when it was created, in UTC.
        created_by: who created it.
        cursor: position up to which the log was looked at for events of the group.
        progress: position up to which every event of the group is settled or parked.
        lag: positions between `progress` and the head of the log.
        created: in the answer to `create_group`: whether it is new; else False.
        status: in the answer to `get_group`: how it is doing; else None.
    """

    name: str
    stream: str
    categories: tuple[str, ...]
    types: tuple[str, ...]
    tags: tuple[str, ...]
    where: str
    include_system_events: bool
    copies: Copies | None
    settings: GroupSettings
    generation: int
    created_at: dt.datetime
    created_by: str
    cursor: int
    progress: int
    lag: int
    created: bool = False
    status: GroupStatus | None = None

    @classmethod
    def _from_wire(
        cls, group: pb.Group, created: bool = False, status: GroupStatus | None = None
    ) -> "Group":
        source = group.source
        return cls(
            name=group.name,
            stream=source.stream,
            categories=tuple(source.categories),
            types=tuple(source.types),
            tags=tuple(source.tags),
            where=source.where,
            include_system_events=source.include_system_events,
            copies=_COPIES.get(source.copies),
            settings=GroupSettings._from_wire(group.settings),
            generation=group.generation,
            created_at=from_timestamp(group.created_at),
            created_by=group.created_by,
            cursor=group.cursor,
            progress=group.progress,
            lag=group.lag,
            created=created,
            status=status,
        )


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that a group has set aside.

    Attributes:
        event: the event.
        attempts: how often it was delivered.
        parked_at: when it was parked, in UTC.
        cause: `consumer`: one asked for it; `retries exhausted`: one asked for another attempt when
            all were used up; `never settled`: sessions were cut, or leases ran out.
        reason: what the consumer said; may be empty.
        consumer: name of the consumer that had it last.
        holds_back: whether it holds back the later events of its stream.
    """

    event: RecordedEvent
    attempts: int
    parked_at: dt.datetime
    cause: ParkCause
    reason: str
    consumer: str
    holds_back: bool

    @classmethod
    def _from_wire(cls, event: RecordedEvent, about: pb.ParkedEvent) -> "ParkedEvent":
        return cls(
            event=event,
            attempts=about.attempts,
            parked_at=from_timestamp(about.parked_at),
            cause=_CAUSES.get(about.cause, "unknown"),
            reason=about.reason,
            consumer=about.consumer,
            holds_back=about.holds_back,
        )
