"""Goal: kept states are gone on from wherever they lead, are kept as the fold says, and go when no
fold asks for them.

Method: two servers; a kept state is exchanged for another one with the same event, which no log
could tell: an answer that shows it went on from it.
"""

from __future__ import annotations

import time

from tests.support.kept import KeptStore, box, put

import eventfold
from eventfold import Client

MARK = '{"sum":1000,"items":[],"by":{}}'


def fill(client: Client, streams: list[str], events: int) -> None:
    for stream in streams:
        client.append(stream, [put() for _ in range(events)], expected_version=eventfold.ANY)


def mark(store: KeptStore) -> None:
    store.sql("UPDATE {s}.kept_states SET state = %s", MARK.encode())


def test_many_streams_leave_states_and_go_on_from_them(store: KeptStore) -> None:
    first, second = store.clients
    first.put_fold(box(1, every=3))
    few, enough = ["box-1", "box-2"], ["box-3", "box-4", "box-5"]
    fill(first, few, 2)
    fill(first, enough, 4)
    first.hydrate_many([*few, *enough], fold="box")
    store.wait_kept(dict.fromkeys(enough, 4))
    fill(first, enough, 2)
    mark(store)
    # It has none of them in its memory.
    found = second.hydrate_many([*few, *enough, "box-6"], fold="box").hydrated
    for stream in enough:
        one = found[stream]
        assert (one.state["sum"], one.version, one.kept_version) == (1002, 6, 4)
        assert (one.events_read, one.events_folded) == (3, 2)
    for stream in few:
        assert (found[stream].state["sum"], found[stream].events_read) == (2, 2)
    # Two events more are too few to be kept again.
    time.sleep(0.3)
    store.wait_kept(dict.fromkeys(enough, 4))
    # From its own memory, which the table cannot change any more.
    store.sql("DELETE FROM {s}.kept_states")
    again = second.hydrate_many(enough, fold="box").hydrated
    assert {(one.state["sum"], one.kept_version) for one in again.values()} == {(1002, 4)}


def test_a_history_and_an_explanation_go_on(store: KeptStore) -> None:
    first, second = store.clients
    first.put_fold(box(1, every=3))
    fill(first, ["box-1"], 4)
    first.hydrate("box", "1", fold="box")
    store.wait_kept({"box-1": 4})
    fill(first, ["box-1"], 2)
    mark(store)
    states = list(second.hydrate_history("box", "1", fold="box", from_version=5))
    assert [(one.version, one.state["sum"]) for one in states] == [(5, 1001), (6, 1002)]
    for reader, version in ((second, 6), (store.start(), 5)):
        [step] = reader.explain("box", "1", fold="box", from_version=version, to_version=version)
        [change] = [one for one in step.changes if one.path == "sum"]
        assert (change.before, change.after) == (995 + version, 996 + version)
    # Where it does not lead, the first event is the start.
    states = list(first.hydrate_history("box", "1", fold="box", from_version=4))
    assert [one.state["sum"] for one in states] == [4, 5, 6]


def test_a_history_leaves_its_last_state(store: KeptStore) -> None:
    first = store.clients[0]
    first.put_fold(box(1, every=3))
    fill(first, ["box-1"], 5)
    list(first.hydrate_history("box", "1", fold="box", to_version=2))
    list(first.hydrate_history("box", "1", fold="box", from_version=2, to_version=4))
    store.wait_kept({"box-1": 4})


def test_large_kept_states_come_in_parts(store: KeptStore) -> None:
    """More than goes into one answer of PostgreSQL."""
    first, second = store.clients
    first.put_fold({"fold": "text", "keep": {"every": 1}, "handlers": {"T": {"t": "event.t"}}})
    streams = [f"text-{number}" for number in range(12)]
    for number, stream in enumerate(streams):
        event = eventfold.Event("T", {"t": str(number) * 300_000})
        first.append(stream, [event], expected_version=0)
    for _ in range(2):
        # What waits to be written is bounded.
        first.hydrate_many(streams, fold="text")
    store.wait_kept(dict.fromkeys(streams, 1))
    found = second.hydrate_many(streams, fold="text").hydrated
    for number, stream in enumerate(streams):
        assert found[stream].state["t"][0] == str(number)[0]
        assert (found[stream].kept_version, found[stream].events_read) == (1, 1)


def test_off_keeps_nothing(store: KeptStore) -> None:
    first = store.clients[0]
    first.put_fold({**box(1), "keep": "off"})
    fill(first, ["box-1"], 9)
    for _ in range(3):
        assert first.hydrate("box", "1", fold="box").kept_version == 0
        assert first.hydrate_many(["box-1"], fold="box").hydrated["box-1"].kept_version == 0
    time.sleep(0.3)
    assert store.kept() == {}
