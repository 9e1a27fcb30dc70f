"""Consumers of groups on raw stubs, and appends for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2, status_pb2
from tests.support.database import connected
from tests.support.raw import answer_of

from eventfold.v1 import (
    appends_pb2,
    consumer_groups_pb2_grpc,
    event_store_pb2,
    event_store_pb2_grpc,
)
from eventfold.v1 import consumer_groups_pb2 as pb

ANSWER_SECONDS_MAX = 60.0
ACK = pb.SETTLE_ACTION_ACK
RETRY = pb.SETTLE_ACTION_RETRY
PARK = pb.SETTLE_ACTION_PARK
SKIP = pb.SETTLE_ACTION_SKIP
EXTEND = pb.SETTLE_ACTION_EXTEND


def settings(
    *, ack_timeout_s: float | None = None, retry_s: float | None = None, **more: object
) -> pb.GroupSettings:
    """Settings with seconds for durations."""
    message = pb.GroupSettings(**more)  # type: ignore[arg-type]
    if ack_timeout_s is not None:
        message.ack_timeout.FromMilliseconds(round(ack_timeout_s * 1000))
    if retry_s is not None:
        message.retry_initial.FromMilliseconds(round(retry_s * 1000))
    return message


def reason_of(status: status_pb2.Status) -> str:
    """The reason in a status that came inside of a message."""
    return reason_and_facts(status)[0]


def reason_and_facts(status: status_pb2.Status) -> tuple[str, dict[str, str]]:
    """The same with its facts."""
    info = error_details_pb2.ErrorInfo()
    [detail] = status.details
    assert detail.Unpack(info)
    assert info.domain == "eventfold"
    return info.reason, dict(info.metadata)


@dataclass(frozen=True)
class Delivered:
    """An event as a consumer got it."""

    position: int
    stream: str
    version: int
    lease: int
    attempt: int


def delivered(message: pb.ConsumeResponse) -> list[Delivered]:
    """The events of a message."""
    assert len(message.events) == len(message.leases) == len(message.attempts)
    return [
        Delivered(event.position, event.stream, event.version, lease, attempt)
        for event, lease, attempt in zip(
            message.events, message.leases, message.attempts, strict=True
        )
    ]


@dataclass
class Consumer:
    """One session."""

    call: grpc.aio.StreamStreamCall[pb.ConsumeRequest, pb.ConsumeResponse]
    number: int = 0
    # What came and was not asked for yet.
    events: list[Delivered] = field(default_factory=list)
    answers: dict[int, pb.SettleAnswer] = field(default_factory=dict)
    started: pb.ConsumeStarted | None = None

    async def grant(self, credits_: int) -> None:
        await self.call.write(pb.ConsumeRequest(credits=credits_))

    async def settle(
        self,
        action: pb.SettleAction.ValueType,
        events: Sequence[Delivered],
        *,
        credits_: int = 0,
        reason: str = "",
        delay_s: float | None = None,
    ) -> int:
        """Settles events; the number of the settlement."""
        self.number += 1
        settlement = pb.Settlement(
            number=self.number,
            action=action,
            positions=[event.position for event in events],
            leases=[event.lease for event in events],
            reason=reason,
        )
        if delay_s is not None:
            settlement.delay.FromMilliseconds(round(delay_s * 1000))
        await self.call.write(pb.ConsumeRequest(settlements=[settlement], credits=credits_))
        return self.number

    async def settled(
        self, action: pb.SettleAction.ValueType, events: Sequence[Delivered], **more: object
    ) -> pb.SettleAnswer:
        """Settles events; the answer."""
        number = await self.settle(action, events, **more)  # type: ignore[arg-type]
        return await self.answer(number)

    async def read(self) -> bool:
        """Reads one message; False: there are no more."""
        message = await self.call.read()
        if not isinstance(message, pb.ConsumeResponse):
            return False
        self.events += delivered(message)
        for answer in message.answers:
            assert answer.number not in self.answers, "answered twice"
            self.answers[answer.number] = answer
        if message.HasField("started"):
            self.started = message.started
        return True

    async def take(self, count: int) -> list[Delivered]:
        """The next events, exactly so many of those that come."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while len(self.events) < count:
                assert await self.read(), "the session ended"
        taken, self.events = self.events[:count], self.events[count:]
        return taken

    async def answer(self, number: int) -> pb.SettleAnswer:
        """The answer to a settlement."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while number not in self.answers:
                assert await self.read(), "the session ended"
        return self.answers[number]

    async def end(self) -> str:
        """Reads to the end of the session: `OK`, or the reason."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                while await self.read():
                    pass
                return (await self.call.code()).name
        except grpc.aio.AioRpcError as error:
            answer = answer_of(error)
            return answer.reason or answer.code

    async def close(self) -> str:
        """Ends the session the clean way; how it ended."""
        await self.call.done_writing()
        return await self.end()


class Groups:
    """A client of one server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.stub = consumer_groups_pb2_grpc.ConsumerGroupsStub(channel)
        self._store = event_store_pb2_grpc.EventStoreStub(channel)

    async def create(
        self,
        name: str,
        source: pb.GroupSource | None = None,
        settings: pb.GroupSettings | None = None,
        start: pb.GroupStart | None = None,
    ) -> pb.CreateGroupResponse:
        return await self.stub.CreateGroup(
            pb.CreateGroupRequest(name=name, source=source, settings=settings, start=start)
        )

    async def consume(self, group: str, consumer: str = "", credits_: int = 0) -> Consumer:
        """A session that has begun."""
        one = Consumer(self.stub.Consume())
        await one.call.write(
            pb.ConsumeRequest(
                start=pb.ConsumeStart(group=group, consumer=consumer), credits=credits_
            )
        )
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            assert await one.read()
        assert one.started is not None
        return one

    async def get(self, name: str) -> pb.GetGroupResponse:
        return await self.stub.GetGroup(pb.GetGroupRequest(name=name))

    async def append(
        self,
        stream: str,
        count: int = 1,
        *,
        type_: str = "T",
        tags: Iterable[str] = (),
        data: bytes = b"{}",
    ) -> list[int]:
        """Appends so many events; their positions."""
        return await self.append_data(stream, [data] * count, type_=type_, tags=tags)

    async def append_data(
        self, stream: str, data: Sequence[bytes], *, type_: str = "T", tags: Iterable[str] = ()
    ) -> list[int]:
        """Appends an event with each of these data; their positions."""
        request = appends_pb2.AppendRequest(stream=stream)
        request.expected_version.any.SetInParent()
        for one in data:
            request.events.add(type=type_, data=one, tags=tags)
        return list((await self._store.Append(request)).positions)

    async def version(self, stream: str) -> int:
        """The version of a stream; 0: it has no event."""
        try:
            get = event_store_pb2.GetStreamRequest(name=stream)
            return (await self._store.GetStream(get)).stream.version
        except grpc.aio.AioRpcError as error:
            if answer_of(error).reason != "STREAM_NOT_FOUND":
                raise
            return 0

    async def event(self, position: int) -> event_store_pb2.RecordedEvent:
        """The event at a position."""
        read = event_store_pb2.ReadAllRequest(from_position=position, limit=1)
        message = await self._store.ReadAll(read).read()
        assert isinstance(message, event_store_pb2.ReadAllResponse)
        return message.events[0]


@asynccontextmanager
async def groups_of(address: str) -> AsyncIterator[Groups]:
    """A client of the server."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield Groups(channel)


def make_due(database_url: str, schema: str, group: str) -> int:
    """Lets all leases and waits of a group be over; how many there were."""
    with connected(database_url) as connection:
        done = connection.execute(
            f"UPDATE {schema}.group_lanes SET due_at = now() - interval '1 s'"
            f" WHERE due_at IS NOT NULL AND group_no ="
            f" (SELECT group_no FROM {schema}.groups WHERE name = %s)",
            [group],
        )
    return done.rowcount
