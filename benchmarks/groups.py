"""How fast a consumer group is: events a second that 1, 4 and 16 consumers take and acknowledge,
and the CPU that an event costs in each part.

Consumers are raw gRPC clients in CLIENTS processes. Each grants CREDITS, and acknowledges every
message whole. The log is full before they begin. CPU time is read from /proc, so this runs on
Linux only:

    python benchmarks/groups.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import data
import grpc
import stores
from figures import Writer, machine
from workers import _cpu_seconds, _own_cpu_seconds

import eventfold
from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold.v1 import consumer_groups_pb2_grpc

CONSUMERS = (1, 4, 16)
CLIENTS = 4
CREDITS = 500
EVENTS = 200_000
STREAMS = 5_000
ROUNDS = 3
ROUND_S = 4.0


@dataclass(frozen=True)
class GroupsFigure:
    """Medians of the rounds with so many consumers."""

    scenario: str
    consumers: int
    events_per_second: float
    lowest_per_second: float
    highest_per_second: float
    # CPU time in microseconds that one event costs; of all processes of the part together.
    server_cpu_us: float
    postgres_cpu_us: float
    clients_cpu_us: float


@dataclass(frozen=True)
class _Round:
    events: int
    seconds: float
    server_cpu_s: float
    postgres_cpu_s: float
    clients_cpu_s: float


def groups() -> list[GroupsFigure]:
    """Runs with each number of consumers in turn, each time a group of its own."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="eventfold-bench-"))
        Path(name).chmod(0o711)
        store = stack.enter_context(stores.eventfold(Path(name)))
        [pid] = store.watched.roots
        _fill(store.url)
        figures = []
        for scenario in ("ordered", "unordered"):
            rounds: dict[int, list[_Round]] = {count: [] for count in CONSUMERS}
            for _ in range(ROUNDS):
                for count in CONSUMERS:
                    rounds[count].append(_round(store.url, pid, scenario, count))
            print(f"\n{scenario}, {EVENTS:,} events in {STREAMS:,} streams, credits {CREDITS}")
            figures += [_figure(scenario, count, rounds[count]) for count in CONSUMERS]
    return figures


def _fill(address: str) -> None:
    each = EVENTS // STREAMS
    with eventfold.Client(address, timeout=60) as client:
        for part in range(0, each, 10):
            for first in range(0, STREAMS, 100):
                client.append_many(
                    [
                        eventfold.StreamAppend(
                            f"account-{number}",
                            [
                                eventfold.Event(data.event_type(n), data.event_data(n))
                                for n in range(part, part + 10)
                            ],
                            expected_version=part,
                        )
                        for number in range(first, first + 100)
                    ]
                )


def _figure(scenario: str, count: int, rounds: list[_Round]) -> GroupsFigure:
    def median_us(part: str) -> float:
        return statistics.median(getattr(one, part) / one.events * 1e6 for one in rounds)

    rates = [one.events / one.seconds for one in rounds]
    figure = GroupsFigure(
        scenario=scenario,
        consumers=count,
        events_per_second=statistics.median(rates),
        lowest_per_second=min(rates),
        highest_per_second=max(rates),
        server_cpu_us=median_us("server_cpu_s"),
        postgres_cpu_us=median_us("postgres_cpu_s"),
        clients_cpu_us=median_us("clients_cpu_s"),
    )
    print(
        f"  {count:>2} consumer{'s' if count > 1 else ' '}  {figure.events_per_second:>7,.0f}/s"
        f"  ({figure.lowest_per_second:,.0f} to {figure.highest_per_second:,.0f})"
        f"  CPU an event: server {figure.server_cpu_us:.1f} us,"
        f" PostgreSQL {figure.postgres_cpu_us:.1f} us, clients {figure.clients_cpu_us:.1f} us",
        flush=True,
    )
    return figure


def _round(address: str, server_pid: int, scenario: str, consumers: int) -> _Round:
    """Lets all consumers consume for ROUND_S."""
    group = f"bench-{uuid.uuid4()}"
    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        stub = consumer_groups_pb2_grpc.ConsumerGroupsStub(channel)
        settings = pb.GroupSettings(unordered=scenario == "unordered")
        stub.CreateGroup(pb.CreateGroupRequest(name=group, settings=settings))
    clients = min(CLIENTS, consumers)
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(_client(address, group, consumers // clients))
            for _ in range(clients)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        before, began = _cpu_seconds(server_pid), time.perf_counter()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [json.loads(one.stdout.readline()) for one in processes if one.stdout]
        seconds, after = time.perf_counter() - began, _cpu_seconds(server_pid)
    return _Round(
        events=sum(one["events"] for one in said),
        seconds=seconds,
        server_cpu_s=after[0] - before[0],
        postgres_cpu_s=after[1] - before[1],
        clients_cpu_s=sum(one["cpu_s"] for one in said),
    )


@contextlib.contextmanager
def _client(address: str, group: str, consumers: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, address, group, str(consumers)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def _consume_for_a_round(address: str, group: str, consumers: int) -> None:
    """A client process: tells that it is ready, waits for a word, consumes, tells what it did."""
    acknowledged = 0
    async with grpc.aio.insecure_channel(address.removeprefix("http://")) as channel:
        stub = consumer_groups_pb2_grpc.ConsumerGroupsStub(channel)
        await channel.channel_ready()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began, cpu_began = time.perf_counter(), _own_cpu_seconds()

        async def consume() -> None:
            nonlocal acknowledged
            call = stub.Consume()
            start = pb.ConsumeStart(group=group, consumer="bench")
            await call.write(pb.ConsumeRequest(start=start, credits=CREDITS))
            while time.perf_counter() - began < ROUND_S:
                message = await call.read()
                for answer in message.answers:
                    assert answer.HasField("settled")
                    acknowledged += answer.number
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
            call.cancel()

        await asyncio.gather(*(consume() for _ in range(consumers)))
        cpu_s = _own_cpu_seconds() - cpu_began
        print(json.dumps({"events": acknowledged, "cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_consume_for_a_round(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        results = Writer(Path(__file__).with_name("results") / "groups.jsonl", machine({}))
        for one in groups():
            results.write("groups", one)
