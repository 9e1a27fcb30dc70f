"""Queries of projections: how long they take, alone and during a rebuild, and how soon an append
is in them; parts of `make bench-projections`.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import data
import grpc
from figures import Asked, Visible, percentile
from harness import WARM_UP_SHARE, Fault
from projection_run import CALL_S, Run

import eventfold
from eventfold.v1 import projections_pb2 as pb
from eventfold.v1.projections_pb2_grpc import ProjectionsStub

SAME, ANOTHER = "same server", "another server"
# Between two appends: so long that nothing of the one before is on its way.
PAUSE_S = (0.005, 0.015)
# While a rebuild runs: a pause of each writer and of each who asks.
LOAD_PAUSE_S = 0.01
LOAD_WRITERS = 2
LOAD_QUERIERS = 2
PAGE_ROWS = 100


@dataclass
class Load:
    """Writers and queries that go on while something is measured."""

    run: Run
    stop: threading.Event = field(default_factory=threading.Event)
    appended: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Until the block ends; what failed meanwhile is raised."""
        work = [self._append] * LOAD_WRITERS + [self._ask] * LOAD_QUERIERS
        threads = [threading.Thread(target=self._guarded, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        if self.faults:
            raise Fault(f"{len(self.faults)} calls failed, the first: {self.faults[0]}")

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001 - raised in the main thread
            self.faults.append(fault)

    def _append(self) -> None:
        with eventfold.Client(self.run.own.url) as store:
            stream, version = f"{data.CATEGORY}-{uuid.uuid4().hex}", 0
            while not self.stop.wait(LOAD_PAUSE_S):
                events = [
                    eventfold.Event(data.event_type(n), data.event_data(n))
                    for n in range(version, version + data.RUN_LENGTH)
                ]
                store.append(stream, events, expected_version=version)
                version += len(events)
                self.appended += len(events)

    def _ask(self) -> None:
        while not self.stop.wait(LOAD_PAUSE_S):
            begin = time.perf_counter()
            _KINDS["100 rows by a range of an indexed column"](self.run)
            self.latencies_ms.append((time.perf_counter() - begin) * 1000)


def visible(run: Run) -> None:
    """From the call of an append, and from its answer, until a query returned the row."""
    found: dict[str, list[tuple[float, float]]] = {SAME: [], ANOTHER: []}
    medians: dict[str, list[float]] = {SAME: [], ANOTHER: []}
    for number in range(run.options.rounds + 1):
        for through, store in ((SAME, run.own), (ANOTHER, run.another)):
            with grpc.insecure_channel(store.url) as channel:
                times = _appends_seen(run, ProjectionsStub(channel), number)
            if number:
                found[through] += times
                medians[through].append(statistics.median(after for _, after in times))
    print("\nfrom an append to its row in a query")
    for through, times in found.items():
        whole = sorted(one for one, _ in times)
        after = sorted(one for _, one in times)
        one = Visible(
            through=through,
            appends=len(times),
            whole_p50_ms=percentile(whole, 0.5),
            whole_p99_ms=percentile(whole, 0.99),
            p50_ms=percentile(after, 0.5),
            p99_ms=percentile(after, 0.99),
            lowest_ms=min(medians[through]),
            highest_ms=max(medians[through]),
        )
        run.writer.write("visible", one)
        print(
            f"  {through:<14}  from the answer p50 {one.p50_ms:.3g} p99 {one.p99_ms:.3g} ms"
            f"  from the call p50 {one.whole_p50_ms:.3g} p99 {one.whole_p99_ms:.3g} ms",
            flush=True,
        )


def _appends_seen(run: Run, stub: ProjectionsStub, number: int) -> list[tuple[float, float]]:
    stream = f"{data.CATEGORY}-{uuid.uuid4().hex}"
    times = []
    with eventfold.Client(run.own.url) as client:
        for version in range(run.options.visible if number else min(20, run.options.visible)):
            time.sleep(random.uniform(*PAUSE_S))
            event = eventfold.Event(data.event_type(version), data.event_data(version))
            begin = time.perf_counter()
            appended = client.append(stream, [event], expected_version=version)
            answered = time.perf_counter()
            request = pb.QueryProjectionRequest(
                name="accounts",
                filter=f"key == '{stream}'",
                at_least_position=appended.positions[0],
            )
            rows = stub.QueryProjection(request, timeout=CALL_S).rows
            end = time.perf_counter()
            if [row.version for row in rows] != [version + 1]:
                raise Fault(f"a query that waited for {appended.positions[0]} had not its row")
            times.append(((end - begin) * 1000, (end - answered) * 1000))
    return times


def _query(filter_of: Callable[[Run], str], **fields: Any) -> Callable[[Run], int]:
    def ask(run: Run) -> int:
        request = pb.QueryProjectionRequest(
            name="accounts", filter=filter_of(run), page_size=PAGE_ROWS, **fields
        )
        return len(run.stub.QueryProjection(request, timeout=CALL_S).rows)

    return ask


def _fillers(run: Run) -> int:
    return data.fillers_within(run.options.events)


def _count(run: Run) -> int:
    request = pb.CountProjectionRequest(name="accounts", filter="balance > 100")
    return run.stub.CountProjection(request, timeout=CALL_S).rows


_KINDS: dict[str, Callable[[Run], int]] = {
    "1 row by its key": _query(
        lambda run: f"key == '{data.filler(random.randrange(_fillers(run)))}'"
    ),
    "100 rows by a range of an indexed column": _query(
        lambda _: f"balance > {random.randrange(100)}",
        order=[pb.RowOrder(column="balance")],
    ),
    "100 rows by key": _query(lambda _: ""),
    "a count of all rows above a value": _count,
}


def queries(run: Run) -> None:
    """Each kind in turn by one caller, one after the other."""
    latencies: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    medians: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for number in range(run.options.rounds + 1):
        for kind, ask in _KINDS.items():
            times: list[float] = []
            length = run.options.seconds * (1 if number else WARM_UP_SHARE)
            deadline = time.perf_counter() + length
            while not times or time.perf_counter() < deadline:
                begin = time.perf_counter()
                if not ask(run):
                    raise Fault(f"{kind}: nothing was found")
                times.append((time.perf_counter() - begin) * 1000)
            if number:
                latencies[kind] += times
                medians[kind].append(statistics.median(times))
    print("\nqueries")
    for kind, times in latencies.items():
        tell_asked(run, kind, times, medians[kind])


def tell_asked(run: Run, kind: str, times: list[float], medians: list[float] | None) -> None:
    ordered = sorted(times)
    p50 = percentile(ordered, 0.5)
    one = Asked(
        kind=kind,
        queries=len(times),
        p50_ms=p50,
        p99_ms=percentile(ordered, 0.99),
        lowest_ms=min(medians or [p50]),
        highest_ms=max(medians or [p50]),
    )
    run.writer.write("asked", one)
    print(f"  {kind:<42}  p50 {p50:.3g}  p99 {one.p99_ms:.3g} ms", flush=True)
