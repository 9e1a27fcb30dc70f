"""Goal: a fold with `skip_cancelled` comes to the state of a stream in which what is cancelled, and
its cancellations, had never been: at every point in time, whichever call asks, and whatever states
were kept before.

Method: random streams with cancellations, built up by calls on a real server; every answer is
compared with a model of a few lines. States are kept often or never, by two servers.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.integration.server.conftest import Starter

import eventfold
from eventfold import Client, Event, Fold, RecordedEvent

SOURCE = """\
fold: NAME
KEEP
skip_cancelled: SKIP
initial: {sum: 0, seen: []}
handlers:
  Booked:
    sum: "state.sum + event.amount"
    seen: "state.seen + [meta.version]"
  BookedCancelled:
    seen: "state.seen + [-meta.version]"
  Closed: delete
"""
KEEPS = {"often": "keep: {every: 2}", "never": "keep: off", "unsaid": ""}
START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def document(name: str, keep: str = "", skip: bool = True) -> str:
    text = SOURCE.replace("NAME", name).replace("SKIP", str(skip).lower())
    return text.replace("KEEP\n", f"{keep}\n" if keep else "")


@dataclass
class State:
    """What the model knows of a state."""

    exists: bool = False
    sum: int = 0
    seen: list[int] = field(default_factory=list)
    deleted: bool = False
    version: int = 0

    def shown(self) -> tuple[bool, Any, int]:
        state = None if self.deleted else {"sum": self.sum, "seen": self.seen}
        return self.exists, state, self.version


def model(events: Sequence[RecordedEvent], skip: bool = True) -> State:
    """The state of events as if those that they cancel had not been."""
    cancelled = {event.cancels for event in events if event.cancels}
    state = State()
    for event in events:
        state.version = event.version
        if skip and (event.id in cancelled or event.cancels):
            continue
        if event.type == "Closed":
            state = State(deleted=True, version=event.version)
            continue
        if event.type in ("Booked", "BookedCancelled"):
            if state.deleted:
                state = State(version=event.version)
            booked = event.type == "Booked"
            state.sum += int(event.data["amount"]) if booked else 0
            state.seen = [*state.seen, event.version if booked else -event.version]
            state.exists = True
        elif not state.deleted:
            state.exists = True
    return state


def shown(one: Any) -> tuple[bool, Any, int]:
    return one.exists, one.state, one.version


@pytest.fixture(scope="module")
def stores(start_shared: Starter) -> Iterator[tuple[Client, Client]]:
    one = start_shared()
    two = start_shared(schema=one.options["schema"])
    with Client(one.address) as first, Client(two.address) as second:
        for keep, text in KEEPS.items():
            first.put_fold(document(keep, text))
        yield first, second


def act(store: Client, stream: str, chance: random.Random, live: list[str]) -> None:
    """One more append, or a cancellation of an event that is not cancelled."""
    occurred = START + dt.timedelta(days=chance.randrange(10))
    if live and chance.random() < 0.35:
        event = live.pop(chance.randrange(len(live)))
        correction = None
        if chance.random() < 0.5:
            correction = Event("Booked", {"amount": chance.randrange(100)}, occurred_at=occurred)
            live.append(correction.id)
        store.compensate(
            stream,
            event,
            reason="r",
            expected_version=eventfold.EXISTS,
            correction=correction,
            occurred_at=occurred,
            type=chance.choice([None, "Undone"]),
        )
        return
    types = chance.choices(["Booked", "Noted", "Closed"], [8, 1, 1], k=chance.randrange(1, 4))
    events = [
        Event(type_, {"amount": chance.randrange(100)}, occurred_at=occurred) for type_ in types
    ]
    store.append(stream, events, expected_version=eventfold.ANY)
    live.extend(event.id for event in events)


@pytest.mark.parametrize("seed", range(12))
def test_states_are_those_of_the_model(stores: tuple[Client, Client], seed: int) -> None:
    chance = random.Random(seed)
    stream = f"ledger-{uuid.uuid4().hex}"
    category, _, id_ = stream.partition("-")
    live: list[str] = []
    for _ in range(chance.randrange(5, 16)):
        act(stores[0], stream, chance, live)
        # Whatever is kept by now: the next cancellation must not be hidden by it.
        events = stores[0].read(stream).to_list()
        for keep in KEEPS:
            store = chance.choice(stores)
            version = chance.choice([None, chance.randrange(len(events) + 1)])
            expected = model(events[:version]).shown()
            found = store.hydrate(category, id_, fold=keep, version=version)
            assert shown(found) == expected, (keep, version)
    for store in stores:
        check_all(store, stream, events)


def check_all(store: Client, stream: str, events: list[RecordedEvent]) -> None:
    category, _, id_ = stream.partition("-")
    states = [model(events[:version]) for version in range(len(events) + 1)]
    for keep in (*KEEPS, Fold.load(document("local"))):
        for version, state in enumerate(states):
            assert shown(store.hydrate(category, id_, fold=keep, version=version)) == state.shown()
        for event, state in zip(events, states[1:], strict=True):
            at = store.hydrate(category, id_, fold=keep, position=event.position)
            assert shown(at) == state.shown()
            known = [one for one in events if one.recorded_at <= event.recorded_at]
            at = store.hydrate(category, id_, fold=keep, recorded_at=event.recorded_at)
            assert shown(at) == model(known).shown()
            known = [one for one in events if one.occurred_at <= event.occurred_at]
            at = store.hydrate(category, id_, fold=keep, occurred_at=event.occurred_at)
            assert shown(at) == model(known).shown()
        for begin in range(1, len(events) + 1):
            history = list(store.hydrate_history(category, id_, fold=keep, from_version=begin))
            assert [shown(one) for one in history] == [one.shown() for one in states[begin:]]
        upper = len(events) // 2 + 1
        history = list(store.hydrate_history(category, id_, fold=keep, to_version=upper))
        assert [shown(one) for one in history] == [one.shown() for one in states[1 : upper + 1]]
        many = store.hydrate_many([stream], fold=keep)[stream]
        assert shown(many) == states[-1].shown()
        check_explained(store, stream, keep, states)
    local = Fold.load(document("local"))
    for version, state in enumerate(states[1:], start=1):
        assert shown(local.apply(None, events[:version])) == state.shown()


def check_explained(store: Client, stream: str, fold: Any, states: list[State]) -> None:
    category, _, id_ = stream.partition("-")
    for begin in {1, len(states) // 2, len(states) - 1}:
        explained = list(store.explain(category, id_, fold=fold, from_version=begin))
        assert [one.version for one in explained] == list(range(begin, len(states)))
        for one in explained:
            before, after = states[one.version - 1], states[one.version]
            assert one.exists == after.exists
            sums = [change for change in one.changes if change.path == "sum"]
            whole = before.deleted or after.deleted
            if not whole:
                changed = [(before.sum, after.sum)] if before.sum != after.sum else []
                assert [(change.before, change.after) for change in sums] == changed
                assert bool(one.changes) == (
                    (before.sum, before.seen) != (after.sum, after.seen)
                ), one


@pytest.mark.parametrize("seed", range(6))
def test_watches_tell_the_states_of_the_model(stores: tuple[Client, Client], seed: int) -> None:
    chance = random.Random(100 + seed)
    stream = f"ledger-{uuid.uuid4().hex}"
    live: list[str] = []
    for _ in range(4):
        act(stores[0], stream, chance, live)
    first = chance.randrange(1, stores[0].get_stream(stream).version + 1)
    watches = [
        store.watch(stream, fold=keep, from_version=first)
        for keep in ("often", "unsaid")
        for store in stores
    ]
    told: list[list[tuple[bool, Any, int]]] = [[] for _ in watches]

    def take(version: int) -> None:
        for watch, states in zip(watches, told, strict=True):
            while not states or states[-1][2] < version:
                states.append(shown(next(watch)))

    try:
        take(stores[0].get_stream(stream).version)
        for _ in range(8):
            act(stores[1], stream, chance, live)
            # Sometimes what comes finds the watch at the head, sometimes several at once.
            if chance.random() < 0.7:
                take(stores[0].get_stream(stream).version)
        events = stores[0].read(stream).to_list()
        take(len(events))
    finally:
        for watch in watches:
            watch.close()
    expected = [model(events[:version]).shown() for version in range(first, len(events) + 1)]
    for states in told:
        assert states == expected


def test_many_streams_at_once(stores: tuple[Client, Client]) -> None:
    chance = random.Random(7)
    category = f"many{uuid.uuid4().hex[:8]}"
    streams = [f"{category}-{number}" for number in range(20)]
    for stream in streams:
        live: list[str] = []
        for _ in range(chance.randrange(1, 8)):
            act(stores[0], stream, chance, live)
            stores[0].hydrate_many([stream], fold="often")
    expected = {stream: model(stores[0].read(stream).to_list()).shown() for stream in streams}
    streams.append(f"{category}-none")
    expected[streams[-1]] = State().shown()
    for keep in KEEPS:
        found = stores[1].hydrate_many(streams, fold=keep)
        assert {stream: shown(found[stream]) for stream in streams} == expected


def test_without_it_folds_see_cancellations_as_any_other_events(
    stores: tuple[Client, Client],
) -> None:
    chance = random.Random(3)
    stream = f"ledger-{uuid.uuid4().hex}"
    live: list[str] = []
    for _ in range(10):
        act(stores[0], stream, chance, live)
    events = stores[0].read(stream).to_list()
    fold = Fold.load(document("plain", skip=False))
    category, _, id_ = stream.partition("-")
    for version in range(1, len(events) + 1):
        found = stores[0].hydrate(category, id_, fold=fold, version=version)
        assert shown(found) == model(events[:version], skip=False).shown()
    assert any(event.cancels for event in events)


def test_long_streams_are_cut_into_pages(stores: tuple[Client, Client]) -> None:
    """What is cancelled in the first page is known before its cancellation is read."""
    store = stores[0]
    stream = f"ledger-{uuid.uuid4().hex}"
    events = [Event("Booked", {"amount": 1, "pad": "x" * 2_000}) for _ in range(2_000)]
    for first in range(0, len(events), 500):
        store.append(stream, events[first : first + 500], expected_version=eventfold.ANY)
    category, _, id_ = stream.partition("-")
    assert store.hydrate(category, id_, fold="unsaid").state["sum"] == 2_000
    for index in (3, 1_999):
        store.compensate(stream, events[index], reason="r", expected_version=eventfold.EXISTS)
    for fold in KEEPS:
        assert store.hydrate(category, id_, fold=fold).state["sum"] == 1_998
        assert store.hydrate(category, id_, fold=fold, version=2_001).state["sum"] == 1_999
        assert store.hydrate_many([stream], fold=fold)[stream].state["sum"] == 1_998


def test_a_state_that_has_seen_what_is_cancelled_is_not_gone_on_from(
    stores: tuple[Client, Client],
) -> None:
    store = stores[0]
    stream = f"ledger-{uuid.uuid4().hex}"
    wrong, right = Event("Booked", {"amount": 1}), Event("Booked", {"amount": 2})
    store.append(stream, [wrong, right], expected_version=0)
    fold = Fold.load(document("local"))
    events = store.read(stream).to_list()
    before = fold.apply(None, events)
    store.compensate(stream, wrong, reason="r", expected_version=2)
    [cancellation] = store.read(stream, from_version=3)
    with pytest.raises(eventfold.InvalidValue, match="fold from the first event"):
        fold.apply(before, [cancellation])
    assert fold.apply(None, [*events, cancellation]).state["sum"] == 2
    # One that another fold takes for any other event.
    plain = Fold.load(document("plain", skip=False))
    assert plain.apply(plain.apply(None, events), [cancellation]).state["seen"] == [1, 2, -3]


def test_check_fold_passes_over_what_is_cancelled(stores: tuple[Client, Client]) -> None:
    store = stores[0]
    category = f"checked{uuid.uuid4().hex[:8]}"
    broken = Event("Booked", {"amount": "no number"})
    store.append(f"{category}-1", [Event("Booked", {"amount": 1}), broken], expected_version=0)
    fold = Fold.load(document("local"))
    assert store.check_fold(fold, category).failed_streams == 1
    store.compensate(f"{category}-1", broken, reason="not a number", expected_version=2)
    assert store.check_fold(fold, category).failed_streams == 0
    assert store.hydrate(category, "1", fold=fold).state["sum"] == 1


def test_periods_that_were_closed(stores: tuple[Client, Client]) -> None:
    """What is cancelled in a period counts there; the state that it carries is without it."""
    store = stores[0]
    stream = f"ledger-{uuid.uuid4().hex}"
    wrong, right = (Event("Booked", {"amount": amount}) for amount in (100, 1))
    store.append(stream, [wrong, right], expected_version=0)
    store.compensate(stream, wrong, reason="r", expected_version=2)
    store.close_stream(stream, expected_version=3, folds=["often"], successor=f"{stream}@2")
    late = [Event("Booked", {"amount": amount}) for amount in (10, 200, 20)]
    store.append(f"{stream}@2", late, expected_version=1)
    category, _, id_ = f"{stream}@2".partition("-")
    assert store.hydrate(category, id_, fold="often").state["sum"] == 231
    store.compensate(f"{stream}@2", late[1], reason="r", expected_version=4)
    for found in (
        store.hydrate(category, id_, fold="often"),
        store.hydrate_many([f"{stream}@2"], fold="often")[f"{stream}@2"],
        list(store.hydrate_history(category, id_, fold="often"))[-1],
    ):
        assert found.state["sum"] == 31
    assert store.hydrate(category, id_, fold="often", version=4).state["sum"] == 231
    with pytest.raises(eventfold.StreamClosed):
        store.compensate(stream, right, reason="r", expected_version=eventfold.ANY)
