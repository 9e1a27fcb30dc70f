"""Goal: a fold gives the same in the process of the client as on the server.

Method: random events, stored on a real server; states byte for byte, or the same refusal.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

import eventfold
from eventfold import Client, Event, Fold, Hydrated

FOLDS = [
    Fold(
        "fold: ledger\ninitial: {balance: 0, entries: [], by_kind: {}}\nhandlers:\n"
        '  Booked: {balance: "state.balance + event.amount", '
        'entries: "state.entries + [event.amount]", '
        '"by_kind[event.kind]": "state.by_kind[?event.kind].orValue(0) + 1"}\n'
        '  Noted: {note: "event.?text"}\n'
        "  Closed: delete\n"
    ),
    Fold(
        "fold: random\ninitial: {list: [], map: {}}\nhandlers:\n"
        '  Booked: {"list": "state.list + [event.?kind.orValue(meta.type)]", '
        '"map[event.?kind.orValue(\'none\')]": "event"}\n'
        '  Noted: [{when: "has(event.text)", "map.note": "event.text"}, '
        '{"last": "[meta.version, meta.id, string(meta.recorded_at), meta.tags]"}]\n'
        '  Closed: {when: "meta.version % 2 == 0", delete: true}\n'
    ),
]
amounts = st.integers(-(10**30), 10**30) | st.decimals(
    allow_nan=False, allow_infinity=False, places=3
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "amount": amounts | st.none() | st.text("xyz", max_size=3),
        "kind": st.text("ab'é.", max_size=3) | st.none(),
        "text": st.recursive(
            amounts | st.booleans() | st.text('té\n"', max_size=4),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text("kl", max_size=2), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    },
)
histories = st.lists(
    st.tuples(st.sampled_from(["Booked", "Noted", "Closed", "Other"]), payloads), max_size=12
)


def outcome(fold: Callable[[], Hydrated]) -> Any:
    try:
        found = fold()
    except eventfold.EventfoldError as error:
        return error.reason, {
            name: error.facts.get(name) for name in ("handler", "path", "version")
        }
    return found.state_json, found.exists, found.version, found.events_folded


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(histories, st.sampled_from(FOLDS), st.integers(0, 12))
def test_local_folds_are_those_of_the_server(
    shared_store: Client, history: list[tuple[str, Any]], fold: Fold, split: int
) -> None:
    stream = f"random-{uuid.uuid4().hex}"
    events = [Event(type_, data, tags=["t"]) for type_, data in history]
    if events:
        shared_store.append(stream, events, expected_version=0)
    stored = list(shared_store.read(stream)) if events else []
    wanted = outcome(lambda: shared_store.hydrate_stream(stream, fold=fold))
    assert outcome(lambda: fold.apply(None, stored, stream=stream)) == wanted
    if isinstance(wanted[0], bytes):
        begun = fold.apply(None, stored[:split], stream=stream)
        resumed = fold.apply(begun, stored[split:], stream=stream)
        assert (resumed.state_json, resumed.exists) == (wanted[0], wanted[1])


@pytest.fixture(scope="module")
def shared_store(eventfold_server: Any) -> Iterator[Client]:
    with eventfold_server.store() as target, Client(target) as client:
        yield client
