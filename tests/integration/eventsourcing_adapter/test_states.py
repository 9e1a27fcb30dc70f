"""Goal: whatever bytes an application records come back, and what is a JSON object is one in the
store too.

Method: states of all kinds, and drawn ones, through the recorders; some are read by the client and
by a fold.
"""

from __future__ import annotations

import json
import pickle
import zlib
from decimal import Decimal
from uuid import UUID, uuid4

import hypothesis
import pytest
from eventsourcing.persistence import DataError, StoredEvent
from hypothesis import strategies as st

from eventfold import ANY, Event
from eventfold.integrations.eventsourcing import (
    EventfoldApplicationRecorder,
    EventfoldSnapshotRecorder,
)
from eventfold.integrations.eventsourcing import _states as states

PACKED = b'{"bytes":"'
NESTED_64 = b'{"a":' * 63 + b"{}" + b"}" * 63
OBJECTS = [
    b"{}",
    b' {"a": 1}\n',
    '{"name": "Zoë 😀 \u2028", "": null}'.encode(),
    b'{"amount": 0.10000000000000000001, "n": -0}',
    b'{"bytes": "YQ==", "more": 1}',
    NESTED_64,
]
OTHERS = [
    b"",
    b"\x00\xff\xfe",
    b"null",
    b"[1]",
    b'"text"',
    b"{",
    b'{"a": 1,}',
    b'{"a": 1, "a": 2}',
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}',
    b'{"a": NaN}',
    b'{"a": 1e400}',
    b'{"a": "\xe9"}',
    b'{"a":' + NESTED_64 + b"}",
    # Could be taken for what stands in the place of bytes.
    b'{"bytes":"YQ=="}',
    b' { "bytes" : "no base64" }',
    b'{"b\\u0079tes": 1}',
    pickle.dumps({"a": 1}),
    zlib.compress(b'{"a": 1}'),
]


def inserted(recorder: EventfoldApplicationRecorder, state: bytes) -> UUID:
    originator_id = uuid4()
    recorder.insert_events([StoredEvent(originator_id, 1, "topic", state)])
    return originator_id


def test_states_come_back(
    recorder: EventfoldApplicationRecorder, snapshots: EventfoldSnapshotRecorder
) -> None:
    for state in [*OBJECTS, *OTHERS]:
        originator_id = inserted(recorder, state)
        stored = recorder.client.read(f"account-{originator_id}").to_list()[0].data_json
        assert stored == state if state in OBJECTS else stored.startswith(PACKED)
        assert recorder.select_events(originator_id)[0].state == state
        newest = recorder.max_notification_id()
        assert recorder.select_notifications(newest, 1)[0].state == state
        snapshot = StoredEvent(originator_id, 9, "topic", state)
        snapshots.insert_events([snapshot])
        assert snapshots.select_events(originator_id) == [snapshot]


def test_drawn_states_come_back(recorder: EventfoldApplicationRecorder) -> None:
    """Among them JSON that is nearly what the server takes: it refuses none of them."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    objects = st.dictionaries(st.text() | st.just("bytes"), values)
    texts = st.builds(lambda value, ascii_: json.dumps(value, ensure_ascii=ascii_).encode(
        errors="surrogatepass"), objects | values, st.booleans())  # fmt: skip

    @hypothesis.given(st.lists(texts | st.binary(), min_size=1, max_size=20))
    @hypothesis.settings(max_examples=40)
    def check(drawn: list[bytes]) -> None:
        originator_id = uuid4()
        recorder.insert_events(
            [StoredEvent(originator_id, n, "topic", state) for n, state in enumerate(drawn)]
        )
        assert [one.state for one in recorder.select_events(originator_id)] == drawn

    check()


def test_a_fold_reads_what_an_application_recorded(recorder: EventfoldApplicationRecorder) -> None:
    originator_id = uuid4()
    recorder.insert_events(
        [StoredEvent(originator_id, n, "bank:Deposited", b'{"amount": 12.5}') for n in range(1, 4)]
    )
    fold = """
    fold: account
    initial: {sum: 0}
    handlers:
      "bank:Deposited": {sum: "state.sum + event.amount"}
    """
    hydrated = recorder.client.hydrate("account", str(originator_id), fold=fold)
    assert (hydrated.state, hydrated.version) == ({"sum": Decimal("37.5")}, 3)


TOPICS = [
    "a" * 128,
    "b" * 129,
    "bank.accounts.module:" + "Länge" * 60 + ".Deposited",
    "$Closed",
    "a\nb",
    "",
]


def test_any_topic_comes_back(recorder: EventfoldApplicationRecorder) -> None:
    """One that can be no event type is shortened there, and whole in the metadata."""
    for topic in TOPICS:
        originator_id = uuid4()
        other = StoredEvent(uuid4(), 1, "other", b"{}")
        recorder.insert_events([StoredEvent(originator_id, 1, topic, b"{}"), other])
        event = recorder.client.read(f"account-{originator_id}").to_list()[0]
        assert event.type == (topic if topic == "a" * 128 else states.type_of(topic))
        assert len(event.type.encode()) <= 128
        assert recorder.select_events(originator_id)[0].topic == topic
        found = recorder.select_notifications(None, 10, topics=[topic])
        assert [one.originator_id for one in found] == [originator_id]
        with recorder.subscribe(topics=[topic]) as subscription:
            assert next(subscription).topic == topic


def test_a_long_type_ends_as_the_topic_does() -> None:
    assert states.type_of("x" * 200 + "Account.Deposited").startswith(
        "x" * 94 + "Account.Deposited~"
    )
    assert states.type_of("x" * 200) != states.type_of("x" * 201)


def test_more_topics_than_the_server_filters_by(recorder: EventfoldApplicationRecorder) -> None:
    originator_id = uuid4()
    events = [StoredEvent(originator_id, n, f"topic{n}", b"{}") for n in range(1, 301)]
    recorder.insert_events(events)
    topics = [f"topic{n}" for n in range(1, 301, 2)]
    found = recorder.select_notifications(None, 120, topics=topics)
    assert [one.topic for one in found] == topics[:120]
    with recorder.subscribe(gt=found[-1].id, topics=topics) as subscription:
        assert [next(subscription).topic for _ in range(30)] == topics[120:]


def test_an_id_keeps_its_type(recorder: EventfoldApplicationRecorder) -> None:
    text = str(uuid4())
    ids: list[UUID | str] = [uuid4(), text, text.upper(), uuid4().hex, "Zoë-1", "a-b-c", "1"]
    for originator_id in ids:
        recorder.insert_events([StoredEvent(originator_id, 1, "topic", b"{}")])
        assert recorder.select_events(originator_id)[0].originator_id == originator_id
    assert [one.originator_id for one in recorder.select_notifications(1, 100)] == ids


def test_an_id_that_no_stream_can_have_is_refused(recorder: EventfoldApplicationRecorder) -> None:
    for originator_id in ("", "a\n", "x" * 300, "\ud800"):
        with pytest.raises(DataError):
            recorder.insert_events([StoredEvent(originator_id, 1, "topic", b"{}")])
        with pytest.raises(DataError):
            recorder.select_events(originator_id)


def test_limits_are_data_errors(recorder: EventfoldApplicationRecorder) -> None:
    """Nothing is stored of what is too much."""
    originator_id = uuid4()
    for events in (
        [StoredEvent(originator_id, 1, "topic", b"x" * (1 << 20))],
        [StoredEvent(originator_id, n, "topic", b"") for n in range(1, 1_002)],
        [StoredEvent(originator_id, n, "topic", b"x" * 700_000) for n in range(1, 6)],
    ):
        with pytest.raises(DataError):
            recorder.insert_events(events)
    assert recorder.max_notification_id() is None


def test_events_of_another_program_can_be_read(recorder: EventfoldApplicationRecorder) -> None:
    originator_id = uuid4()
    event = Event("bank:Deposited", {"amount": 1})
    recorder.client.append(f"account-{originator_id}", [event, Event("b")], expected_version=ANY)
    assert recorder.select_events(originator_id, gt=0) == [
        StoredEvent(originator_id, 1, "bank:Deposited", b'{"amount":1}'),
        StoredEvent(originator_id, 2, "b", b"{}"),
    ]
    recorder.insert_events([StoredEvent(originator_id, 3, "c", b"{}")])


def test_packed_bytes_that_are_none(recorder: EventfoldApplicationRecorder) -> None:
    recorder.client.append("account-1", [Event("a", {"bytes": "?"})], expected_version=0)
    with pytest.raises(DataError, match="base64"):
        recorder.select_events("1")
