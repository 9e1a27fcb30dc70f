"""Goal: references go into metadata and come out of them typed, and mistakes show at once.

Method: events of the SDK, and answers that a test makes of protobuf messages.
"""

from __future__ import annotations

import copy
import json
import pickle
import uuid
from typing import Any

import pytest

from eventfold import (
    Event,
    EventFlags,
    InvalidValue,
    Lifecycle,
    RecordedEvent,
    References,
    ResolvedEvent,
)
from eventfold._events import event_page
from eventfold._references import Leads
from eventfold.v1 import event_store_pb2 as pb

ONE, TWO = (str(uuid.UUID(int=number)) for number in (0xA, 0xB))
REFS = {"events": [ONE, TWO], "streams": ["a-1"]}


def recorded(refs: Any, **more: Any) -> pb.RecordedEvent:
    metadata = json.dumps({"refs": refs}).encode()
    fields = {"id": str(uuid.uuid4()), "type": "T", "data": b"{}", "metadata": metadata, "flags": 9}
    return pb.RecordedEvent(stream="b-1", version=1, position=1, **{**fields, **more})


def test_references_are_made_of_ids_and_of_events() -> None:
    event = Event("T", id=ONE)
    stored = RecordedEvent(pb.RecordedEvent(id=TWO).SerializeToString())
    assert References([event, stored], ["a-1"]) == References(
        [ONE.upper(), uuid.UUID(TWO)], ["a-1"]
    )
    assert References([event]).events == (ONE,)
    assert len(References([event], ["a-1"])) == 2
    assert not References()
    assert pickle.loads(pickle.dumps(References([ONE]))) == References([ONE])
    assert len({References([ONE]), References([event])}) == 1
    for wrong in (ONE, event, stored, uuid.UUID(ONE)):
        with pytest.raises(TypeError, match="events must be several"):
            References(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="streams must be several"):
        References(streams="a-1")
    with pytest.raises(InvalidValue):
        References(["x"])


def test_they_go_into_the_metadata() -> None:
    event = Event("T", refs=References([ONE, TWO], ["a-1"]))
    assert json.loads(event.metadata_json) == {"refs": REFS}
    assert event.metadata == {"refs": REFS}
    event = Event("T", metadata={"a": 1}, refs=References(streams=["a-1"]))
    assert json.loads(event.metadata_json) == {"a": 1, "refs": {"streams": ["a-1"]}}
    assert copy.copy(event) == event
    assert Event("T", refs=References()).metadata_json == b""
    with pytest.raises(InvalidValue, match="refs already"):
        Event("T", metadata={"refs": {}}, refs=References([ONE]))
    with pytest.raises(TypeError, match="a mapping"):
        Event("T", metadata=b"{}", refs=References([ONE]))
    with pytest.raises(TypeError, match=r"eventfold\.References"):
        Event("T", refs=[ONE])  # type: ignore[arg-type]


def test_they_come_out_of_a_stored_event() -> None:
    event = RecordedEvent(recorded(REFS).SerializeToString())
    assert event.references == References([ONE, TWO], ["a-1"])
    assert EventFlags.REFERS in event.flags
    # Without the mark they were never looked at, and a mark of somebody else says nothing.
    for nothing in (
        recorded(REFS, flags=1),
        recorded({"events": "x"}),
        recorded({}, metadata=b""),
        recorded({}, metadata=b"["),
    ):
        assert RecordedEvent(nothing.SerializeToString()).references == References()
    with pytest.raises(RuntimeError, match="resolve=True"):
        _ = event.resolved


def test_each_event_has_what_it_refers_to_itself() -> None:
    response = pb.ReadResponse(
        events=[recorded(REFS), recorded({"events": [TWO]}), recorded({}, flags=1)]
    )
    target = recorded({}, id=ONE, data=b'{"n": 1.5}')
    response.references.add(event_id=TWO, deleted=True)
    response.references.add(event_id=ONE).event.CopyFrom(target)
    stream = pb.Stream(name="a-1", version=3, lifecycle=pb.LIFECYCLE_DELETED)
    response.references.add(stream_name="a-1", deleted=True).stream.CopyFrom(stream)
    page = event_page(response.SerializeToString(), "float")
    leads = Leads("float")
    leads.extend(pb.ReadResponse.FromString(page.rest).references)
    page.resolve(leads)
    resolved = page[0].resolved
    assert list(resolved.events) == [ONE, TWO]
    assert resolved.events[TWO] == ResolvedEvent(None, deleted=True)
    found = resolved.events[ONE].event
    assert found is not None
    assert found.data == {"n": 1.5}
    assert resolved.streams["a-1"].lifecycle is Lifecycle.DELETED
    assert list(page[1].resolved.events) == [TWO]
    assert page[1].resolved.streams == {}
    assert page[2].resolved.events == {}
    assert next(page.events()).resolved == resolved
    with pytest.raises(RuntimeError):
        _ = copy.copy(page[0]).resolved
