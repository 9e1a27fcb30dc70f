"""Goal: an append to several streams is sent whole, repeated safely, and refused with all reasons.

Method: both clients against a server by script.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from tests.unit.sdk.appending import refusal

import eventfold
from eventfold import EXISTS, Event, StreamAppend
from eventfold.v1 import appends_pb2 as pb

STORED = pb.AppendManyResponse(
    stored=pb.AppendedMany(
        appends=[
            pb.AppendResponse(first_version=1, last_version=2, positions=[1, 2]),
            pb.AppendResponse(first_version=8, last_version=8, positions=[3]),
        ]
    )
)
FAILED = pb.AppendManyResponse(
    failed=pb.FailedChecks(
        checks=[
            pb.FailedCheck(
                append_index=1,
                stream="a-2",
                actual_version=9,
                refused=refusal("VERSION_CONFLICT", "ABORTED", stream="a-2", expected=7, actual=9),
            ),
            pb.FailedCheck(
                check_index=0,
                stream="c-1",
                refused=refusal("STREAM_DELETED", "FAILED_PRECONDITION", stream="c-1"),
            ),
        ]
    )
)


async def test_the_request_and_the_results(driver: Any, server: Any, script: Any) -> None:
    server.script("AppendMany", script.refuse("OUTCOME_UNKNOWN"), STORED)
    events = [Event("A", {"n": n}) for n in range(3)]
    results = await driver.result(
        driver.client(server.target).append_many(
            [StreamAppend("a-1", events[:2], 0), ("a-2", events[2:], 7)],
            checks={"c-1": 4, "c-2": EXISTS},
        )
    )
    assert [(one.first_version, one.last_version) for one in results] == [(1, 2), (8, 8)]
    first, second = server.requests("AppendMany")
    assert first == second
    assert [(one.stream, len(one.events)) for one in first.appends] == [("a-1", 2), ("a-2", 1)]
    assert [event.id for one in first.appends for event in one.events] == [e.id for e in events]
    assert first.appends[1].expected_version.exact == 7
    assert first.appends[0].expected_version.HasField("exact")
    assert [check.stream for check in first.checks] == ["c-1", "c-2"]
    assert first.checks[1].expected_version.HasField("exists")


async def test_a_refusal_has_all_that_failed(driver: Any, server: Any) -> None:
    server.script("AppendMany", FAILED)
    with pytest.raises(eventfold.ChecksFailed, match="and 1 more") as caught:
        await driver.result(
            driver.client(server.target).append_many([("a-1", [Event("A")], 0)], checks={})
        )
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.reason, error.code, error.facts) == (
            "CHECKS_FAILED",
            "ABORTED",
            {"failed": "2"},
        )
        one, two = error.failed
        assert (one.stream, one.actual_version) == ("a-2", 9)
        assert (one.append_index, one.check_index) == (1, None)
        assert isinstance(one.error, eventfold.VersionConflict)
        assert one.error.actual == 9
        assert (two.append_index, two.check_index) == (None, 0)
        assert isinstance(two.error, eventfold.StreamDeleted)


async def test_what_is_no_answer_and_no_request(driver: Any, server: Any) -> None:
    server.script("AppendMany", pb.AppendManyResponse())
    client = driver.client(server.target)
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.result(client.append_many([("a-1", [Event("A")], 0)]))
    with pytest.raises(TypeError, match="a list of events"):
        await driver.result(client.append_many([("a-1", Event("A"), 0)]))
    with pytest.raises(TypeError, match="expected_version"):
        await driver.result(client.append_many([("a-1", [Event("A")], 0)], checks={"c-1": "4"}))
    long = [Event("A", {"text": "x" * 1_000_000})]
    with pytest.raises(eventfold.AppendTooLarge):
        await driver.result(client.append_many([(f"a-{n}", long, 0) for n in range(9)]))
