"""Goal: the calls on lines of periods say what was meant, and a close is repeated as it was.

Method: both clients against a scripted server; what was sent, what came back, misuse.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import eventfold
from eventfold.v1 import appends_pb2, closing_pb2, event_store_pb2, folds_pb2, follow_pb2

FOLD = {"fold": "account", "handlers": {"A": {"n": 1}}}
CLOSED = closing_pb2.CloseStreamResponse(
    version=3,
    position=30,
    closing_id="00000000-0000-4000-8000-000000000001",
    successor="a-1@1",
    opening_position=31,
    opening_id="00000000-0000-4000-8000-000000000002",
    states=[closing_pb2.CarriedState(fold="account", digest="d", exists=True)],
    recorded_at=Timestamp(seconds=1),
)


async def test_a_close_is_repeated_with_the_same_ids(driver: Any, server: Any, script: Any) -> None:
    server.script("CloseStream", script.refuse("OUTCOME_UNKNOWN"), CLOSED)
    closed = await driver.result(
        driver.client(server.target).close_stream(
            "a-1", successor="a-1@1", folds=["account", FOLD], closing_data={"year": 2017}
        )
    )
    first, again = (call.request for call in server.calls)
    assert first == again
    assert first.expected_version.HasField("exists")
    assert (first.stream, first.successor, first.closing_data) == (
        "a-1",
        "a-1@1",
        b'{"year":2017}',
    )
    assert first.folds[0].name == "account"
    assert '"account"' in first.folds[1].source
    assert first.closing_id
    assert first.opening_id not in ("", first.closing_id)
    assert (closed.stream, closed.version, closed.successor) == ("a-1", 3, "a-1@1")
    assert closed.states == (eventfold.CarriedState("account", "d", True),)
    assert not closed.duplicate


async def test_an_end_has_no_opening_event(driver: Any, server: Any) -> None:
    server.script("CloseStream", closing_pb2.CloseStreamResponse(version=2, position=5))
    closed = await driver.result(
        driver.client(server.target).close_stream("a-1", successor=None, expected_version=1)
    )
    [call] = server.calls
    assert (call.request.expected_version.exact, call.request.opening_id) == (1, "")
    assert (closed.successor, closed.opening_id, closed.opening_position) == (None, None, 0)


async def test_what_follows_says_so(driver: Any, server: Any, script: Any) -> None:
    client = driver.client(server.target)
    server.script("Hydrate", folds_pb2.HydrateResponse(state=b"{}", stream="a-1@1"))
    found = await driver.result(client.hydrate("a", "1", fold="account", follow="open"))
    assert (server.calls[-1].request.follow, found.stream) == (follow_pb2.FOLLOW_OPEN, "a-1@1")
    server.script("Append", appends_pb2.AppendResponse(first_version=1, stream="a-1@1"))
    stored = await driver.result(
        client.append("a-1", [eventfold.Event("A")], expected_version=eventfold.ANY, follow=True)
    )
    assert stored.stream == "a-1@1"
    end = script.end(1)
    end.stream, end.opened_from = "a-1@1", "a-1"
    server.script("Read", [event_store_pb2.ReadResponse(end=end)])
    reader = client.read("a-1", follow="all")
    assert await driver.items(reader) == []
    assert server.calls[-1].request.follow == follow_pb2.FOLLOW_ALL
    assert (reader.end.stream, reader.end.opened_from) == ("a-1@1", "a-1")


async def test_misuse(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    with pytest.raises(TypeError, match="several folds"):
        await driver.result(client.close_stream("a-1", successor="a-1@1", folds="account"))
    with pytest.raises(ValueError, match="'open', 'all' or None"):
        await driver.result(client.hydrate("a", "1", fold="account", follow="last"))
    with pytest.raises(eventfold.InvalidValue):
        await driver.result(client.close_stream("a-1", successor=None, closing_id="x"))
    with pytest.raises(TypeError, match="from_version"):
        await driver.result(client.read_aggregate("a", "1", {}, {}, 2, follow="all"))
    assert server.calls == []
