"""The protocol of drivers, and its loops for Python.

A driver is a process of its own that does to one store what its users would do, in its ordinary
client. The harness writes a JSON line, the driver answers with one:

    {"do": "append", "in_flight": 8, "batch": 1, "seconds": 1.0}
    {"operations": 812, "elapsed_s": 1.0, "cpu_s": 0.4, "result": 1, "latencies_us": [...]}

`do`: `load` (fill the store with `events` events), `extend` (`events` events of fillers, of which
the first is number `first`), `append`, `read`, `hydrate`, `hydrate_kept`, `catch_up`,
`catch_up_counted`, `mixed`, `fold`. A cell lasts `seconds`, and one operation at the least. `cpu_s`
is the CPU time of the driver. `result` is what the last operation returned, which the harness
checks: the number of events, or the balance. A failure is answered with {"error": "..."}. The end
of its input ends a driver.

Standard library only: peers run it in an environment of their own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import data

# Of a mixed load, so many operations in a hundred read.
MIXED_READS_PERCENT = 80


@dataclass
class Request:
    """A line of the harness."""

    do: str
    seconds: float = 0.0
    in_flight: int = 1
    batch: int = 1
    stream: str = ""
    # For `load` and `extend`; for `mixed` the number of fillers to choose from.
    events: int = 0
    first: int = 0
    # For `fold`: bytes of an event, and whether the fields that the fold reads stand first in it.
    size: int = 0
    wanted_first: bool = True


@dataclass
class Done:
    """What one caller did."""

    latencies_us: list[int] = field(default_factory=list)
    result: int = 0


class Caller(Protocol):
    """One caller of a store that blocks. `AsyncCaller` is the same with coroutines."""

    def begin(self, stream: str) -> None:
        """A new stream, to which `append` appends."""

    def append(self, count: int) -> Any:
        """Appends `count` events to the stream, at the exact version; returns `count`."""

    def read(self, stream: str) -> Any:
        """Reads all events into objects with their data decoded; returns their number."""

    def hydrate(self, stream: str) -> Any:
        """Reads the state of the stream from its first event; returns its balance."""

    def catch_up(self) -> Any:
        """Reads the whole log into objects with their data decoded; returns the number."""


def fresh_stream() -> str:
    """A name that no other cell has."""
    return f"{data.CATEGORY}-{uuid.uuid4().hex}"


Step = Callable[[], Any]


def step_of(caller: Any, request: Request) -> Step:
    """The operation of the cell; it returns its result, or a coroutine of it."""
    match request.do:
        case "append":
            return lambda: caller.append(request.batch)
        case "read":
            return lambda: caller.read(request.stream)
        case "hydrate":
            return lambda: caller.hydrate(request.stream)
        case "hydrate_kept":
            return lambda: caller.hydrate_kept(request.stream)
        case "catch_up":
            return caller.catch_up
        case "catch_up_counted":
            return caller.catch_up_counted
        case "fold":
            return lambda: caller.fold(request.size, request.wanted_first)
        case "mixed":
            chance = random.Random(0)

            def step() -> Any:
                if chance.randrange(100) < MIXED_READS_PERCENT:
                    return caller.hydrate(data.filler(chance.randrange(request.events)))
                return caller.append(1)

            return step
    raise ValueError(f"there is no {request.do}")


def _repeat(step: Step, deadline: float, done: Done) -> None:
    clock = time.perf_counter
    end = clock()
    while True:
        begin = end
        done.result = step()
        end = clock()
        done.latencies_us.append(int((end - begin) * 1e6))
        if end >= deadline:
            return


async def _repeat_async(step: Callable[[], Awaitable[Any]], deadline: float, done: Done) -> None:
    clock = time.perf_counter
    end = clock()
    while True:
        begin = end
        done.result = await step()
        end = clock()
        done.latencies_us.append(int((end - begin) * 1e6))
        if end >= deadline:
            return


class Callers:
    """A driver whose callers are threads; `make` makes a caller, with its own connection."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._callers: list[Any] = []

    def run(self, request: Request) -> dict[str, Any]:
        """One cell."""
        while len(self._callers) < request.in_flight:
            self._callers.append(self._make())
        callers = self._callers[: request.in_flight]
        for caller in callers:
            caller.begin(fresh_stream())
        steps = [step_of(caller, request) for caller in callers]
        done = [Done() for _ in steps]
        faults: list[BaseException] = []

        def work(number: int) -> None:
            try:
                _repeat(steps[number], deadline, done[number])
            except BaseException as fault:  # noqa: BLE001 - raised below, in the main thread
                faults.append(fault)

        gc.collect()
        begin, cpu = time.perf_counter(), time.process_time()
        deadline = begin + request.seconds
        if request.in_flight == 1:
            work(0)
        else:
            threads = [threading.Thread(target=work, args=(n,)) for n in range(len(steps))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
        if faults:
            raise faults[0]
        return answer(done, elapsed, cpu)


class AsyncCallers:
    """A driver whose callers are tasks of one event loop."""

    def __init__(self, make: Callable[[], Awaitable[Any]], loop: asyncio.AbstractEventLoop) -> None:
        self._make = make
        self._callers: list[Any] = []
        self._loop = loop

    def run(self, request: Request) -> dict[str, Any]:
        """One cell."""
        return self._loop.run_until_complete(self._run(request))

    async def _run(self, request: Request) -> dict[str, Any]:
        while len(self._callers) < request.in_flight:
            self._callers.append(await self._make())
        callers = self._callers[: request.in_flight]
        for caller in callers:
            caller.begin(fresh_stream())
        steps = [step_of(caller, request) for caller in callers]
        done = [Done() for _ in steps]
        gc.collect()
        begin, cpu = time.perf_counter(), time.process_time()
        deadline = begin + request.seconds
        work = zip(steps, done, strict=True)
        await asyncio.gather(*(_repeat_async(step, deadline, one) for step, one in work))
        return answer(done, time.perf_counter() - begin, time.process_time() - cpu)


def answer(done: list[Done], elapsed_s: float, cpu_s: float) -> dict[str, Any]:
    """What the harness gets for a cell."""
    latencies = [one for caller in done for one in caller.latencies_us]
    return {
        "operations": len(latencies),
        "elapsed_s": elapsed_s,
        "cpu_s": cpu_s,
        "latencies_us": latencies,
        "result": done[0].result if done else 0,
    }


def runs_of(request: Request) -> Iterable[data.Run]:
    """What `load` and `extend` write, in order."""
    if request.do == "load":
        return data.layout(request.events)
    count = request.events // data.FILLER_LENGTH
    placed = sorted(data.filler_runs(request.first, count), key=lambda one: one[0])
    return (run for _, run in placed)


def chunks(runs: Iterable[data.Run], events: int) -> Iterator[list[data.Run]]:
    """Runs in lists of so many events together."""
    chunk: list[data.Run] = []
    for run in runs:
        chunk.append(run)
        if len(chunk) * data.RUN_LENGTH >= events:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def serve(
    run: Callable[[Request], dict[str, Any]], load: Callable[[Iterable[data.Run]], None] | None
) -> None:
    """Answers the harness until its end of the line is closed."""
    for line in sys.stdin:
        request = Request(**json.loads(line))
        try:
            if request.do in ("load", "extend"):
                if load is None:
                    raise ValueError("this driver cannot load")
                begin, cpu = time.perf_counter(), time.process_time()
                load(runs_of(request))
                found = answer([], time.perf_counter() - begin, time.process_time() - cpu)
            else:
                found = run(request)
        except Exception as fault:  # noqa: BLE001 - the harness says which cell failed
            traceback.print_exc()
            found = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(found), flush=True)
