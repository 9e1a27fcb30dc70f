"""What a second worker brings: calls a second, and the CPU that a call costs in each part.

Each of CLIENTS processes has a connection of its own and some calls in flight. Servers with one and
with two workers take turns. CPU time is read from /proc, so this runs on Linux only:

    python benchmarks/workers.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
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
import stores
from figures import Writer, machine

import eventfold

WORKERS = (1, 2)
CLIENTS = 8
IN_FLIGHT_EACH = 4
ROUNDS = 5
ROUND_S = 3.0
STREAM_EVENTS = 100
SCENARIOS = ("append 1 event", f"hydrate {STREAM_EVENTS} events")


@dataclass(frozen=True)
class WorkersFigure:
    """Medians of the rounds of one scenario with so many workers."""

    scenario: str
    workers: int
    calls_per_second: float
    lowest_per_second: float
    highest_per_second: float
    # CPU time in milliseconds that one call costs; of all processes of the part together.
    workers_cpu_ms: float
    postgres_cpu_ms: float
    clients_cpu_ms: float
    # Cores that were busy with all of it.
    cores_busy: float


@dataclass(frozen=True)
class _Round:
    calls: int
    seconds: float
    workers_cpu_s: float
    postgres_cpu_s: float
    clients_cpu_s: float


def workers() -> list[WorkersFigure]:
    """Runs the scenarios with each number of workers in turn."""
    with contextlib.ExitStack() as stack:
        found: dict[int, tuple[str, int]] = {}
        for count in WORKERS:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="eventfold-bench-"))
            Path(name).chmod(0o711)
            store = stack.enter_context(stores.eventfold(Path(name), "--workers", str(count)))
            [pid] = store.watched.roots
            found[count] = (store.url, pid)
            with eventfold.Client(store.url) as client:
                client.put_fold(data.COLD_FOLD)
                for number in range(CLIENTS):
                    events = [
                        eventfold.Event(data.event_type(booking), data.event_data(booking))
                        for booking in range(STREAM_EVENTS)
                    ]
                    client.append(f"account-{number}", events, expected_version=0)
        figures = []
        for scenario in SCENARIOS:
            rounds: dict[int, list[_Round]] = {count: [] for count in WORKERS}
            for number in range(ROUNDS + 1):
                for count, (address, pid) in found.items():
                    one = _round(scenario, address, pid)
                    if number:
                        rounds[count].append(one)
            print(f"\n{scenario}, {CLIENTS} clients with {IN_FLIGHT_EACH} in flight each")
            figures += [_figure(scenario, count, rounds[count]) for count in WORKERS]
    return figures


def _figure(scenario: str, count: int, rounds: list[_Round]) -> WorkersFigure:
    def median_ms(part: str) -> float:
        return statistics.median(getattr(one, part) / one.calls * 1000 for one in rounds)

    rates = [one.calls / one.seconds for one in rounds]
    figure = WorkersFigure(
        scenario=scenario,
        workers=count,
        calls_per_second=statistics.median(rates),
        lowest_per_second=min(rates),
        highest_per_second=max(rates),
        workers_cpu_ms=median_ms("workers_cpu_s"),
        postgres_cpu_ms=median_ms("postgres_cpu_s"),
        clients_cpu_ms=median_ms("clients_cpu_s"),
        cores_busy=statistics.median(
            (one.workers_cpu_s + one.postgres_cpu_s + one.clients_cpu_s) / one.seconds
            for one in rounds
        ),
    )
    print(
        f"  {count} worker{'s' if count > 1 else ' '}  {figure.calls_per_second:>7,.0f}/s"
        f"  ({figure.lowest_per_second:,.0f} to {figure.highest_per_second:,.0f})"
        f"  CPU a call: server {figure.workers_cpu_ms:.3f} ms,"
        f" PostgreSQL {figure.postgres_cpu_ms:.3f} ms, clients {figure.clients_cpu_ms:.3f} ms"
        f"  ({figure.cores_busy:.2f} cores busy)",
        flush=True,
    )
    return figure


def _round(scenario: str, address: str, server_pid: int) -> _Round:
    """Lets all clients call for ROUND_S."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_client(scenario, address, n)) for n in range(CLIENTS)]
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        before, began = _cpu_seconds(server_pid), time.perf_counter()
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
            client.stdin.flush()
        said = [json.loads(client.stdout.readline()) for client in clients if client.stdout]
        seconds, after = time.perf_counter() - began, _cpu_seconds(server_pid)
    return _Round(
        calls=sum(one["calls"] for one in said),
        seconds=seconds,
        workers_cpu_s=after[0] - before[0],
        postgres_cpu_s=after[1] - before[1],
        clients_cpu_s=sum(one["cpu_s"] for one in said),
    )


def _cpu_seconds(server_pid: int) -> tuple[float, float]:
    """CPU time of the server with its workers, and of its PostgreSQL with what it has ended."""
    server, postgres = _seconds(server_pid), 0.0
    for pid in _children(server_pid):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres":
            postgres += cpu_seconds_of_family(pid)
        else:
            server += _seconds(pid)
    return server, postgres


def cpu_seconds_of_family(pid: int) -> float:
    """CPU time of a process and its children, and of what they have ended."""
    return sum(_seconds(one) for one in (pid, *_children(pid)))


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(one) for task in tasks.iterdir() for one in (task / "children").read_text().split()]


def _seconds(pid: int) -> float:
    """User and system time, also of children that have ended."""
    # Parentheses end the command's name; the state is the first field after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _client(scenario: str, address: str, number: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, scenario, address, str(number)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def _call_for_a_round(scenario: str, address: str, number: int) -> None:
    """A client process: tells that it is ready, waits for a word, calls, tells what it did."""
    calls = 0
    async with eventfold.AsyncClient(address, timeout=30) as client:
        await client.hydrate(f"account-{number}", fold="cold")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began, cpu_began = time.perf_counter(), _own_cpu_seconds()

        async def append() -> None:
            nonlocal calls
            stream, version = f"bench-{uuid.uuid4()}", 0
            while time.perf_counter() - began < ROUND_S:
                events = [eventfold.Event("MoneyDeposited", data.event_data(version))]
                await client.append(stream, events, expected_version=version)
                version += 1
                calls += 1

        async def hydrate() -> None:
            nonlocal calls
            while time.perf_counter() - began < ROUND_S:
                await client.hydrate(f"account-{number}", fold="cold")
                calls += 1

        call = append if scenario.startswith("append") else hydrate
        await asyncio.gather(*(call() for _ in range(IN_FLIGHT_EACH)))
        print(json.dumps({"calls": calls, "cpu_s": _own_cpu_seconds() - cpu_began}), flush=True)


def _own_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_call_for_a_round(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        results = Writer(Path(__file__).with_name("results") / "workers.jsonl", machine({}))
        for one in workers():
            results.write("workers", one)
