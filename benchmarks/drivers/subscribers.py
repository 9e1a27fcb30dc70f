"""Many subscribers of one server in one process, over plain gRPC.

A line there and a line back, as in `protocol.py`, but of other words:

    {"do": "open", "subscribers": 100}      follow from now on; answered when all have caught up
    {"do": "stall", "subscribers": 100, "live": false}
                                            read one frame, or up to the head, and no more of it
    {"do": "received", "position": 17}      when each had the event: {"at": [...], "cpu_s": 0.1}
    {"do": "close"}                         end all of them

Times are those of CLOCK_MONOTONIC, which all processes of a machine share; `cpu_s` is the CPU time
of this process so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import traceback
from typing import Any

import grpc
import uvloop
from google.protobuf.empty_pb2 import Empty

from eventfold.v1 import subscriptions_pb2 as pb
from eventfold.v1 import subscriptions_pb2_grpc

# A server bounds the calls of one connection.
SUBSCRIBERS_A_CONNECTION = 50
_OPTIONS = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Else all channels of a process share a connection.
    ("grpc.use_local_subchannel_pool", 1),
]


class _Subscriber:
    """A subscription that notes when events came."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._caught_up = asyncio.Event()
        self._changed = asyncio.Condition()
        self._received_at: dict[int, float] = {}
        self._reader: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Reads on in the background; returns when the head is reached."""
        self._reader = asyncio.create_task(self._read())
        caught_up = asyncio.create_task(self._caught_up.wait())
        await asyncio.wait((self._reader, caught_up), return_when=asyncio.FIRST_COMPLETED)
        if self._reader.done():
            await self._reader

    async def _read(self) -> None:
        while (frame := await self._call.read()) is not grpc.aio.EOF:
            now = time.perf_counter()
            if frame.kind == pb.FRAME_KIND_CAUGHT_UP:
                self._caught_up.set()
            if frame.events:
                for event in frame.events:
                    self._received_at[event.position] = now
                async with self._changed:
                    self._changed.notify_all()
        raise RuntimeError(f"the subscription ended: {await self._call.code()}")

    async def received(self, position: int) -> float:
        """When the event came; waits for it. What came before is forgotten."""
        async with self._changed:
            await self._changed.wait_for(lambda: position in self._received_at)
        at = self._received_at[position]
        self._received_at = {p: t for p, t in self._received_at.items() if p > position}
        return at

    async def stall(self, live: bool) -> None:
        """Reads one frame, or up to the head, and no more."""
        while (await self._call.read()).kind != pb.FRAME_KIND_CAUGHT_UP:
            if not live:
                return

    async def close(self) -> None:
        """Ends it."""
        self._call.cancel()
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, RuntimeError):
                await self._reader


class _Process:
    """All subscribers of this process."""

    def __init__(self, address: str) -> None:
        self._target = address.removeprefix("http://")
        self._channels: list[grpc.aio.Channel] = []
        self._subscribers: list[_Subscriber] = []

    async def do(self, request: dict[str, Any]) -> dict[str, Any]:
        """One line of the harness."""
        at: list[float] = []
        match request["do"]:
            case "open":
                new = self._begin(request["subscribers"], pb.SubscribeRequest(now=Empty()))
                await asyncio.gather(*(one.follow() for one in new))
            case "stall":
                live = request["live"]
                start = pb.SubscribeRequest(now=Empty()) if live else pb.SubscribeRequest()
                new = self._begin(request["subscribers"], start)
                await asyncio.gather(*(one.stall(live) for one in new))
            case "received":
                position = request["position"]
                at = await asyncio.gather(*(one.received(position) for one in self._subscribers))
            case "close":
                await self._close()
        return {"at": at, "cpu_s": time.process_time()}

    def _begin(self, count: int, start: pb.SubscribeRequest) -> list[_Subscriber]:
        new = []
        for first in range(0, count, SUBSCRIBERS_A_CONNECTION):
            channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
            self._channels.append(channel)
            stub = subscriptions_pb2_grpc.SubscriptionsStub(channel)
            for _ in range(first, min(first + SUBSCRIBERS_A_CONNECTION, count)):
                new.append(_Subscriber(stub.Subscribe(start)))
        self._subscribers += new
        return new

    async def _close(self) -> None:
        for one in self._subscribers:
            await one.close()
        for channel in self._channels:
            await channel.close()
        self._subscribers, self._channels = [], []


async def _serve(address: str) -> None:
    process = _Process(address)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            found = await process.do(json.loads(line))
        except Exception as fault:  # noqa: BLE001 - the harness says what failed
            traceback.print_exc()
            found = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
