"""Goal: rows of a projection that skips what is cancelled are those of a log in which it had never
been: whenever cancellations come, in every generation, and for keys that failed.

Method: random appends and cancellations on a real server while it projects; rows are compared with
a model, and the table with a fold from scratch by the server's own verification.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Iterator

import pytest
from tests.integration.server.conftest import Starter

import eventfold
from eventfold import ANY, Client, Event

SOURCE = """\
projection: {name}
source: {{category: {category}}}
key: "{key}"
{said}
skip_cancelled: true
initial: {{sum: 0, seen: []}}
handlers:
  Booked:
    sum: "state.sum + event.amount"
    seen: "state.seen + [meta.version]"
  BookedCancelled:
    seen: "state.seen + [-1]"
  Closed: delete
columns:
  sum: bigint
  seen: {{type: jsonb, value: state.seen}}
"""

Rows = dict[str, tuple[int, list[int]]]


@pytest.fixture(scope="module")
def store(start_shared: Starter) -> Iterator[Client]:
    with Client(start_shared().address) as opened:
        yield opened


class Traffic:
    """Streams of one category, some of whose events are cancelled."""

    def __init__(self, store: Client, seed: int) -> None:
        self.category = f"c{uuid.uuid4().hex[:10]}"
        self.name = f"p{uuid.uuid4().hex[:10]}"
        self._store = store
        self.chance = random.Random(seed)
        self._live: dict[str, list[str]] = defaultdict(list)
        self.position = 0

    def document(self, said: str = "", key: str = "meta.stream", name: str = "") -> str:
        name = name or self.name
        return SOURCE.format(name=name, category=self.category, said=said, key=key)

    def grow(self, steps: int) -> None:
        for _ in range(steps):
            stream = f"{self.category}-{self.chance.randrange(4)}"
            live = self._live[stream]
            if live and self.chance.random() < 0.4:
                cancelled = live.pop(self.chance.randrange(len(live)))
                correction = self.event() if self.chance.random() < 0.5 else None
                result = self._store.compensate(
                    stream, cancelled, reason="r", expected_version=ANY, correction=correction
                )
                live.extend([] if correction is None else [correction.id])
            else:
                events = [self.event() for _ in range(self.chance.randrange(1, 4))]
                result = self._store.append(stream, events, expected_version=ANY)
                live.extend(event.id for event in events)
            self.position = result.positions[-1]

    def event(self) -> Event:
        type_ = self.chance.choices(["Booked", "Noted", "Closed"], [8, 2, 1])[0]
        return Event(type_, {"amount": self.chance.randrange(100)})

    def expected(self) -> Rows:
        rows: Rows = {}
        for stream in self._live:
            events = self._store.read(stream).to_list()
            cancelled = {event.cancels for event in events}
            for event in events:
                if event.id in cancelled or event.cancels:
                    continue
                if event.type == "Closed":
                    rows.pop(stream, None)
                elif event.type == "Booked":
                    total, seen = rows.get(stream, (0, []))
                    rows[stream] = (total + event.data["amount"], [*seen, event.version])
        return rows

    def found(self, name: str = "") -> Rows:
        query = self._store.query_projection(
            name or self.name, at_least_position=self.position, timeout=30
        )
        return {row.key: (row.columns["sum"], row.columns["seen"]) for row in query}


@pytest.mark.parametrize("key", ["meta.stream", "meta.root"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_the_model(store: Client, seed: int, key: str) -> None:
    traffic = Traffic(store, seed)
    traffic.grow(10)
    store.put_projection(traffic.document(key=key), switch="when caught up")
    store.wait_projection(traffic.name)
    assert traffic.found() == traffic.expected()
    for _ in range(10):
        traffic.grow(traffic.chance.randrange(1, 6))
        assert traffic.found() == traffic.expected()
    assert store.verify_projection(traffic.name).keys_differing == 0
    tried = store.try_projection(traffic.document(key=key))
    found = {row.key: (row.columns["sum"], row.columns["seen"]) for row in tried.rows}
    assert found == traffic.expected()
    # And a generation that meets all of it at once.
    store.rebuild_projection(traffic.name, switch="when caught up")
    traffic.grow(5)
    store.wait_projection(traffic.name)
    assert traffic.found() == traffic.expected()
    assert store.verify_projection(traffic.name).keys_differing == 0


def test_a_key_of_other_streams_is_refused(store: Client) -> None:
    traffic = Traffic(store, 0)
    with pytest.raises(eventfold.InvalidProjection, match="cancels one of its own stream"):
        store.put_projection(traffic.document(key="meta.type"))


@pytest.mark.parametrize("said", ["on_error: park", "on_error: stop"])
def test_an_event_that_fails_is_passed_over_once_it_is_cancelled(store: Client, said: str) -> None:
    traffic = Traffic(store, 5)
    stream = f"{traffic.category}-1"
    good = [Event("Booked", {"amount": 1}), Event("Booked", {"amount": 2})]
    bad = Event("Booked", {"amount": "no number"})
    store.append(stream, [*good, bad], expected_version=0)
    store.put_projection(traffic.document(said), switch="when caught up")
    if "park" in said:
        store.wait_projection(traffic.name)
        [parked] = store.list_parked_keys(traffic.name)
        assert parked.key == stream
    else:
        with pytest.raises(eventfold.ProjectionStopped):
            store.wait_projection(traffic.name, timeout=30)
    store.append(stream, [Event("Booked", {"amount": 4})], expected_version=3)
    store.compensate(stream, good[0], reason="r", expected_version=4)
    result = store.compensate(stream, bad, reason="no number", expected_version=5)
    generation = 0 if "park" in said else 1
    store.retry_projection(traffic.name, generation=generation)
    store.wait_projection(traffic.name)
    traffic.position = result.positions[-1]
    assert traffic.found() == {stream: (6, [2, 4])}
    assert list(store.list_parked_keys(traffic.name)) == []
    assert store.verify_projection(traffic.name).keys_differing == 0


def test_a_key_that_fails_when_it_is_folded_anew(store: Client) -> None:
    """Without an event, one that was fine before fails: the key is parked with the row it had."""
    traffic = Traffic(store, 6)
    stream = f"{traffic.category}-1"
    source = traffic.document("on_error: park")
    fails = "state.sum + event.amount * state.seen[0]"
    source = source.replace("state.sum + event.amount", fails)
    source = source.replace("  Booked:\n", "  Began: {seen: '[1]'}\n  Booked:\n", 1)
    begun = Event("Began")
    store.append(stream, [begun, Event("Booked", {"amount": 3})], expected_version=0)
    store.put_projection(source, switch="when caught up")
    store.wait_projection(traffic.name)
    result = store.compensate(stream, begun, reason="r", expected_version=2)
    traffic.position = result.positions[-1]
    assert traffic.found() == {stream: (3, [1, 2])}
    [parked] = store.list_parked_keys(traffic.name)
    assert (parked.key, parked.events) == (stream, 1)
    # Mended by another cancellation: nothing is left of the stream.
    booked = store.read(stream, from_version=2, to_version=2).to_list()[0]
    store.compensate(stream, booked, reason="r", expected_version=3)
    assert store.retry_projection(traffic.name).keys_mended == 1
    assert traffic.found() == {}
