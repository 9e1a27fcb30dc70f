"""Runs candidates in turn, cell by cell, and sums up what they say."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import figures
from figures import Figure, Round, Size
from processes import start, stop
from stores import Store
from workloads import Workload

ROUNDS = 5
# The round before those that count is shorter: it fills caches, plans and connections.
WARM_UP_SHARE = 0.3
# A cell that takes so much longer than it should hangs; so does a load.
CELL_SPARE_S = 90.0
LOAD_S_MAX = 900.0


class Fault(Exception):
    """A driver could not do its cell."""


class Driver:
    """A process that drives one store; see `drivers/protocol.py`. Started again when it died."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._command = command
        self._process = self._start()

    def _start(self) -> Any:
        return start(
            self._command, signal.SIGKILL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, timeout_s: float, **request: Any) -> dict[str, Any]:
        """A line there and a line back; a driver that takes longer is killed."""
        self.tell(**request)
        return self.answer(timeout_s)

    def tell(self, **request: Any) -> None:
        """A line there: for several drivers that work at a time."""
        if self._process.poll() is not None:
            self._process = self._start()
        # One that died meanwhile gives no answer.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def answer(self, timeout_s: float) -> dict[str, Any]:
        """The line back."""
        killer = threading.Timer(timeout_s, self._process.kill)
        killer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            killer.cancel()
        if not line:
            status = self._process.wait()
            raise Fault(f"the driver ended with status {status}, after at most {timeout_s:.0f} s")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise Fault(found["error"])
        return found

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        stop(self._process)


@dataclass
class Candidate:
    """One column of the report."""

    name: str
    driver: Driver
    store: Store | None
    # The `do` of requests that it can answer.
    does: frozenset[str]
    # Why it is driven as it is: for the report.
    note: str = ""
    # Workloads that failed once are not tried again.
    failed: set[str] = field(default_factory=set)

    def cell(self, workload: Workload, seconds: float) -> Round:
        """One round of one workload."""
        before = self._cpu()
        found = self.driver.ask(seconds + CELL_SPARE_S, **workload.request, seconds=seconds)
        after = self._cpu()
        if workload.result is not None and found["result"] != workload.result:
            raise Fault(f"returned {found['result']} instead of {workload.result}")
        return Round(
            operations=found["operations"],
            elapsed_s=found["elapsed_s"],
            latencies_us=found["latencies_us"],
            client_cpu_s=found["cpu_s"],
            server_cpu_s=after["server"] - before["server"],
            postgres_cpu_s=after["postgres"] - before["postgres"],
        )

    def _cpu(self) -> dict[str, float]:
        if self.store is None:
            return {"server": 0.0, "postgres": 0.0}
        return self.store.watched.cpu_seconds()


def compare(
    candidates: Sequence[Candidate],
    workloads: Sequence[Workload],
    *,
    seconds: float,
    rounds: int,
    writer: figures.Writer,
) -> list[Figure]:
    """Each workload: all candidates in turn, `rounds` times after one that does not count.

    Every round begins with another candidate, so that none always follows the same one. A candidate
    that fails at a workload is left out of it, with the reason in the results.
    """
    found = []
    for workload in workloads:
        able = [one for one in candidates if workload.request["do"] in one.does]
        cells: dict[str, list[Round]] = {one.name: [] for one in able}
        for number in range(rounds + 1):
            turn = number % len(able) if able else 0
            for candidate in able[turn:] + able[:turn]:
                if workload.name in candidate.failed:
                    continue
                length = seconds if number else seconds * WARM_UP_SHARE
                try:
                    cell = candidate.cell(workload, length)
                except Fault as fault:
                    candidate.failed.add(workload.name)
                    note_fault(writer, workload.name, candidate.name, fault)
                    continue
                if number:
                    cells[candidate.name].append(cell)
        done = [
            figures.figure(workload.name, one.name, workload.events, cells[one.name])
            for one in able
            if workload.name not in one.failed and cells[one.name]
        ]
        for one in done:
            writer.write("figure", one)
        _print(done)
        found += done
    return found


def note_fault(writer: figures.Writer, workload: str, candidate: str, fault: Fault) -> None:
    """A cell that is no figure, with the reason."""
    record = {"workload": workload, "candidate": candidate, "why": str(fault)}
    writer.write("fault", record)
    print(f"  {candidate} failed at {workload}: {fault}", file=sys.stderr, flush=True)


def _print(found: Sequence[Figure]) -> None:
    if not found:
        return
    width = max(len(one.candidate) for one in found)
    print(f"\n{found[0].workload}")
    for one in found:
        print(
            f"  {one.candidate:<{width}}  {one.events_a_second:>12,.0f} events/s"
            f"  ({one.rate_lowest * one.events:,.0f} to {one.rate_highest * one.events:,.0f})"
            f"  p50 {one.p50_ms:.3g}  p99 {one.p99_ms:.3g}  p99.9 {one.p999_ms:.3g} ms"
            f"  cpu {one.client_us:.0f}/{one.server_us:.0f}/{one.postgres_us:.0f} us",
            flush=True,
        )


def load(jobs: Sequence[tuple[Candidate, int]], writer: figures.Writer) -> dict[str, Size]:
    """Fills stores, as many at a time as there are cores, and says what they take on disk.

    A candidate that is missing in the answer could not be filled; the results say why.
    """

    def fill(job: tuple[Candidate, int]) -> Size | Fault:
        candidate, events = job
        try:
            found = candidate.driver.ask(LOAD_S_MAX, do="load", events=events)
        except Fault as fault:
            return fault
        store = candidate.store
        assert store is not None
        store.settle()
        return Size(candidate.name, events, found["elapsed_s"], store.data_bytes() / events)

    sizes = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for (candidate, events), size in zip(jobs, pool.map(fill, jobs), strict=True):
            if isinstance(size, Fault):
                note_fault(writer, f"filling with {events:,} events", candidate.name, size)
                continue
            sizes[candidate.name] = size
            writer.write("size", size)
            print(
                f"{size.candidate}: {size.events:,} events in {size.load_s:.0f} s,"
                f" {size.bytes_an_event:.0f} bytes an event on disk",
                flush=True,
            )
    return sizes
