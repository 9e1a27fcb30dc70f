"""Goal: parameters arrive as they were meant, answers come back as documented.

Method: both clients against a server that answers by script and keeps what came in.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import timestamp_pb2

import eventfold
from eventfold import Event
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
NAIVE = TIME.replace(tzinfo=None)
STAMP = timestamp_pb2.Timestamp(seconds=int(TIME.timestamp()), nanos=678901000)
APPENDED = appends_pb.AppendResponse(
    first_version=4, last_version=5, positions=[7, 9], duplicate=True, recorded_at=STAMP
)


@pytest.mark.parametrize(
    ("expected", "kind"),
    [(0, "exact"), (7, "exact"), (eventfold.EXISTS, "exists"), (eventfold.ANY, "any")],
)
async def test_append(driver: Any, server: Any, expected: Any, kind: str) -> None:
    server.script("Append", APPENDED)
    event = Event(
        "Paid",
        {"amount": Decimal("1.10")},
        {"causation_id": "x"},
        tags=["b", "a"],
        id=uuid.UUID(int=5),
        occurred_at=TIME,
    )
    client = driver.client(server.target)
    result = await driver.result(
        client.append("a-1", [event, Event("Done")], expected_version=expected)
    )
    assert result == eventfold.AppendResult(4, 5, (7, 9), True, TIME)
    (request,) = server.requests("Append")
    assert request.expected_version.WhichOneof("kind") == kind
    if kind == "exact":
        assert request.expected_version.exact == expected
    first, second = request.events
    assert (first.id, first.type) == ("00000000-0000-0000-0000-000000000005", "Paid")
    assert (first.data, first.metadata) == (b'{"amount":1.10}', b'{"causation_id":"x"}')
    assert (list(first.tags), first.occurred_at) == (["b", "a"], STAMP)
    assert (second.data, second.metadata) == (b"{}", b"")
    assert uuid.UUID(second.id).version == 7
    assert not second.HasField("occurred_at")


async def test_check_append(driver: Any, server: Any) -> None:
    answer = appends_pb.CheckAppendResponse(first_version=1, last_version=1, duplicate=False)
    server.script("CheckAppend", answer)
    client = driver.client(server.target)
    result = await driver.result(client.check_append("a-1", [Event("A")], expected_version=0))
    assert result == eventfold.CheckResult(1, 1, False)
    assert server.requests("CheckAppend")[0].append.stream == "a-1"


async def test_what_is_wrong_before_anything_is_sent(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    event = Event("A")
    for call in [
        lambda: client.append("a-1", event, expected_version=0),
        lambda: client.append("a-1", ["A"], expected_version=0),
        lambda: client.append("a-1", [event], expected_version="0"),
        lambda: client.append("a-1", [event], expected_version=True),
        lambda: client.append("a-1", [event]),
        lambda: client.hydrate("a", "1", fold="f", version=1, position=2),
        lambda: client.hydrate("a", "1", fold=7),
        lambda: client.read("a-1", types="A"),
        lambda: client.read_all(from_position=1, resume_token=b"t"),
        lambda: client.retry("a", "1", lambda _: []),
        lambda: client.retry("a", "1", lambda _: [], fold="f", handlers={}),
    ]:
        with pytest.raises(TypeError):
            await driver.result(call())
    for call in [
        lambda: client.append("a-1", [event], expected_version=2**63),
        lambda: client.hydrate("a-b", "1", fold="f"),
        lambda: client.hydrate("", "1", fold="f"),
        lambda: client.hydrate("a", "", fold="f"),
        lambda: client.hydrate("a", "1", fold="f", recorded_at=NAIVE),
        lambda: client.get_event("nonsense"),
        lambda: client.get_stream("a-1", timeout=0),
        lambda: client.get_stream("a-1", timeout=float("inf")),
        lambda: client.read("a-1", direction="sideways"),
        lambda: client.retry("a", "1", lambda _: [], fold="f", attempts=0),
    ]:
        with pytest.raises(ValueError):  # noqa: PT011
            await driver.result(call())
    assert server.calls == []


async def test_an_append_that_grpc_would_refuse(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    events = [Event("A", {"x": "y" * 1_000_000}) for _ in range(9)]
    with pytest.raises(eventfold.AppendTooLarge) as caught:
        await driver.result(client.append("a-1", events, expected_version=0))
    assert caught.value.limit == 3 << 20
    assert server.calls == []


async def test_read_parameters(driver: Any, server: Any, script: Any) -> None:
    server.script("Read", [pb.ReadResponse(end=script.end(0))])
    server.script("ReadAll", [pb.ReadAllResponse(end=script.end(0))])
    client = driver.client(server.target)
    await driver.items(
        client.read(
            "a-1", from_version=2, to_version=9, direction="backwards", limit=3, types={"A"}
        )
    )
    assert server.requests("Read") == [
        pb.ReadRequest(
            stream="a-1", direction=2, from_version=2, to_version=9, limit=3, types=["A"]
        )
    ]
    await driver.items(
        client.read_all(
            from_position=2,
            to_position=9,
            limit=3,
            categories=["a"],
            types=["A"],
            tags=["x"],
            include_system_events=True,
        )
    )
    assert server.requests("ReadAll") == [
        pb.ReadAllRequest(
            direction=1,
            from_position=2,
            to_position=9,
            limit=3,
            categories=["a"],
            types=["A"],
            tags=["x"],
            include_system_events=True,
        )
    ]


async def test_an_empty_token_is_the_beginning(driver: Any, server: Any, script: Any) -> None:
    server.script("ReadAll", [pb.ReadAllResponse(end=script.end(0))])
    await driver.items(driver.client(server.target).read_all(resume_token=b""))
    assert server.requests("ReadAll") == [pb.ReadAllRequest(direction=1)]


async def test_a_recorded_event(driver: Any, server: Any, script: Any) -> None:
    message = script.event(
        3,
        data=b'{"amount": 1.10}',
        metadata=b'{"m":1}',
        tags=["a", "b"],
        writer="me",
        flags=5,
        recorded_at=STAMP,
        occurred_at=STAMP,
        copied_from="00000000-0000-7000-8000-000000000001",
        trace_context="00-x",
    )
    server.script("GetEvent", pb.GetEventResponse(event=message))
    event = await driver.result(driver.client(server.target).get_event(message.id.upper()))
    assert server.requests("GetEvent")[0].id == message.id
    assert event.data == {"amount": Decimal("1.10")}
    assert event.data is event.data
    assert event.data_json == b'{"amount": 1.10}'
    assert (event.metadata, event.metadata_json) == ({"m": 1}, b'{"m":1}')
    assert (event.id, event.stream, event.type) == (message.id, "a-1", "A")
    assert (event.version, event.position, event.writer) == (3, 30, "me")
    assert (event.recorded_at, event.occurred_at) == (TIME, TIME)
    assert event.tags == ("a", "b")
    assert event.flags == eventfold.EventFlags.VALIDATED_V1 | eventfold.EventFlags.SEALED
    assert (event.copied_from, event.cancels) == ("00000000-0000-7000-8000-000000000001", None)
    assert (event.trace_context, event.deleted) == ("00-x", False)
    assert repr(event) == "<RecordedEvent A a-1@3 #30>"
    floats = driver.client(server.target, numbers="float")
    twin = await driver.result(floats.get_event(message.id))
    assert twin.data == {"amount": 1.1}
    assert twin == event
    assert hash(twin) == hash(event)


async def test_get_stream(driver: Any, server: Any, script: Any) -> None:
    client = driver.client(server.target)
    stream = pb.Stream(
        name="a-1-2",
        version=3,
        lifecycle=pb.LIFECYCLE_CLOSED,
        root="a-0",
        successor="a-3",
        created_at=STAMP,
    )
    server.script("GetStream", pb.GetStreamResponse(stream=stream))
    info = await driver.result(client.get_stream("a-1-2"))
    assert (info.category, info.id, info.exists) == ("a", "1-2", True)
    assert info.lifecycle is eventfold.Lifecycle.CLOSED
    assert (info.root, info.predecessor, info.successor) == ("a-0", None, "a-3")
    assert info.created_at == TIME
    server.script("GetStream", script.refuse("STREAM_NOT_FOUND", "NOT_FOUND", stream="a-9"))
    never = await driver.result(client.get_stream("a-9"))
    assert (never.name, never.version, never.exists, never.created_at) == ("a-9", 0, False, None)


async def test_list_streams_goes_through_all_pages(driver: Any, server: Any) -> None:
    server.script(
        "ListStreams",
        pb.ListStreamsResponse(streams=[pb.Stream(name="a-1")], next_page_token="t"),
        pb.ListStreamsResponse(streams=[pb.Stream(name="a-2")]),
    )
    client = driver.client(server.target)
    streams = client.list_streams(
        category="a", prefix="a-", lifecycle=eventfold.Lifecycle.OPEN, page_size=1
    )
    assert [stream.name for stream in await driver.items(streams)] == ["a-1", "a-2"]
    first, second = server.requests("ListStreams")
    assert first == pb.ListStreamsRequest(category="a", prefix="a-", lifecycle=1, page_size=1)
    assert second.page_token == "t"
