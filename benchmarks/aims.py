"""The aims that eventfold has set itself beside its peers, and what a run says about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from candidates import (
    EVENTFOLD,
    EVENTSOURCING,
    MESSAGE_DB,
    PEERS,
    ROWS,
    UMADB,
    UMADB_CACHED,
    WITHOUT,
)
from figures import Figure, Results
from workloads import append, append_hundred, catch_up, hydrate, read


@dataclass(frozen=True)
class Verdict:
    """One aim. `factor` is what was reached of `aim`, both as speed relative to the peer."""

    what: str
    peer: str
    aim: float
    factor: float

    @property
    def met(self) -> bool:
        """Whether the aim was reached."""
        return self.factor >= self.aim

    @property
    def outcome(self) -> str:
        """`met`, or by how much it was missed."""
        return "met" if self.met else f"missed by {(1 - self.factor / self.aim) * 100:.0f} %"


@dataclass(frozen=True)
class Aim:
    """To be at least `factor` times as fast as a peer."""

    workload: str
    peer: str
    factor: float


_ANY_PEER = "fastest peer"


def _aims() -> Iterator[Aim]:
    many, one = append(32).name, append(1).name
    yield Aim(many, UMADB, 1.2)
    yield Aim(many, MESSAGE_DB, 4)
    yield Aim(many, EVENTSOURCING, 12)
    yield Aim(one, UMADB, 0.9)
    yield Aim(append_hundred().name, UMADB, 1.3)
    for length in (1_000, 10_000, 100_000):
        yield Aim(read(length).name, UMADB, 5)
        yield Aim(read(length).name, MESSAGE_DB, 4)
    yield Aim(hydrate(100).name, UMADB_CACHED, 1)
    yield Aim(hydrate(1_000).name, _ANY_PEER, 4)
    yield Aim(hydrate(10_000).name, _ANY_PEER, 5)
    # "Within 1.5 times of only reading the rows."
    yield Aim(hydrate(100_000).name, ROWS, 1 / 1.5)
    yield Aim(catch_up(0).name, UMADB, 3)
    # "One schema and one mapping cost an append below 1.2 times, a read below 1.3 times."
    for workload in (append(1), append(32), append_hundred()):
        yield Aim(workload.name, WITHOUT, 1 / 1.2)
    for length in (100, 1_000, 10_000):
        yield Aim(read(length).name, WITHOUT, 1 / 1.3)
        yield Aim(hydrate(length).name, WITHOUT, 1 / 1.3)
    yield Aim(catch_up(0).name, WITHOUT, 1 / 1.3)


AIMS = tuple(_aims())
GROWTH_RATE_KEPT = 0.85


def verdicts(results: Results) -> list[Verdict]:
    """All aims on which the run has both figures."""
    found = []
    for aim in AIMS:
        own = results.find(aim.workload, EVENTFOLD)
        other = _peer(results, aim)
        if own is not None and other is not None:
            found.append(Verdict(aim.workload, other.candidate, aim.factor, own.rate / other.rate))
    return found + _growth(results)


def _peer(results: Results, aim: Aim) -> Figure | None:
    if aim.peer == ROWS:
        # The floor of a hydration is the read of the same rows.
        return results.find(aim.workload.replace("hydrate", "read"), ROWS)
    if aim.peer != _ANY_PEER:
        return results.find(aim.workload, aim.peer)
    names = [name for both in PEERS.values() for name in both]
    found = [one for name in names if (one := results.find(aim.workload, name)) is not None]
    # Without all of them nobody knows which one is the fastest.
    return max(found, key=lambda one: one.rate) if len(found) == len(names) else None


def _growth(results: Results) -> list[Verdict]:
    """The rate of appends at the last step against that at the first."""
    own = [one for one in results.figures if one.candidate == EVENTFOLD]
    found = []
    for workload in (append(1).name, append(32).name, append_hundred().name):
        steps = [one for one in own if one.workload.startswith(f"{workload}, at ")]
        if len(steps) > 1:
            what = steps[-1].workload
            start = f"itself{steps[0].workload.removeprefix(workload).replace(',', '', 1)}"
            factor = steps[-1].rate / steps[0].rate
            found.append(Verdict(what, start, GROWTH_RATE_KEPT, factor))
    return found
