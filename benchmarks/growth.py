"""How stores do as they grow: appends and hydrations at ever more events, in the same stores.

The stores stay in `benchmarks/.growth` until the last step is measured, so that a run that was cut
short goes on where it was.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import candidates
import data
import figures
import install
import stores
from harness import LOAD_S_MAX, Candidate, compare
from workloads import Workload, append, append_hundred, hydrate

FOLDER = Path(__file__).resolve().parent / ".growth"
STEPS = (100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000)
# What an event took on disk at one million of them, write-ahead log and slack not counted.
BYTES_AN_EVENT = {candidates.EVENTFOLD: 700, candidates.UMADB: 500}
# A load is cut into parts of so many events: what is lost when it is cut short.
PART_EVENTS = 100_000
_SPARE_BYTES = 4 * 2**30


class TooLittleDisk(Exception):
    """The stores would not fit."""


def disk_use(events: int) -> str:
    """Says how much disk the run takes; raises TooLittleDisk."""
    needed = sum(BYTES_AN_EVENT.values()) * events + _SPARE_BYTES
    FOLDER.mkdir(exist_ok=True)
    free = shutil.disk_usage(FOLDER).free + sum(
        one.stat().st_size for one in FOLDER.rglob("*") if one.is_file()
    )
    text = (
        f"Growing to {events:,} events takes about {needed / 2**30:.0f} GiB in {FOLDER}"
        f" ({free / 2**30:.0f} GiB are free); it is removed at the end."
    )
    if needed > free:
        raise TooLittleDisk(text)
    return text


@dataclass
class Growing:
    """A store with the number of events that it was filled with."""

    candidate: Candidate
    mark: Path

    def filled(self) -> int:
        """Events of finished parts."""
        return int(self.mark.read_text()) if self.mark.exists() else 0

    def fill(self, events: int) -> None:
        """Adds events until there are so many."""
        if self.filled() == 0:
            self.candidate.driver.ask(LOAD_S_MAX, do="load", events=PART_EVENTS)
            self.mark.write_text(str(PART_EVENTS))
        while (filled := self.filled()) < events:
            # Numbers of fillers are taken once only, also by a part that was cut short.
            attempt = self.mark.with_suffix(".attempts")
            first = int(attempt.read_text()) if attempt.exists() else filled
            attempt.write_text(str(first + PART_EVENTS))
            self.candidate.driver.ask(LOAD_S_MAX, do="extend", events=PART_EVENTS, first=first)
            self.mark.write_text(str(filled + PART_EVENTS))


def at(workload: Workload, events: int) -> Workload:
    """The same workload, named by the size of the store."""
    name = f"{workload.name}, at {events:,} events"
    return Workload(name, "growth", workload.request, workload.events, workload.result)


@contextlib.contextmanager
def growing() -> Iterator[list[Growing]]:
    """Both stores, new or as they were left."""
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o711)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.eventfold(FOLDER / "eventfold"))
        own = stack.enter_context(candidates.eventfold(store))
        other = stack.enter_context(stores.umadb(FOLDER / "umadb", install.umadb()))
        umadb = stack.enter_context(candidates.umadb(candidates.UMADB, other))
        yield [
            Growing(own, FOLDER / "eventfold.filled"),
            Growing(umadb, FOLDER / "umadb.filled"),
        ]


def measure(
    steps: Sequence[int], done: Sequence[int], seconds: float, rounds: int, writer: figures.Writer
) -> None:
    """Fills to each step in turn and measures there; steps that are `done` are left out."""
    with growing() as found:
        for events in steps:
            if events in done:
                continue
            print(f"\nfilling to {events:,} events", flush=True)
            for one in found:
                one.fill(events)
                store = one.candidate.store
                assert store is not None
                store.settle()
                size = figures.Size(one.candidate.name, events, 0.0, store.bytes() / events)
                writer.write("size", size)
            length = max(data.lengths_within(PART_EVENTS))
            wanted = [append(1), append(32), append_hundred(), hydrate(1_000), hydrate(length)]
            workloads = [at(workload, events) for workload in wanted]
            able = [one.candidate for one in found]
            compare(able, workloads, seconds=seconds, rounds=rounds, writer=writer)
            writer.write("step", {"events": events})
    shutil.rmtree(FOLDER)
