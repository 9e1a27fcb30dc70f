"""States in time through the bindings: parts of pages, histories, explanations, coverage.

The semantics are tested in Rust; here is what the bindings add: conversions, exceptions, and
messages that the generated stubs can read.
"""

import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from tests.support.pages import EPOCH_US, OIDS, array

from eventfold import _core
from eventfold.v1 import folds_pb2 as pb

RECORDED_US = 1_700_000_000_000_000
STREAM, VERSION, POSITION, EVENT_ID, TYPE, DATA, RECORDED_AT, WRITER, FLAGS = (
    *range(6),
    8,
    10,
    11,
)
ID = "01890000-0000-7000-8000-{:012d}"
SOURCE = """
fold: account
initial: {balance: 0, limits: {}, transfers: []}
handlers:
  Deposited: {balance: state.balance + event.amount, note: event.?note}
  Sent:
    - {when: event.amount > 100, large: true}
    - {transfers: "state.transfers + [{'to': event.to}]"}
  Limited: {"limits[event.kind]": event.value}
  Text: {text: event.text}
  Closed: delete
"""
EVENTS = [
    ("Deposited", b'{"amount":5}'),
    ("Sent", b'{"amount":1,"to":"B"}'),
    ("Other", b"{}"),
    ("Limited", b'{"kind":"per day","value":7}'),
]


def page(
    events: Sequence[tuple[str, bytes]], first: int = 1, streams: Sequence[str] = ()
) -> _core.Batch:
    """A page of events from version `first` on."""
    versions = range(first, first + len(events))
    numbers = [struct.pack(">q", version) for version in versions]
    time = struct.pack(">q", RECORDED_US - EPOCH_US)
    columns: dict[int, list[bytes]] = {
        STREAM: [stream.encode() for stream in streams],
        VERSION: numbers,
        POSITION: numbers,
        EVENT_ID: [UUID(ID.format(version)).bytes for version in versions],
        TYPE: [type_.encode() for type_, _ in events],
        DATA: [data for _, data in events],
        RECORDED_AT: [time] * len(events),
        WRITER: [b"me"] * len(events),
        FLAGS: [struct.pack(">i", 1)] * len(events),
    }
    cells = [columns.get(column, []) for column in range(len(OIDS))]
    return _core.Batch(
        [array(oid, cell) if cell else None for oid, cell in zip(OIDS, cells, strict=True)]
    )


def begin() -> _core.FoldRun:
    return _core.Fold(SOURCE).run("account-1", "account-1")


def messages(
    encode: Callable[[_core.Batch, int, int], tuple[bytes, int]], batch: _core.Batch, version: int
) -> list[bytes]:
    """All messages about a page, the way that the server asks for them."""
    found, index = [], 0
    while index < len(batch):
        message, index = encode(batch, index, version)
        found.append(message)
    return found


def texts(count: int, size: int) -> list[tuple[str, bytes]]:
    return [("Text", b'{"text":"%s"}' % (b"%c" % (97 + n % 26) * size)) for n in range(count)]


def test_the_semantics_have_a_number() -> None:
    assert _core.FOLD_SEMANTICS >= 1


def test_rows_tell_version_id_and_stream() -> None:
    batch = page(EVENTS, 7, ["a-1", "a-1", "b-1", "a-1"])
    assert [batch.version(index) for index in range(4)] == [7, 8, 9, 10]
    assert batch.event_id(3) == ID.format(10)
    assert batch.streams() == [("a-1", 0, 2), ("b-1", 2, 3), ("a-1", 3, 4)]
    for ask in (batch.version, batch.event_id):
        with pytest.raises(IndexError, match="row 4 of 4"):
            ask(4)
        with pytest.raises(OverflowError):
            ask(-1)
    with pytest.raises(_core.CoreError, match="BUG"):
        page(EVENTS).streams()
    assert _core.Batch([None] * 17).streams() == []


def test_rows_of_one_stream_are_picked() -> None:
    """As a watch does with the pages of the tail; what is picked is a page like others."""
    batch = page(EVENTS, 7, ["a-1", "a-1", "b-1", "a-1"])
    for source in (batch, batch.compact()):
        picked = source.of_stream("a-1", 0)
        assert [picked.version(index) for index in range(len(picked))] == [7, 8, 10]
        assert picked.streams() == [("a-1", 0, 3)]
        assert picked.encode() == page(EVENTS[:2], 7, ["a-1"] * 2).encode() + (
            page(EVENTS[3:], 10, ["a-1"]).encode()
        )
        assert len(source.of_stream("a-1", 2)) == 1
        # The end of a name, or its beginning, is another name.
        for stream, first in (("a-", 0), ("a-11", 0), ("c-1", 0), ("a-1", 4), ("a-1", 99)):
            assert len(source.of_stream(stream, first)) == 0
    assert len(page(EVENTS).of_stream("a-1", 0)) == 0


def test_a_history_takes_turns_with_others() -> None:
    """No further event is begun when the steps are spent; one always is."""
    batch = page(EVENTS * 10)
    whole = messages(begin().history, batch, 1)
    run = begin()
    parts, index = [], 0
    while index < len(batch):
        message, after = run.history(batch, index, 1, 1)
        assert after > index
        parts.append(message)
        index = after
    assert len(parts) > 10
    assert b"".join(parts) == b"".join(whole)


def test_parts_of_pages_are_fed() -> None:
    batch = page(EVENTS)
    run = begin()
    for first, last, version in [(0, 1, 1), (1, 1, 1), (1, -3, 1), (1, 3, 3), (3, 99, 4)]:
        run.feed(batch, first, last)
        assert run.finish().version == version
    whole = begin()
    whole.feed(batch)
    assert whole.finish().state == run.finish().state
    skipping = begin()
    skipping.feed(batch, 2)
    assert skipping.finish().events_read == 2
    with pytest.raises(OverflowError):
        run.feed(batch, -1)


def test_a_history_has_every_state() -> None:
    (message,) = messages(begin().history, page(EVENTS), 1)
    states = pb.HydrateHistoryResponse.FromString(message).states
    run = begin()
    for index, state in enumerate(states):
        run.feed(page(EVENTS), index, index + 1)
        result = run.finish()
        assert (state.version, state.position) == (result.version, result.position)
        assert (state.exists, state.state) == (result.exists, result.state)
        assert state.event_id == ID.format(index + 1)
        assert state.type == EVENTS[index][0]
        assert state.recorded_at.ToMicroseconds() == RECORDED_US
        assert state.occurred_at.ToMicroseconds() == RECORDED_US
    (message,) = messages(begin().history, page(EVENTS), 3)
    assert list(pb.HydrateHistoryResponse.FromString(message).states) == list(states[2:])
    assert messages(begin().history, page(EVENTS), 5) == [b""]


def test_explanations_tell_what_changed() -> None:
    (message,) = messages(begin().explain, page([*EVENTS, ("Closed", b"{}")]), 1)
    events = pb.ExplainResponse.FromString(message).events
    changes = [
        [(change.path, change.before, change.after) for change in event.changes] for event in events
    ]
    assert changes[:4] == [
        [("balance", b"0", b"5")],
        [("transfers[0]", b"", b'{"to":"B"}')],
        [],
        [("limits['per day']", b"", b"7")],
    ]
    assert [(path, after) for path, _, after in changes[4]] == [(".", b"null")]
    assert [event.handled for event in events] == [True, True, False, True, True]
    assert [event.exists for event in events] == [True, True, True, True, False]
    assert [event.version for event in events] == [1, 2, 3, 4, 5]


def test_messages_are_of_bounded_size() -> None:
    batch = page(texts(6, 400_000))
    states = [
        [state.version for state in pb.HydrateHistoryResponse.FromString(message).states]
        for message in messages(begin().history, batch, 2)
    ]
    assert states == [[2, 3], [4, 5], [6]]
    explained = [
        [event.version for event in pb.ExplainResponse.FromString(message).events]
        for message in messages(begin().explain, batch, 1)
    ]
    assert explained == [[1], [2], [3], [4], [5], [6]]
    (first, second) = messages(begin().explain, page(texts(2, 2_000_000)), 1)
    assert len(first) < 4 << 20
    (event,) = pb.ExplainResponse.FromString(second).events
    assert (len(event.changes), event.changes_left_out) == (0, 1)


@pytest.mark.parametrize("how", ["history", "explain"])
def test_what_came_before_an_error_is_given_first(how: str) -> None:
    batch = page([*EVENTS, ("Deposited", b'{"amount":"x"}'), EVENTS[0]])
    run = begin()
    encode = getattr(run, how)
    message, index = encode(batch, 0, 1)
    assert index == 4
    decoded = pb.HydrateHistoryResponse.FromString(message).states
    assert [state.version for state in decoded] == [1, 2, 3, 4]
    for _ in range(2):
        with pytest.raises(_core.CoreError) as caught:
            encode(batch, index, 1)
        assert caught.value.reason == "FOLD_FAILED"
        assert caught.value.facts["version"] == "5"


def test_coverage_gathers_over_threads() -> None:
    fold = _core.Fold(SOURCE)
    coverage = fold.coverage()
    assert coverage.unused_handlers() == [
        "Deposited",
        "Sent[0]",
        "Sent[1]",
        "Limited",
        "Text",
        "Closed",
    ]

    def work(event: tuple[str, bytes]) -> None:
        run = fold.run("account-1", "account-1", coverage=coverage)
        run.feed(page([event] * 200))
        run.finish()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, EVENTS * 4))
    assert coverage.unused_handlers() == ["Sent[0]", "Text", "Closed"]
    assert coverage.unseen_fields() == [("Deposited", "note")]
    with pytest.raises(_core.CoreError, match="another fold"):
        _core.Fold(SOURCE).run("account-1", "account-1", coverage=coverage)


def test_histories_release_the_gil() -> None:
    """While one thread encodes, another one runs Python."""
    batch = page(texts(1, 1_000_000) + [("Other", b"{}")] * 2_000)
    run = begin()
    done = threading.Event()

    def encode() -> None:
        # Each call gives one state of a megabyte.
        for index in range(200):
            assert run.history(batch, index, 1)[1] == index + 1
        done.set()

    thread = threading.Thread(target=encode)
    thread.start()
    turns = 0
    while not done.wait(0.0005):
        turns += 1
    thread.join()
    assert turns > 5
