"""Runs the benchmarks: `make bench`, or `make bench ARGS="hydrate"` for some of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from core import core
from harness import Figure, save
from scenarios import Bare, appends, hydrations, reads
from store import running
from workers import WorkersFigure, workers

import eventfold

RESULTS = Path(__file__).with_name("results") / "store.jsonl"


PARTS = ["core", "append", "read", "hydrate", "workers"]


def _of_the_store(wanted: list[str]) -> list[Figure]:
    figures: list[Figure] = []
    with running() as store, eventfold.Client(store.address, timeout=60) as client:
        bare = Bare(store.database_url)
        if "append" in wanted:
            figures += appends(store, client, bare)
        if "read" in wanted:
            figures += reads(client, bare)
        if "hydrate" in wanted:
            figures += hydrations(client, bare, store.database_url)
    return figures


def main() -> None:
    """Measures what was asked for, and writes the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", help=" ".join(PARTS))
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of JSON lines")
    options = parser.parse_args()
    wanted = options.what or PARTS
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    figures: list[Figure | WorkersFigure] = []
    if "core" in wanted:
        figures += core()
    if set(wanted) - {"core", "workers"}:
        figures += _of_the_store(wanted)
    if "workers" in wanted:
        figures += workers()
    save(options.results, figures)


if __name__ == "__main__":
    main()
