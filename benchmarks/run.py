"""Runs the benchmarks: `make bench`, `make bench-peers`, `make bench-growth`,
`make bench-subscriptions`, `make bench-projections`, and `make bench-event-types`."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import candidates
import event_types
import figures
import growth
import harness
import install
import projections
import report
import stores
import subscriptions
import workloads
from harness import Candidate
from processes import on_signal_exit
from workloads import Workload

RESULTS = Path(__file__).resolve().parent / "results"
OWN_EVENTS = 250_000
PEER_EVENTS = 1_000_000
# What `--quick` leaves: minutes instead of half an hour, and figures that are only hints.
QUICK_EVENTS = 50_000
QUICK_SECONDS = 0.3
QUICK_ROUNDS = 3


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    own = commands.add_parser("own", help="eventfold beside the same SQL without a server")
    peers = commands.add_parser("peers", help="eventfold beside its peers")
    grow = commands.add_parser("growth", help="eventfold and UmaDB as they grow")
    follow = commands.add_parser("subscriptions", help="subscriptions and consumer groups")
    subscriptions.add_options(follow)
    project = commands.add_parser("projections", help="projections, rebuilt and asked")
    projections.add_options(project)
    describe = commands.add_parser("event-types", help="schemas and mappings, in force or not")
    for one in (own, peers, follow, project, describe):
        one.add_argument("--events", type=int, help="events that a store is filled with")
        one.add_argument("--quick", action="store_true", help="small, short and rough")
    for one in (own, peers):
        one.add_argument(
            "--workloads",
            default="",
            help="groups of workloads, by comma: fold (own only), append, session, read, hydrate, "
            "'catch up', mixed; default: all",
        )
        one.add_argument(
            "--without-loadgen", action="store_true", help="leave the compiled load generator out"
        )
    peers.add_argument(
        "--peers",
        default=",".join(candidates.PEERS),
        help=f"by comma; default: {','.join(candidates.PEERS)}",
    )
    grow.add_argument("--steps", default="", help="numbers of events, by comma")
    for one in (own, peers, grow, follow, project, describe):
        one.add_argument("--seconds", type=float, help="length of a cell; default 1")
        one.add_argument("--rounds", type=int, help="rounds that count; default 5")
        one.add_argument("--results", type=Path, help="file of JSON lines; the report is beside it")
    options = parser.parse_args(arguments)
    quick = getattr(options, "quick", False)
    if options.seconds is None:
        options.seconds = QUICK_SECONDS if quick else 1.0
    if options.rounds is None:
        options.rounds = QUICK_ROUNDS if quick else harness.ROUNDS
    if options.results is None:
        # Git ignores what begins with `quick-`.
        options.results = RESULTS / f"{'quick-' if quick else ''}{options.command}.jsonl"
    if options.command == "subscriptions":
        subscriptions.set_defaults(options)
    if options.command == "projections":
        projections.set_defaults(options)
    if options.command != "growth" and options.events is None:
        usual = OWN_EVENTS if options.command == "own" else PEER_EVENTS
        options.events = QUICK_EVENTS if quick else usual
    return options


def _chosen(all_workloads: Sequence[Workload], groups: str) -> list[Workload]:
    wanted = {one.strip() for one in groups.split(",") if one.strip()}
    if unknown := wanted - {one.group for one in all_workloads}:
        raise SystemExit(f"there is no workload {', '.join(sorted(unknown))}")
    return [one for one in all_workloads if not wanted or one.group in wanted]


@contextlib.contextmanager
def _reported(writer: figures.Writer) -> Iterator[figures.Writer]:
    """Writes the report at the end, as far as a run that was cut short came."""
    try:
        yield writer
    finally:
        written = report.write(writer.path)
        print("\nwritten: " + ", ".join(path.name for path in written), flush=True)


def _writer(options: argparse.Namespace) -> figures.Writer:
    head = {
        "command": options.command,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "events": getattr(options, "events", None),
        "seconds": options.seconds,
        "rounds": options.rounds,
        **figures.machine(install.versions()),
    }
    return figures.Writer(options.results, head)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account may pass through."""
    with tempfile.TemporaryDirectory(prefix="eventfold-bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _loadgen(options: argparse.Namespace) -> Path | None:
    """The load generator, or None with the reason said."""
    if options.without_loadgen:
        return None
    try:
        return install.loadgen()
    except install.Missing as missing:
        print(f"The load generator is left out: {missing}", file=sys.stderr, flush=True)
        return None


def _own(options: argparse.Namespace) -> None:
    wanted = _chosen([*workloads.folds(), *workloads.own(options.events)], options.workloads)
    of_folds = [one for one in wanted if one.group == "fold"]
    of_stores = [one for one in wanted if one.group != "fold"]
    program = _loadgen(options) if of_stores else None
    with _reported(_writer(options)) as writer:
        measure = _measure(options, writer)
        if of_folds:
            with candidates.folding() as found:
                measure(found, of_folds)
        if of_stores:
            with _folder() as folder, candidates.own(folder, program) as found:
                harness.load([(found[0], options.events)], writer)
                measure(found, of_stores)


def _measure(
    options: argparse.Namespace, writer: figures.Writer
) -> Callable[[Sequence[Candidate], Sequence[Workload]], object]:
    def run(found: Sequence[Candidate], wanted: Sequence[Workload]) -> object:
        return harness.compare(
            found, wanted, seconds=options.seconds, rounds=options.rounds, writer=writer
        )

    return run


def _peers(options: argparse.Namespace) -> None:
    names = [one.strip() for one in options.peers.split(",") if one.strip()]
    if unknown := set(names) - set(candidates.PEERS):
        raise SystemExit(f"there is no peer {', '.join(sorted(unknown))}")
    wanted = _chosen(workloads.of_peers(options.events), options.workloads)
    _install(names)
    program = _loadgen(options)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(_reported(_writer(options)))
        folder = stack.enter_context(_folder())
        found = stack.enter_context(candidates.own(folder, program))
        jobs = [(found[0], options.events)]
        for name in names:
            if name in candidates.ON_POSTGRES:
                store = stack.enter_context(stores.postgres(folder / name))
                candidate = stack.enter_context(candidates.ON_POSTGRES[name](store))
                found.append(candidate)
                jobs.append((candidate, options.events))
        if "umadb" in names:
            filled = _load_umadb(folder, jobs, writer)
            cached = (candidates.UMADB_CACHED, candidates.PAGE_CACHE_MB)
            for name, cache_mb in ((candidates.UMADB, 0), cached):
                server = stores.umadb(folder / name, install.umadb(), cache_mb)
                store = stack.enter_context(server)
                found.append(stack.enter_context(candidates.umadb(name, store)))
        else:
            filled = harness.load(jobs, writer)
        unfilled = {candidate.name for candidate, _ in jobs} - set(filled)
        ready = [one for one in found if one.name not in unfilled]
        _measure(options, writer)(ready, wanted)


def _load_umadb(
    folder: Path, jobs: Sequence[tuple[Candidate, int]], writer: figures.Writer
) -> dict[str, figures.Size]:
    """Fills UmaDB beside the other stores; its two servers begin with copies of the file."""
    plain = folder / candidates.UMADB
    with (
        stores.umadb(plain, install.umadb()) as store,
        candidates.umadb(candidates.UMADB, store) as candidate,
    ):
        filled = harness.load([*jobs, (candidate, jobs[0][1])], writer)
    stores.copy_umadb(plain, folder / candidates.UMADB_CACHED)
    return filled


def _install(names: Sequence[str]) -> None:
    install.python()
    if "umadb" in names:
        install.umadb()
    if {"messagedb", "emmett"} & set(names):
        install.npm()


def _growth(options: argparse.Namespace) -> None:
    steps = [int(one) for one in options.steps.split(",") if one] or list(growth.STEPS)
    print(growth.disk_use(max(steps)), flush=True)
    install.python()
    install.umadb()
    done: list[int] = []
    if growth.FOLDER.exists() and any(growth.FOLDER.iterdir()) and options.results.exists():
        done = figures.read(options.results).steps
        writer = figures.Writer.going_on(options.results)
    else:
        writer = _writer(options)
    with _reported(writer):
        growth.measure(steps, done, options.seconds, options.rounds, writer)


def _subscriptions(options: argparse.Namespace) -> None:
    with _reported(_writer(options)) as writer, _folder() as folder:
        subscriptions.measure(folder, options, writer)


def _projections(options: argparse.Namespace) -> None:
    with _reported(_writer(options)) as writer, _folder() as folder:
        projections.measure(folder, options, writer)


def _event_types(options: argparse.Namespace) -> None:
    with _reported(_writer(options)) as writer, _folder() as folder:
        event_types.measure(folder, options, writer)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what was asked for, and writes the figures down."""
    options = _options(arguments)
    on_signal_exit()
    begin = time.monotonic()
    try:
        {
            "own": _own,
            "peers": _peers,
            "growth": _growth,
            "subscriptions": _subscriptions,
            "projections": _projections,
            "event-types": _event_types,
        }[options.command](options)
    except (install.Missing, growth.TooLittleDisk) as missing:
        raise SystemExit(str(missing)) from None
    print(f"took {(time.monotonic() - begin) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
