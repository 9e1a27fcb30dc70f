"""Goal: a compensation is sent whole, and repeated with the same ids.

Method: both clients against a server by script.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest

import eventfold
from eventfold import Event
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import compensation_pb2

WRONG = str(uuid.uuid4())
STORED = compensation_pb2.CompensateResponse(
    appended=pb.AppendResponse(first_version=2, last_version=3, positions=[4, 5])
)
FOUND = dt.datetime(2018, 1, 2, tzinfo=dt.UTC)


async def test_all_of_it_is_sent(driver: Any, server: Any) -> None:
    server.script("Compensate", STORED)
    client = driver.client(server.target)
    correction = Event("Paid", {"currency": "EUR"}, tags=["right"])
    result = await driver.result(
        client.compensate(
            "c-1",
            uuid.UUID(WRONG),
            reason="r",
            expected_version=1,
            correction=correction,
            type="TakenBack",
            id=uuid.UUID(int=1),
            metadata={"correlation_id": "x"},
            tags=["b", "a"],
            occurred_at=FOUND,
        )
    )
    assert (result.first_version, result.last_version, result.positions) == (2, 3, (4, 5))
    [request] = server.requests("Compensate")
    assert (request.stream, request.event_id, request.reason) == ("c-1", WRONG, "r")
    assert request.expected_version.exact == 1
    own = request.cancellation
    assert (own.id, own.type, list(own.tags)) == (str(uuid.UUID(int=1)), "TakenBack", ["b", "a"])
    assert own.metadata == b'{"correlation_id":"x"}'
    assert own.occurred_at.ToDatetime(dt.UTC) == FOUND
    sent = request.correction
    assert (sent.id, sent.type, sent.data) == (correction.id, "Paid", correction.data_json)


async def test_what_is_not_said_is_the_servers(driver: Any, server: Any) -> None:
    server.script("Compensate", STORED)
    client = driver.client(server.target)
    await driver.result(client.compensate("c-1", WRONG, reason="r", expected_version=eventfold.ANY))
    [request] = server.requests("Compensate")
    assert request.expected_version.WhichOneof("kind") == "any"
    assert not request.HasField("correction")
    own = request.cancellation
    assert (own.type, own.metadata, own.HasField("occurred_at")) == ("", b"", False)
    # So that it is safe to repeat.
    assert uuid.UUID(own.id).version == 7


async def test_it_is_repeated_with_the_same_ids(driver: Any, server: Any, script: Any) -> None:
    server.script("Compensate", script.refuse("OUTCOME_UNKNOWN", stream="c-1"), STORED)
    client = driver.client(server.target)
    await driver.result(
        client.compensate("c-1", WRONG, reason="r", expected_version=1, correction=Event("Paid"))
    )
    first, second = server.requests("Compensate")
    assert first == second


async def test_refusals_have_their_facts(driver: Any, server: Any, script: Any) -> None:
    facts = {"event_id": WRONG, "cancelled_by": "x", "stream": "c-1"}
    server.script("Compensate", script.refuse("EVENT_ALREADY_CANCELLED", **facts))
    client = driver.client(server.target)
    with pytest.raises(eventfold.EventAlreadyCancelled) as refused:
        await driver.result(client.compensate("c-1", WRONG, reason="r", expected_version=1))
    assert refused.value.cancelled_by == "x"
    with pytest.raises(eventfold.InvalidValue):
        await driver.result(client.compensate("c-1", "no id", reason="r", expected_version=1))
