"""Goal: every fold comes to what a plain model says, whatever was carried through a line.

Method: random lines of periods on a server: events, closes that carry some of four folds (two of
them versions of one name, one with a handler for the opening event), and after each close the
states of all folds on all streams, alone and through all periods, beside a model in Python.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.support.closing import account

import eventfold
from eventfold import ANY, Client, Event

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Model:
    """A fold, as a document and in plain Python."""

    name: str
    factor: int
    # Whether the opening event is an event to it, which adds 1,000.
    opens: bool = False

    @property
    def document(self) -> dict[str, Any]:
        document = account(self.name, factor=self.factor)
        document["initial"] = {"balance": 0}
        document["handlers"]["Deposited"] = {"balance": f"state.balance + event.n * {self.factor}"}
        document["handlers"]["Withdrawn"] = {"balance": f"state.balance - event.n * {self.factor}"}
        if self.opens:
            document["handlers"]["$Opened"] = {"balance": "state.balance + 1000"}
        return document

    def fold(self, state: int | None, events: list[tuple[str, int]]) -> int | None:
        """The balance; None: deleted."""
        for kind, n in events:
            if kind == "Emptied":
                state = None
            elif kind == "Opened" and self.opens:
                state = (state or 0) + 1000
            elif kind in ("Deposited", "Withdrawn"):
                sign = 1 if kind == "Deposited" else -1
                state = (state or 0) + sign * n * self.factor
        return state


FOLDS = [
    Model("account", 1),
    Model("account", 2),
    Model("other", 1),
    Model("opening", 3, opens=True),
]


@dataclass
class Period:
    """One stream of the line."""

    name: str
    events: list[tuple[str, int]] = field(default_factory=list)
    # By name of the fold: its factor and the state.
    carried: dict[str, tuple[int, int | None]] = field(default_factory=dict)


NOT_CARRIED = "STATE_NOT_CARRIED"


class Line:
    """A line of periods, as it must be."""

    def __init__(self, root: str) -> None:
        self.periods = [Period(root)]

    def through(self, fold: Model, last: int) -> int | None:
        return fold.fold(0, [one for period in self.periods[: last + 1] for one in period.events])

    def alone(self, fold: Model, index: int) -> int | str | None:
        """The state on one stream; NOT_CARRIED: there is none."""
        period = self.periods[index]
        if index == 0 or fold.opens:
            return fold.fold(0, period.events)
        if fold.name not in period.carried:
            return NOT_CARRIED
        factor, state = period.carried[fold.name]
        if factor != fold.factor:
            return self.through(fold, index)
        return fold.fold(state, period.events)


def outcome(store: Client, stream: str, fold: Model, **more: Any) -> int | str | None:
    try:
        found = store.hydrate_stream(stream, fold=fold.document, **more)
    except eventfold.StateNotCarried as refused:
        return refused.reason
    assert found.exists == (found.state is not None)
    return None if found.state is None else int(found.state["balance"])


events = st.lists(
    st.tuples(st.sampled_from(["Deposited", "Withdrawn", "Emptied", "Noted"]), st.integers(0, 99)),
    min_size=1,
    max_size=4,
)
closes = st.sets(st.sampled_from(range(len(FOLDS))), max_size=3).filter(lambda s: not {0, 1} <= s)


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(st.lists(st.tuples(events, closes, st.booleans()), min_size=2, max_size=5))
def test_lines_at_random(
    closing_address: str, line: list[tuple[list[tuple[str, int]], set[int], bool]]
) -> None:
    with Client(closing_address, timeout=30) as store:
        run(store, f"random{next(NUMBERS)}-1", line)


def run(store: Client, root: str, line: list[tuple[list[tuple[str, int]], set[int], bool]]) -> None:
    model = Line(root)
    for events, folds, through in line:
        period = model.periods[-1]
        store.append(
            period.name, [Event(kind, {"n": n, "by": "x"}) for kind, n in events],
            expected_version=ANY,
        )  # fmt: skip
        period.events += events
        index = len(model.periods) - 1
        carried = [FOLDS[number] for number in sorted(folds)]
        states = {
            fold.name: (fold.factor, state)
            for fold in carried
            if (state := model.alone(fold, index)) != NOT_CARRIED
        }
        successor = f"{root}@{index + 1}"
        lacks = [fold for fold in carried if fold.name not in states]
        if lacks and not through:
            with pytest.raises(eventfold.StateNotCarried) as refused:
                close(store, period.name, successor, carried, None)
            assert refused.value.fold in {fold.name for fold in lacks}
            carried = [fold for fold in carried if fold not in lacks]
            close(store, period.name, successor, carried, None)
        else:
            states |= {fold.name: (fold.factor, model.through(fold, index)) for fold in lacks}
            close(store, period.name, successor, carried, "all" if through else None)
        model.periods.append(Period(successor, [("Opened", 0)], states))  # type: ignore[arg-type]
        check(store, model)


def close(store: Client, stream: str, successor: str, folds: list[Model], follow: Any) -> None:
    documents = [fold.document for fold in folds]
    store.close_stream(stream, successor=successor, folds=documents, follow=follow)


def check(store: Client, model: Line) -> None:
    names = [period.name for period in model.periods]
    for fold in FOLDS:
        wanted = [model.alone(fold, index) for index in range(len(names))]
        assert [outcome(store, name, fold) for name in names] == wanted
        through = model.through(fold, len(names) - 1)
        assert outcome(store, names[0], fold, follow="all") == through
        many = store.hydrate_many(names, fold=fold.document)
        for name, state in zip(names, wanted, strict=True):
            if state == NOT_CARRIED:
                assert many.errors[name].reason == NOT_CARRIED
            else:
                found = many.hydrated[name].state
                assert (None if found is None else found["balance"]) == state
