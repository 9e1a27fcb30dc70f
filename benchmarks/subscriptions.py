"""Subscriptions and consumer groups: `make bench-subscriptions`.

One store, filled once, and two servers on it. The parts, which `--parts` chooses among: catching up
beside asyncpg on the same rows; the time from an append to one subscriber and to many, through the
same server and through another one; a consumer group; the memory that subscribers cost the server
when they do not read.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import candidates
import data
import groups
import harness
import psycopg
import stores
import workloads
from figures import Delivery, Stalled, Writer, percentile
from harness import CELL_SPARE_S, Candidate, Driver
from stores import Store

import eventfold

SAME, ANOTHER = "same server", "another server"
# Between two appends: so long that nothing of the one before is on its way.
PAUSE_S = (0.005, 0.015)
# Of an event while subscribers stall; some of them make an append.
STALL_EVENT_BYTES = 20_000
STALL_APPEND_EVENTS = 50
# A server that has appended and sent much needs a moment until its memory is what it keeps.
SETTLE_S = 1.0
MIB = 1024 * 1024
# Whose CPU time of deliveries is told.
_CPU = ("server", "postgres", "subscribers")
# When an append was committed; PostgreSQL notes it just before the flush, by the machine's clock.
COMMITTED_AT = """
SELECT position, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
  FROM eventfold.events WHERE position = ANY(%s)
"""


# By option: the usual size, that of `--quick`, and what it is.
_SIZES = {
    "group-seconds": (4.0, 1.0, "of a round of a group"),
    "appends": (200, 50, "of a round, to one subscriber; to many a quarter of it"),
    "subscribers": (100, 100, "of the fan-out"),
    "stalled": (100, 20, "subscribers that do not read, and a tenth of them"),
    "stall-mib": (64, 16, "appended while they stall, and then again"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a run can be made smaller by."""
    known = ",".join(PARTS)
    parser.add_argument("--parts", default=known, help=f"by comma; default: {known}")
    for name, (usual, _, text) in _SIZES.items():
        parser.add_argument(f"--{name}", type=type(usual), help=f"{text}; default {usual}")


def set_defaults(options: argparse.Namespace) -> None:
    """Sizes that were not given."""
    for name, (usual, quick, _) in _SIZES.items():
        key = name.replace("-", "_")
        if getattr(options, key) is None:
            setattr(options, key, quick if options.quick else usual)


@dataclass
class _Run:
    """The servers and what is measured on them."""

    folder: Path
    options: argparse.Namespace
    writer: Writer
    own: Store
    another: Store
    loaded: Candidate


def measure(folder: Path, options: argparse.Namespace, writer: Writer) -> None:
    """Runs the parts that were asked for; the one that grows the log most comes last."""
    parts = [one.strip() for one in options.parts.split(",") if one.strip()]
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"there is no part {', '.join(sorted(unknown))}")
    with contextlib.ExitStack() as stack:
        setting = ("--postgres-setting", "track_commit_timestamp=on")
        own = stack.enter_context(stores.eventfold(folder / "eventfold", *setting))
        url = own.database_url
        another = stack.enter_context(stores.eventfold(folder / "another", database_url=url))
        loaded = stack.enter_context(candidates.eventfold(own))
        if not harness.load([(loaded, options.events)], writer):
            return
        run = _Run(folder, options, writer, own, another, loaded)
        for name, part in PARTS.items():
            if name in parts:
                try:
                    part(run)
                except harness.Fault as fault:
                    harness.note_fault(writer, name, candidates.EVENTFOLD, fault)


def _catch_up(run: _Run) -> None:
    """All candidates in turn; each cell is the whole log at least once."""
    options = run.options
    with candidates.subscribing(run.own) as subscribe, candidates.bare(run.own) as bare:
        asked = [
            dataclasses.replace(one(options.events), result=options.events)
            for one in (workloads.catch_up_counted, workloads.catch_up)
        ]
        harness.compare(
            [subscribe, run.loaded, bare],
            asked,
            seconds=options.seconds,
            rounds=options.rounds,
            writer=run.writer,
        )


def _groups(run: _Run) -> None:
    for one in groups.groups(run.own, run.options.group_seconds, run.options.rounds):
        run.writer.write("consumption", one)


@dataclass
class _Deliveries:
    """Latencies in milliseconds, and CPU time."""

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)
    # The median of `last` in each round.
    medians: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_CPU, 0.0))

    def figure(self, through: str, subscribers: int) -> Delivery:
        """Sums all rounds up."""
        appends = len(self.last)
        first, last, committed = sorted(self.first), sorted(self.last), sorted(self.committed)
        return Delivery(
            through=through,
            subscribers=subscribers,
            appends=appends,
            first_p50_ms=percentile(first, 0.5),
            first_p99_ms=percentile(first, 0.99),
            last_p50_ms=percentile(last, 0.5),
            last_p99_ms=percentile(last, 0.99),
            commit_p50_ms=percentile(committed, 0.5),
            commit_p99_ms=percentile(committed, 0.99),
            lowest_ms=min(self.medians),
            highest_ms=max(self.medians),
            **{f"{part}_us": self.cpu_s[part] / appends * 1e6 for part in _CPU},
        )


def _wake_up(run: _Run) -> None:
    _deliver(run, 1, run.options.appends)


def _fan_out(run: _Run) -> None:
    _deliver(run, run.options.subscribers, max(1, run.options.appends // 4))


def _deliver(run: _Run, subscribers: int, appends: int) -> None:
    """Both ways in turn, one round after the other, after one that does not count."""
    found = {SAME: _Deliveries(), ANOTHER: _Deliveries()}
    for number in range(run.options.rounds + 1):
        for through, store in ((SAME, run.own), (ANOTHER, run.another)):
            with _opened(store) as driver:
                driver.ask(CELL_SPARE_S, do="open", subscribers=subscribers)
                into = found[through] if number else _Deliveries()
                _round(run, driver, appends if number else min(appends, 20), into)
    print(f"\nfrom an append to {subscribers} subscriber{'s' if subscribers > 1 else ''}")
    for through, deliveries in found.items():
        one = deliveries.figure(through, subscribers)
        run.writer.write("delivery", one)
        print(
            f"  {through:<14}  first p50 {one.first_p50_ms:.3g} p99 {one.first_p99_ms:.3g} ms"
            f"  last p50 {one.last_p50_ms:.3g} p99 {one.last_p99_ms:.3g} ms"
            f"  from commit p50 {one.commit_p50_ms:.3g} p99 {one.commit_p99_ms:.3g} ms"
            f"  cpu {one.subscribers_us:.0f}/{one.server_us:.0f}/{one.postgres_us:.0f} us",
            flush=True,
        )


def _round(run: _Run, driver: Driver, appends: int, into: _Deliveries) -> None:
    assert run.own.database_url is not None
    stream = f"{data.CATEGORY}-{uuid.uuid4().hex}"
    last = []
    # By position: when the last subscriber had it, by the machine's clock.
    had: dict[int, float] = {}
    with eventfold.Client(run.own.url) as client:
        before = _cpu_seconds(run, driver)
        for version in range(appends):
            time.sleep(random.uniform(*PAUSE_S))
            event = eventfold.Event("MoneyDeposited", data.event_data(version))
            appended = client.append(stream, [event], expected_version=version)
            answered = time.perf_counter()
            # The two clocks go alike for as long as this takes.
            to_wall = time.time() - time.perf_counter()
            position = appended.positions[0]
            at = driver.ask(CELL_SPARE_S, do="received", position=position)["at"]
            into.first.append((min(at) - answered) * 1000)
            last.append((max(at) - answered) * 1000)
            had[position] = max(at) + to_wall
        after = _cpu_seconds(run, driver)
    with psycopg.connect(run.own.database_url) as connection:
        rows = connection.execute(COMMITTED_AT, (list(had),)).fetchall()
    assert len(rows) == len(had)
    into.committed += [(had[position] - committed_at) * 1000 for position, committed_at in rows]
    into.last += last
    into.medians.append(statistics.median(last))
    for part in _CPU:
        into.cpu_s[part] += after[part] - before[part]


def _cpu_seconds(run: _Run, driver: Driver) -> dict[str, float]:
    """CPU time so far: of both servers, of PostgreSQL, of the subscribers' process."""
    own, another = run.own.watched.cpu_seconds(), run.another.watched.cpu_seconds()
    return {
        "server": own["server"] + another["server"],
        "postgres": own["postgres"],
        # Nobody subscribes by this, so it is only asked.
        "subscribers": driver.ask(CELL_SPARE_S, do="cpu")["cpu_s"],
    }


@contextlib.contextmanager
def _opened(store: Store) -> Iterator[Driver]:
    """A process of subscribers."""
    with contextlib.closing(candidates.subscribers(store)) as driver:
        yield driver
        driver.ask(CELL_SPARE_S, do="close")


def _memory(run: _Run) -> None:
    """Each on a server of its own, so that none uses again what another one freed."""
    count, mib = run.options.stalled, run.options.stall_mib
    print(f"\nmemory, {mib} MiB appended and then as many again")
    for where in ("history", "live"):
        for subscribers in sorted({max(1, count // 10), count}):
            one = _stall(run, where, subscribers, mib)
            run.writer.write("stalled", one)
            print(
                f"  {subscribers:>3} stalled, {where:<7}  {one.before_mib:.0f} MiB before,"
                f" {one.grown_mib:.1f} MiB more ({one.grown_mib / subscribers:.2f} each),"
                f" then {one.grown_twice_mib:.1f} MiB",
                flush=True,
            )


def _stall(run: _Run, where: str, subscribers: int, mib: int) -> Stalled:
    with contextlib.ExitStack() as stack:
        url = run.own.database_url
        store = stack.enter_context(stores.eventfold(run.folder / "stalled", database_url=url))
        client = stack.enter_context(eventfold.Client(store.url))
        # Once before with one that reads: it is not the memory of appends and of the tail.
        with _opened(store) as reading:
            reading.ask(CELL_SPARE_S, do="open", subscribers=1)
            _append(client, mib)
        before = _rss_mib(store)
        driver = stack.enter_context(_opened(store))
        live = where == "live"
        driver.ask(CELL_SPARE_S, do="stall", subscribers=subscribers, live=live)
        _append(client, mib)
        grown = _rss_mib(store) - before
        _append(client, mib)
        twice = _rss_mib(store) - before
    return Stalled(where, subscribers, before, grown, twice, mib)


def _append(client: eventfold.Client, mib: int) -> None:
    """So many MiB of data, to a stream of their own."""
    stream, text = f"{data.CATEGORY}-{uuid.uuid4().hex}", "x" * STALL_EVENT_BYTES
    for _ in range(max(1, mib * MIB // (STALL_EVENT_BYTES * STALL_APPEND_EVENTS))):
        events = [eventfold.Event("Filled", {"text": text}) for _ in range(STALL_APPEND_EVENTS)]
        client.append(stream, events, expected_version=eventfold.ANY)


def _rss_mib(store: Store) -> float:
    """Resident memory of the server's process, after a moment."""
    time.sleep(SETTLE_S)
    [pid] = store.watched.roots
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


PARTS: dict[str, Callable[[_Run], None]] = {
    "catch-up": _catch_up,
    "wake-up": _wake_up,
    "fan-out": _fan_out,
    # It leaves dead rows to autovacuum, whose CPU time would be told as that of others.
    "groups": _groups,
    "memory": _memory,
}
