"""Subscriptions of tests: over plain gRPC, with what must hold of every frame checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from tests.support.raw import Answer, answer_of

import eventfold
from eventfold.v1 import event_store_pb2 as store_pb
from eventfold.v1 import event_store_pb2_grpc, subscriptions_pb2_grpc
from eventfold.v1 import subscriptions_pb2 as pb

WAIT_SECONDS = 90.0
_OPTIONS = [("grpc.max_receive_message_length", 4 * 1024 * 1024)]


class Follower:
    """One subscription, and what it has got so far."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.frames: list[pb.SubscribeResponse] = []
        self.events: list[store_pb.RecordedEvent] = []
        self.position = 0

    @property
    def positions(self) -> list[int]:
        """Positions of its events, in the order in which they came."""
        return [event.position for event in self.events]

    @property
    def kinds(self) -> list[str]:
        """What its frames said."""
        return [pb.FrameKind.Name(frame.kind)[11:] for frame in self.frames]

    @property
    def token(self) -> bytes:
        """The newest resume token."""
        return self.frames[-1].resume_token

    async def next(self) -> pb.SubscribeResponse:
        """The next frame."""
        frame = await asyncio.wait_for(self._call.read(), WAIT_SECONDS)
        if frame is grpc.aio.EOF:
            raise AssertionError(f"the subscription ended: {await self._call.code()}")
        self._check(frame)
        self.frames.append(frame)
        self.events.extend(frame.events)
        self.position = frame.position
        return frame

    def _check(self, frame: pb.SubscribeResponse) -> None:
        assert frame.position >= self.position
        assert frame.head >= frame.position
        assert 0 < len(frame.resume_token) < 400
        assert bool(frame.events) == (frame.kind == pb.FRAME_KIND_EVENTS)
        # Neither twice nor out of order, and all of it is covered by the frame.
        places = [self.position, *(event.position for event in frame.events)]
        assert places == sorted(set(places))
        assert places[-1] <= frame.position

    async def until(self, reached: Callable[[Follower], bool]) -> Follower:
        """Reads on until something is true of what came."""
        while not reached(self):
            await self.next()
        return self

    async def until_position(self, position: int) -> Follower:
        """Reads on until it has looked at the position."""
        return await self.until(lambda me: me.position >= position)

    async def until_caught_up(self) -> Follower:
        """Reads on until the head is reached."""
        return await self.until(lambda me: bool(me.kinds) and me.kinds[-1] == "CAUGHT_UP")

    async def refusal(self) -> Answer:
        """How it ends, after whatever comes before."""
        try:
            while True:
                await self.next()
        except grpc.aio.AioRpcError as error:
            return answer_of(error)

    def cancel(self) -> None:
        """Ends it."""
        self._call.cancel()


@asynccontextmanager
async def subscriber(address: str) -> AsyncIterator[Callable[..., Follower]]:
    """Begins subscriptions on a connection of their own; arguments are fields of the request."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        stub = subscriptions_pb2_grpc.SubscriptionsStub(channel)

        def subscribe(**fields: Any) -> Follower:
            return Follower(stub.Subscribe(pb.SubscribeRequest(**fields)))

        yield subscribe


async def append(
    client: eventfold.AsyncClient, stream: str, count: int = 1, type_: str = "T", size: int = 0
) -> int:
    """Appends events in one append; position of the last."""
    done = 0
    while done < count:
        part = min(count - done, 500, max(1, 2_000_000 // (size + 100)))
        events = [eventfold.Event(type_, {"n": done + n, "fill": "x" * size}) for n in range(part)]
        result = await client.append(stream, events, expected_version=eventfold.ANY)
        done += part
    return result.positions[-1]


def stored(address: str) -> list[store_pb.RecordedEvent]:
    """The whole log, as ReadAll has it."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        parts = stub.ReadAll(store_pb.ReadAllRequest(include_system_events=True), timeout=60)
        return [event for part in parts for event in part.events]
