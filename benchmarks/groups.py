"""How fast a consumer group is: events a second that 1, 4 and 16 consumers take and acknowledge,
and the CPU that an event costs in each part; a part of `make bench-subscriptions`.

Consumers are raw gRPC clients in CLIENTS processes, which this file is the program of. Each grants
CREDITS, and acknowledges every message whole. The log is full before they begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import grpc
from figures import Consumption
from harness import CELL_SPARE_S, WARM_UP_SHARE, Driver, Fault
from stores import Store

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold.v1 import consumer_groups_pb2_grpc

ORDERS = ("ordered", "unordered")
CONSUMERS = (1, 4, 16)
CLIENTS = 4
CREDITS = 500


class _Round:
    """What all consumers did, and what it cost."""

    def __init__(
        self, said: Sequence[dict[str, float]], before: dict[str, float], after: dict[str, float]
    ) -> None:
        self.events = int(sum(one["events"] for one in said))
        self.elapsed_s = max(one["elapsed_s"] for one in said)
        self.client_cpu_s = sum(one["cpu_s"] for one in said)
        self.server_cpu_s = after["server"] - before["server"]
        self.postgres_cpu_s = after["postgres"] - before["postgres"]


def groups(
    store: Store, seconds: float, rounds: int, consumers: Sequence[int] = CONSUMERS
) -> list[Consumption]:
    """Runs with each number of consumers in turn, each time a group of its own."""
    found = []
    for order in ORDERS:
        done: dict[int, list[_Round]] = {count: [] for count in consumers}
        for number in range(rounds + 1):
            for count in consumers:
                length = seconds if number else seconds * WARM_UP_SHARE
                one = _round(store, order, count, length)
                if number:
                    if not one.events:
                        raise Fault(f"{count} consumers of a group acknowledged nothing")
                    done[count].append(one)
        print(f"\ngroup, {order}, credits {CREDITS}")
        found += [_consumption(order, count, done[count]) for count in consumers]
    return found


def _consumption(order: str, count: int, rounds: Sequence[_Round]) -> Consumption:
    rates = [one.events / one.elapsed_s for one in rounds]
    events = sum(one.events for one in rounds)
    found = Consumption(
        order=order,
        consumers=count,
        rate=statistics.median(rates),
        rate_lowest=min(rates),
        rate_highest=max(rates),
        events=events,
        client_us=sum(one.client_cpu_s for one in rounds) / events * 1e6,
        server_us=sum(one.server_cpu_s for one in rounds) / events * 1e6,
        postgres_us=sum(one.postgres_cpu_s for one in rounds) / events * 1e6,
        rounds=len(rounds),
    )
    print(
        f"  {count:>2} consumer{'s' if count > 1 else ' '}  {found.rate:>7,.0f}/s"
        f"  ({found.rate_lowest:,.0f} to {found.rate_highest:,.0f})"
        f"  CPU an event: server {found.server_us:.1f} us,"
        f" PostgreSQL {found.postgres_us:.1f} us, clients {found.client_us:.1f} us",
        flush=True,
    )
    return found


def _round(store: Store, order: str, consumers: int, seconds: float) -> _Round:
    """Lets all consumers consume for so long."""
    group = f"bench-{uuid.uuid4()}"
    with grpc.insecure_channel(store.url.removeprefix("http://")) as channel:
        stub = consumer_groups_pb2_grpc.ConsumerGroupsStub(channel)
        settings = pb.GroupSettings(unordered=order == "unordered")
        stub.CreateGroup(pb.CreateGroupRequest(name=group, settings=settings))
    clients = min(CLIENTS, consumers)
    with contextlib.ExitStack() as stack:
        drivers = [
            stack.enter_context(contextlib.closing(Driver([sys.executable, __file__, *words])))
            for words in [(store.url, group, str(consumers // clients))] * clients
        ]
        for driver in drivers:
            driver.ask(CELL_SPARE_S, seconds=0)
        before = store.watched.cpu_seconds()
        for driver in drivers:
            driver.tell(seconds=seconds)
        said = [driver.answer(seconds + CELL_SPARE_S) for driver in drivers]
        after = store.watched.cpu_seconds()
    return _Round(said, before, after)


class _Consumers:
    """The consumers of one process."""

    def __init__(self, stub: consumer_groups_pb2_grpc.ConsumerGroupsStub, group: str) -> None:
        self._stub = stub
        self._group = group
        self._acknowledged = 0
        self._last = time.perf_counter()

    async def consume(self, consumers: int, seconds: float) -> dict[str, float]:
        """What all of them acknowledged within so long, or until there was nothing more."""
        began, cpu_began = time.perf_counter(), time.process_time()
        self._last = began
        await asyncio.gather(*(self._consume(seconds) for _ in range(consumers)))
        return {
            "events": self._acknowledged,
            # A log that ended early is no slow one.
            "elapsed_s": self._last - began,
            "cpu_s": time.process_time() - cpu_began,
        }

    async def _consume(self, seconds: float) -> None:
        # The stubs' types are those of blocking calls.
        call: Any = self._stub.Consume()  # type: ignore[call-arg]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                start = pb.ConsumeStart(group=self._group, consumer="bench")
                await call.write(pb.ConsumeRequest(start=start, credits=CREDITS))
                while True:
                    await self._settle(call, await call.read())
        call.cancel()

    async def _settle(self, call: Any, message: pb.ConsumeResponse) -> None:
        for answer in message.answers:
            assert answer.HasField("settled")
            self._acknowledged += answer.number
            self._last = time.perf_counter()
        if message.events:
            count = len(message.events)
            settlement = pb.Settlement(
                # So that the answer says how many events it stands for.
                number=count,
                action=pb.SETTLE_ACTION_ACK,
                positions=[event.position for event in message.events],
                leases=message.leases,
            )
            await call.write(pb.ConsumeRequest(credits=count, settlements=[settlement]))


async def _serve(address: str, group: str, consumers: int) -> None:
    """A client process: a line says for how many seconds to consume; 0: it only connects."""
    async with grpc.aio.insecure_channel(address.removeprefix("http://")) as channel:
        stub = consumer_groups_pb2_grpc.ConsumerGroupsStub(channel)
        await channel.channel_ready()
        while line := await asyncio.to_thread(sys.stdin.readline):
            seconds = json.loads(line)["seconds"]
            said = await _Consumers(stub, group).consume(consumers, seconds) if seconds else {}
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
