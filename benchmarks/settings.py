"""What a setting of PostgreSQL brings: `settings.py NAME=VALUE[,NAME=VALUE] ...`.

Each argument is a candidate: an embedded PostgreSQL with its own settings and these on top. They
take turns with one that has none on top, on the server's own statements without a server between.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scenarios import Bare
from workers import cpu_seconds_of_family

from eventfold_server.embedded import EmbeddedPostgres
from eventfold_server.storage.database import Database

ROUNDS = 5
APPENDS = 300
HUNDREDS = 30
READS = 100
LONG = 1_000
BASELINE = "as it is"


@dataclass
class Candidate:
    """A PostgreSQL, and what was measured on it: each figure by round."""

    name: str
    pid: int
    bare: Bare
    number: int = 0
    figures: dict[str, list[float]] = field(default_factory=dict)

    def stream(self) -> str:
        """A stream that no other round uses."""
        self.number += 1
        return f"bench-{self.number}"


def _append_one(at: Candidate) -> int:
    async def work() -> None:
        stream = at.stream()
        for version in range(APPENDS):
            await at.bare.append(stream, version)

    at.bare.run(work())
    return APPENDS


def _append_many(at: Candidate) -> int:
    async def writer() -> None:
        stream = at.stream()
        for version in range(APPENDS // 8):
            await at.bare.append(stream, version)

    async def work() -> None:
        await asyncio.gather(*(writer() for _ in range(32)))

    at.bare.run(work())
    return 32 * (APPENDS // 8)


def _append_hundreds(at: Candidate) -> int:
    async def work() -> None:
        stream = at.stream()
        for version in range(0, HUNDREDS * 100, 100):
            await at.bare.append(stream, version, 100)

    at.bare.run(work())
    return HUNDREDS * 100


def _read(at: Candidate) -> int:
    for _ in range(READS):
        assert len(at.bare.run(at.bare.rows("long-1"))) == LONG
    return READS


SCENARIOS: dict[str, Callable[[Candidate], int]] = {
    "append 1 event, 1 in flight": _append_one,
    "append 1 event, 32 in flight on 8 connections": _append_many,
    "append 100 events a call, an event": _append_hundreds,
    f"read {LONG:,} events": _read,
}


async def _wal_bytes(bare: Bare) -> int:
    found = await bare.pool.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'")
    return int(found)


def _measure(at: Candidate, name: str) -> None:
    wal, cpu, began = (
        at.bare.run(_wal_bytes(at.bare)),
        cpu_seconds_of_family(at.pid),
        time.perf_counter(),
    )
    units = SCENARIOS[name](at)
    took = time.perf_counter() - began
    cpu_s = cpu_seconds_of_family(at.pid) - cpu
    found = {
        "ms": took * 1000 / units,
        "CPU ms": cpu_s * 1000 / units,
        "WAL bytes": (at.bare.run(_wal_bytes(at.bare)) - wal) / units,
    }
    for kind, value in found.items():
        at.figures.setdefault(f"{name}|{kind}", []).append(value)


def main() -> None:
    """Measures the candidates in turn, and prints the medians with their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="+", metavar="NAME=VALUE[,NAME=VALUE]")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        candidates = [_started(stack, name) for name in (BASELINE, *options.settings)]
        for number in range(options.rounds + 1):
            for name in SCENARIOS:
                for candidate in candidates:
                    _measure(candidate, name)
            if not number:
                for candidate in candidates:
                    candidate.figures.clear()
        for name in SCENARIOS:
            print(f"\n{name}")
            for candidate in candidates:
                _print(candidate, candidates[0], name)


def _started(stack: contextlib.ExitStack, name: str) -> Candidate:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eventfold-bench-")))
    folder.chmod(0o711)
    settings = dict(one.split("=", 1) for one in name.split(",")) if name != BASELINE else {}
    postgres = EmbeddedPostgres(folder / "data", settings=settings)
    asyncio.run(postgres.start())
    stack.callback(lambda: asyncio.run(postgres.stop()))
    asyncio.run(Database(postgres.dsn, "eventfold").prepare())
    bare = Bare(postgres.dsn)

    async def load() -> None:
        for version in range(0, LONG, 100):
            await bare.append("long-1", version, 100)

    bare.run(load())
    return Candidate(name, postgres.pid, bare)


def _print(candidate: Candidate, baseline: Candidate, name: str) -> None:
    texts = []
    for kind in ("ms", "CPU ms", "WAL bytes"):
        ours, theirs = (
            statistics.median(one.figures[f"{name}|{kind}"]) for one in (candidate, baseline)
        )
        ratio = f" ({ours / theirs:.2f})" if candidate is not baseline and theirs else ""
        texts.append(f"{ours:,.3f} {kind}{ratio}" if ours < 100 else f"{ours:,.0f} {kind}{ratio}")
    print(f"  {candidate.name:<40}  {', '.join(texts)}", flush=True)


if __name__ == "__main__":
    main()
