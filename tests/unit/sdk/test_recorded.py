"""Goal: a recorded event is what the server sent, though nothing of it is decoded before its time.

Method: events of random fields beside protobuf's own message; bytes that no server would send.
"""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventfold
from eventfold import RecordedEvent
from eventfold._events import EventPage, event_page
from eventfold.v1 import event_store_pb2 as pb

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(timezones=st.just(dt.UTC))
FIELDS = st.fixed_dictionaries(
    {
        "id": TEXTS,
        "stream": TEXTS,
        "type": TEXTS,
        "version": INT64,
        "position": INT64,
        "writer": TEXTS,
        "tags": st.lists(TEXTS, max_size=3),
        "flags": st.integers(0, 7),
        "copied_from": TEXTS,
        "cancels": TEXTS,
        "trace_context": TEXTS,
        "deleted": st.booleans(),
        "data": st.binary(max_size=20),
        "metadata": st.binary(max_size=20),
    }
)
AS_SENT = ("id", "stream", "type", "version", "position", "writer", "flags", "deleted")


def recorded(numbers: Any = "decimal", **fields: Any) -> RecordedEvent:
    return RecordedEvent(pb.RecordedEvent(**fields).SerializeToString(), numbers)


@given(FIELDS, TIMES, TIMES)
def test_every_field_is_as_it_was_sent(
    fields: dict[str, Any], recorded_at: dt.datetime, occurred_at: dt.datetime
) -> None:
    message = pb.RecordedEvent(**fields)
    message.recorded_at.FromDatetime(recorded_at)
    message.occurred_at.FromDatetime(occurred_at)
    event = RecordedEvent(message.SerializeToString())
    for name in AS_SENT:
        assert getattr(event, name) == fields[name], name
    assert event.tags == tuple(fields["tags"])
    assert (event.data_json, event.metadata_json) == (fields["data"], fields["metadata"])
    for name in ("copied_from", "cancels", "trace_context"):
        assert getattr(event, name) == (fields[name] or None), name
    assert event.recorded_at == recorded_at
    assert event.occurred_at == occurred_at


@given(FIELDS, FIELDS)
def test_events_are_equal_if_all_that_is_stored_is(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert recorded(**a) == recorded("float", **a)
    assert hash(recorded(**a)) == hash(recorded(**a))
    assert (recorded(**a) == recorded(**b)) == (a == b)
    for name, value in b.items():
        assert (recorded(**a) == recorded(**{**a, name: value})) == (a[name] == value), name


def test_other_objects_are_no_events() -> None:
    event = recorded(id="x")
    assert event != "x"
    assert event.__eq__("x") is NotImplemented
    assert repr(recorded(type="A", stream="a-1", version=3, position=30)) == (
        "<RecordedEvent A a-1@3 #30>"
    )
    assert RecordedEvent.__module__ == "eventfold"


@pytest.mark.parametrize("numbers", ["decimal", "float"])
def test_a_copy_takes_its_own_bytes_along(numbers: Any) -> None:
    message = pb.ReadResponse(
        events=[pb.RecordedEvent(id=str(n), data=b'{"n":1.50}') for n in range(3)]
    )
    event = EventPage(message.SerializeToString(), numbers)[1]
    for twin in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert twin == event
        assert twin.data == event.data
        assert type(twin.data["n"]) is type(event.data["n"])
    assert event.__reduce__()[1] == (message.events[1].SerializeToString(), numbers)


def test_data_are_decoded_when_they_are_touched_and_then_kept() -> None:
    event = recorded(data=b'{"n":1.50}', metadata=b"no json", type="A")
    assert event.type == "A"
    assert event.data == {"n": Decimal("1.50")}
    assert event.data is event.data
    with pytest.raises(eventfold.InvalidValue, match="at byte 0") as caught:
        _ = event.metadata
    assert caught.value.__cause__ is not None
    assert recorded("float", data=b'{"n":1.50}').data == {"n": 1.5}
    assert recorded(deleted=True).data == {}


def test_an_event_cannot_be_changed() -> None:
    event: Any = recorded(type="A")
    with pytest.raises(AttributeError):
        event.type = "B"
    with pytest.raises(AttributeError):
        event.other = 1
    with pytest.raises(OverflowError, match="1 to 9999"):
        _ = recorded(recorded_at={"seconds": 2**40}).recorded_at


def test_a_page_has_its_events_and_its_end() -> None:
    end = pb.ReadEnd(version=2, resume_token=b"t")
    message = pb.ReadResponse(events=[pb.RecordedEvent(id="x"), pb.RecordedEvent()], end=end)
    page = event_page(message.SerializeToString(), "decimal")
    assert (len(page), [event.id for event in page.events()]) == (2, ["x", ""])
    assert [event.id for event in page.events(1)] == [""]
    assert [page[0].id, page[1].id] == ["x", ""]
    with pytest.raises(IndexError, match="event 2 of 2"):
        page[2]
    assert page.rest == pb.ReadResponse(end=end).SerializeToString()
    assert event_page(b"", "decimal").rest == b""


def test_events_of_a_page_that_are_closed_are_over() -> None:
    page = event_page(pb.ReadResponse(events=[pb.RecordedEvent()] * 3).SerializeToString(), "float")
    events = page.events()
    assert next(events) == page[0]
    events.close()
    assert list(events) == []
    assert list(events) == []


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x05\x0a\x01x", b"\x0a\x03\x0a\x01\xff", b"<h"])
async def test_bytes_that_are_no_answer(driver: Any, server: Any, message: bytes) -> None:
    class Raw:
        def SerializeToString(self) -> bytes:  # noqa: N802 - as protobuf spells it
            return message

    server.script("Read", [Raw()])
    server.script("GetEvent", Raw())
    client = driver.client(server.target)
    with pytest.raises(eventfold.UnexpectedAnswer, match="no message with events"):
        await driver.items(client.read("a-1"))
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.result(client.get_event("00000000-0000-7000-8000-000000000001"))
    with pytest.raises(eventfold._core.CoreError):
        RecordedEvent(b"\x0a")


async def test_an_answer_without_its_event(driver: Any, server: Any) -> None:
    server.script("GetEvent", pb.GetEventResponse())
    with pytest.raises(eventfold.UnexpectedAnswer, match="no event"):
        await driver.result(
            driver.client(server.target).get_event("00000000-0000-7000-8000-000000000001")
        )


async def test_a_read_that_is_closed_gives_nothing_more(
    driver: Any, server: Any, script: Any
) -> None:
    events = [script.event(n) for n in (1, 2, 3)]
    server.script("Read", [pb.ReadResponse(events=events, end=script.end(3))])
    reader = driver.client(server.target).read("a-1")
    seen = []
    if driver.kind == "sync":
        for event in reader:
            seen.append(event.version)
            reader.close()
    else:
        async for event in reader:
            seen.append(event.version)
            await reader.aclose()
    assert seen == [1]
    assert await driver.items(reader) == []
