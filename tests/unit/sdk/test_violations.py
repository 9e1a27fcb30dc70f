"""Goal: whoever appends is told where events do not fit their schemas, as far as the answer goes.

Method: both clients against a server by script.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from tests.unit.sdk.appending import refusal, serving
from tests.unit.sdk.test_event_types import status, told, violation

import eventfold
from eventfold import Event
from eventfold.v1 import appends_pb2 as store_pb


async def test_check_append_tells_violations(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    refused = status("SCHEMA_VIOLATION", count="2")
    answer = store_pb.CheckAppendResponse(
        violations=[violation(0), violation(3, "/x")], refused=refused
    )
    server.script("CheckAppend", answer)
    events = [Event("T")]
    found = await driver.result(client.check_append("a-1", events, expected_version=0))
    assert found.violations == (told(0), told(3, "/x"))
    assert isinstance(found.refused, eventfold.SchemaViolation)
    assert found.refused.violations == found.violations
    warned = store_pb.CheckAppendResponse(first_version=1, violations=[violation()])
    server.script("CheckAppend", warned)
    found = await driver.result(client.check_append("a-1", events, expected_version=0))
    assert (found.first_version, found.violations, found.refused) == (1, (told(),), None)


async def test_an_append_to_several_streams_tells_all_violations(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    check = store_pb.FailedCheck(
        append_index=0,
        stream="a-1",
        refused=status("SCHEMA_VIOLATION", violations="[]"),
        violations=[violation(7)],
    )
    failed = store_pb.FailedChecks(checks=[check])
    server.script("AppendMany", store_pb.AppendManyResponse(failed=failed))
    with pytest.raises(eventfold.ChecksFailed) as caught:
        await driver.result(client.append_many([("a-1", [Event("T")], 0)]))
    [one] = caught.value.failed
    assert isinstance(one.error, eventfold.SchemaViolation)
    assert one.error.violations == (told(7),)
    # A copy in another process knows them too.
    for copied in (copy.deepcopy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert copied.failed[0].error.violations == (told(7),)


async def test_a_refused_append_tells_the_first_violations(
    driver: Any, server: Any, script: Any
) -> None:
    first = [dataclasses.asdict(told(1)), dataclasses.asdict(told(2, ""))]
    refuse = script.refuse(
        "SCHEMA_VIOLATION", "FAILED_PRECONDITION", violations=json.dumps(first), count=5
    )
    server.script("Append", refuse)
    client = driver.client(server.target)
    with pytest.raises(eventfold.SchemaViolation) as caught:
        await driver.result(client.append("a-1", [Event("T")], expected_version=0))
    assert caught.value.violations == (told(1), told(2, ""))
    assert caught.value.count == 5


async def test_a_refused_append_of_a_session_tells_all_violations(driver: Any) -> None:
    """The first append is a call of its own, all after it share a session."""
    with serving() as appends:
        client = driver.client(appends.target)
        await driver.result(client.append("a-1", [Event("T")], expected_version=0))
        appends.refuses = refusal("SCHEMA_VIOLATION", "FAILED_PRECONDITION", count=2)
        appends.violations = [violation(3), violation(4)]
        with pytest.raises(eventfold.SchemaViolation) as caught:
            await driver.result(client.append("a-2", [Event("T")], expected_version=0))
        assert caught.value.violations == (told(3), told(4))
        assert (caught.value.count, appends.sessions) == (2, 1)


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"pointer": "/a"}]', "[1]", "5"])
def test_violations_that_cannot_be_read_are_none(text: str) -> None:
    error = eventfold.SchemaViolation("no", {"violations": text})
    assert error.violations == ()
    assert eventfold.SchemaViolation().violations == ()
