"""Projections: `make bench-projections`.

One store, filled once, and two servers on it. The parts, which `--parts` chooses among: rebuilds
beside plain Python over asyncpg on the same rows; a rebuild while events come and queries are
asked; the time from an append until a query has it, through the same server and another one; the
time of queries.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import candidates
import grpc
import harness
import psycopg
import stores
from figures import Rebuilt, Writer
from harness import Driver, Fault
from projection_queries import Load, queries, tell_asked, visible
from projection_run import DOCUMENTS, REBUILD_S_MAX, Run

from eventfold.v1 import projections_pb2 as pb
from eventfold.v1.projections_pb2_grpc import ProjectionsStub

SERVER, PYTHON = "eventfold", "plain Python over asyncpg"
QUIET, UNDER_LOAD = "quiet", "under appends and queries"

# What both tables must have alike, by document; the server's table comes first.
_DIFFERENT = """
SELECT count(*) FROM (
    (SELECT {columns} FROM {ours} EXCEPT SELECT {columns} FROM {theirs})
    UNION ALL
    (SELECT {columns} FROM {theirs} EXCEPT SELECT {columns} FROM {ours})) d
"""
_NUMBER = """
SELECT g.generation_no FROM eventfold.projection_generations g
  JOIN eventfold.projections p USING (projection_no)
 WHERE p.name = %s AND g.generation = %s
"""

# By option: the usual size, that of `--quick`, and what it is.
_SIZES = {
    "visible": (200, 30, "appends of a round whose rows are waited for"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a run can be made smaller by."""
    known = ",".join(PARTS)
    parser.add_argument("--parts", default=known, help=f"by comma; default: {known}")
    for name, (usual, _, text) in _SIZES.items():
        parser.add_argument(f"--{name}", type=int, help=f"{text}; default {usual}")


def set_defaults(options: argparse.Namespace) -> None:
    """Sizes that were not given."""
    for name, (usual, quick, _) in _SIZES.items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else usual)


def measure(folder: Path, options: argparse.Namespace, writer: Writer) -> None:
    """Runs the parts that were asked for."""
    parts = [one.strip() for one in options.parts.split(",") if one.strip()]
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"there is no part {', '.join(sorted(unknown))}")
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(stores.eventfold(folder / "eventfold"))
        url = own.database_url
        loaded = stack.enter_context(candidates.eventfold(own))
        if not harness.load([(loaded, options.events)], writer):
            return
        another = stack.enter_context(stores.eventfold(folder / "another", database_url=url))
        channel = stack.enter_context(grpc.insecure_channel(own.url))
        run = Run(options, writer, own, another, ProjectionsStub(channel))
        for name in DOCUMENTS:
            run.put(name)
        own.settle()
        for name, part in PARTS.items():
            if name in parts:
                try:
                    part(run)
                except Fault as fault:
                    harness.note_fault(writer, name, candidates.EVENTFOLD, fault)


@dataclass
class _Rebuilds:
    """Rounds of one way to make a table."""

    rates: list[float] = field(default_factory=list)
    events: int = 0
    client_s: float = 0.0
    server_s: float = 0.0
    postgres_s: float = 0.0

    def figure(self, document: str, candidate: str, during: str, rows: int) -> Rebuilt:
        """Sums all rounds up."""
        rounds = len(self.rates)
        return Rebuilt(
            document=document,
            candidate=candidate,
            during=during,
            rows=rows,
            events=self.events // rounds,
            rate=statistics.median(self.rates),
            rate_lowest=min(self.rates),
            rate_highest=max(self.rates),
            client_us=self.client_s / self.events * 1e6,
            server_us=self.server_s / self.events * 1e6,
            postgres_us=self.postgres_s / self.events * 1e6,
            rounds=rounds,
        )


def _rebuilds(run: Run) -> None:
    """Both ways in turn, after a round that does not count; both tables must be the same."""
    with contextlib.closing(candidates.bare_projection(run.own)) as python:
        for name in DOCUMENTS:
            found = {SERVER: _Rebuilds(), PYTHON: _Rebuilds()}
            for number in range(run.options.rounds + 1):
                into = found if number else {SERVER: _Rebuilds(), PYTHON: _Rebuilds()}
                _python(run, python, name, into[PYTHON])
                built = _server(run, name, into[SERVER])
                rows = _compared(run, name, built.generation)
                run.drop(name, built.generation)
            print(f"\nrebuild of {name}, {rows:,} rows")
            for candidate, rebuilds in found.items():
                _tell(run, rebuilds.figure(name, candidate, QUIET, rows))


def _tell(run: Run, one: Rebuilt) -> None:
    run.writer.write("rebuilt", one)
    print(
        f"  {one.candidate:<26}  {one.rate:,.0f} events/s"
        f" ({one.rate_lowest:,.0f} to {one.rate_highest:,.0f})"
        f"  cpu {one.client_us:.2f}/{one.server_us:.2f}/{one.postgres_us:.2f} us",
        flush=True,
    )


def _python(run: Run, driver: Driver, name: str, into: _Rebuilds) -> None:
    before = run.cpu()
    found = driver.ask(REBUILD_S_MAX, document=name)
    after = run.cpu()
    into.rates.append(found["events"] / found["elapsed_s"])
    into.events += found["events"]
    into.client_s += found["cpu_s"]
    into.postgres_s += after["postgres"] - before["postgres"]


def _server(run: Run, name: str, into: _Rebuilds) -> pb.Generation:
    """From the call until the generation has caught up, by the clock of who calls."""
    before, begin = run.cpu(), time.perf_counter()
    built = run.rebuild(name)
    elapsed, after = time.perf_counter() - begin, run.cpu()
    into.rates.append(built.events / elapsed)
    into.events += built.events
    into.server_s += after["server"] - before["server"]
    into.postgres_s += after["postgres"] - before["postgres"]
    return built


def _compared(run: Run, name: str, generation: int) -> int:
    """How many rows both tables have, which must be the same byte for byte."""
    names = ["key", "_state", "version", "position", *DOCUMENTS[name]["columns"]]
    assert run.own.database_url is not None
    with psycopg.connect(run.own.database_url) as connection:
        number = connection.execute(_NUMBER, (name, generation)).fetchone()
        assert number is not None
        ours = f"eventfold.projection_{number[0]}"
        query = _DIFFERENT.format(columns=", ".join(names), ours=ours, theirs=f"bare.{name}")
        different = connection.execute(query).fetchone()
        assert different is not None
        if different[0]:
            raise Fault(f"{different[0]} rows of {name} differ from those of plain Python")
        rows = connection.execute(f"SELECT count(*) FROM {ours}").fetchone()
        assert rows is not None
        return int(rows[0])


def _loaded(run: Run) -> None:
    """One after the other, each once: the log is larger each time."""
    print("\nrebuild under load")
    for name in DOCUMENTS:
        into, load = _Rebuilds(), Load(run)
        with load.going_on():
            built = _server(run, name, into)
        run.drop(name, built.generation)
        _tell(run, into.figure(name, SERVER, UNDER_LOAD, 0))
        tell_asked(run, f"during the rebuild of {name}", load.latencies_ms, None)
        print(f"  {load.appended:,} events were appended meanwhile")


PARTS: dict[str, Callable[[Run], None]] = {
    "rebuild": _rebuilds,
    "queries": queries,
    "visible": visible,
    # The log grows meanwhile.
    "load": _loaded,
}
