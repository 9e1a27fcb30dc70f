"""Goal: whoever appended can have what they wrote read by any server, within the deadline.

Method: two servers on one store; reads through the one with positions from the other; the counter
held by a raw transaction, so that a position cannot be there yet.
"""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest
from tests.integration.server.conftest import Starter
from tests.support.raw import answer_of
from tests.support.subscriptions import append

import eventfold
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc, folds_pb2, folds_pb2_grpc

FOLD = "fold: n\ninitial: {n: 0}\nhandlers: {T: {n: state.n + 1}}\n"


class Reads:
    """The reads that wait, each as a function of position and deadline."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._store = event_store_pb2_grpc.EventStoreStub(channel)
        self._folds = folds_pb2_grpc.FoldsStub(channel)

    async def read(self, position: int, within_s: float) -> int:
        request = pb.ReadRequest(stream="a-1", at_least_position=position)
        return sum([len(m.events) async for m in self._store.Read(request, timeout=within_s)])

    async def read_all(self, position: int, within_s: float) -> int:
        request = pb.ReadAllRequest(at_least_position=position)
        return sum([len(m.events) async for m in self._store.ReadAll(request, timeout=within_s)])

    async def hydrate(self, position: int, within_s: float) -> int:
        request = folds_pb2.HydrateRequest(stream="a-1", at_least_position=position)
        request.fold.source = FOLD
        answer = await self._folds.Hydrate(request, timeout=within_s)
        return int(answer.version)

    async def hydrate_many(self, position: int, within_s: float) -> int:
        request = folds_pb2.HydrateManyRequest(streams=["a-1"], at_least_position=position)
        request.fold.source = FOLD
        [answer] = [one async for one in self._folds.HydrateMany(request, timeout=within_s)]
        return int(answer.streams[0].hydrated.version)


@pytest.mark.parametrize("name", ["read", "read_all", "hydrate", "hydrate_many"])
async def test_a_read_sees_what_was_written_through_another_server(
    start: Starter, name: str
) -> None:
    server = start()
    other = start(schema=server.options["schema"])
    async with (
        eventfold.AsyncClient(server.address) as client,
        grpc.aio.insecure_channel(other.address) as channel,
    ):
        read = getattr(Reads(channel), name)
        for _ in range(10):
            position = await append(client, "a-1")
            assert await read(position, 10) == position
        # One that asks before it is written waits for it.
        early = asyncio.create_task(read(position + 3, 10))
        await asyncio.sleep(0.3)
        assert not early.done()
        await append(client, "a-1", 3)
        assert await early == position + 3
        # A position that is not reached in time.
        began = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(position + 100, 3)
        refused = answer_of(caught.value)
        assert 2.5 < time.monotonic() - began < 30
        assert (refused.code, refused.reason) == ("DEADLINE_EXCEEDED",) * 2
        assert 2_800 < int(refused.facts.pop("deadline_ms")) < 3_100
        assert refused.facts == {"requested": str(position + 100), "head": str(position + 3)}
