"""Goal: the calls on states give what was asked for, once each, also when the connection breaks.

Method: both clients against a server that answers by script and keeps what came in.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

import eventfold
from eventfold.v1 import folds_pb2 as pb

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
STAMP = timestamp_pb2.Timestamp(seconds=int(TIME.timestamp()), nanos=678901000)


@dataclasses.dataclass
class Counter:
    n: int


def status(reason: str, code: int, **facts: str) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="eventfold", metadata=facts)
    detail = any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(code=code, message="no", details=[detail])


def many(*names: str) -> pb.HydrateManyResponse:
    streams = []
    for name in names:
        number = int(name.partition("-")[2])
        answer = pb.HydrateResponse(exists=True, state=b'{"n":%d}' % number, version=number)
        streams.append(pb.HydratedStream(stream=name, hydrated=answer))
    return pb.HydrateManyResponse(streams=streams)


def past(*versions: int, prefix: str = "e") -> pb.HydrateHistoryResponse:
    states = [
        pb.HistoricState(
            version=version,
            position=version * 10,
            event_id=f"{prefix}{version}",
            type="A",
            recorded_at=STAMP,
            occurred_at=STAMP,
            exists=True,
            state=b'{"n":%d}' % version,
        )
        for version in versions
    ]
    return pb.HydrateHistoryResponse(states=states)


def then_break(*messages: Any) -> Any:
    """Sends messages, and then loses the connection."""

    def step(_: Any, context: grpc.ServicerContext) -> Any:
        yield from messages
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    return step


async def test_kept_version(driver: Any, server: Any) -> None:
    server.script("Hydrate", pb.HydrateResponse(exists=True, state=b"{}", kept_version=500))
    found = await driver.result(driver.client(server.target).hydrate("a", "1", fold="f"))
    assert found.kept_version == 500


async def test_hydrate_into_a_class(driver: Any, server: Any) -> None:
    server.script("Hydrate", pb.HydrateResponse(exists=True, state=b'{"n":7}', version=1))
    client = driver.client(server.target)
    for call in (client.hydrate("a", "1", fold="f", into=Counter),):
        assert (await driver.result(call)).state == Counter(7)
    stream = await driver.result(client.hydrate_stream("a-1", fold="f", into=Counter))
    assert stream.state == Counter(7)
    with pytest.raises(TypeError, match="into="):
        await driver.result(client.hydrate("a", "1", fold="f", into=dict))


async def test_many_streams(driver: Any, server: Any) -> None:
    deleted = pb.HydratedStream(
        stream="a-3", error=status("STREAM_DELETED", code_pb2.FAILED_PRECONDITION, stream="a-3")
    )
    server.script("HydrateMany", [many("a-2"), pb.HydrateManyResponse(streams=[deleted])])
    names = ["a-3", "a-2", "a-2"]
    client = driver.client(server.target)
    server.script(
        "HydrateMany",
        [many("a-2"), pb.HydrateManyResponse(streams=[deleted, *many("a-1").streams])],
    )
    found = await driver.result(client.hydrate_many([*names, "a-1"], fold="f", into=Counter))
    assert list(found.hydrated) == ["a-2", "a-1"]
    assert found["a-2"].state == Counter(2)
    assert found["a-1"].version == 1
    assert len(found) == 3
    assert isinstance(found.errors["a-3"], eventfold.StreamDeleted)
    with pytest.raises(eventfold.StreamDeleted) as caught:
        _ = found["a-3"]
    assert caught.value.facts == {"stream": "a-3"}
    with pytest.raises(KeyError):
        _ = found["a-4"]
    (request,) = server.requests("HydrateMany")
    assert list(request.streams) == ["a-3", "a-2", "a-1"]
    assert request.fold.name == "f"
    wrong: Any = "a-1"
    with pytest.raises(TypeError):
        await driver.result(client.hydrate_many(wrong, fold="f"))


async def test_no_stream_is_no_call(driver: Any, server: Any) -> None:
    found = await driver.result(driver.client(server.target).hydrate_many([], fold="f"))
    assert (len(found), server.calls) == (0, [])


async def test_thousands_of_streams_are_several_calls(driver: Any, server: Any) -> None:
    server.script("HydrateMany", lambda request, _: iter([many(*request.streams)]))
    names = [f"a-{number}" for number in range(2_300)]
    found = await driver.result(driver.client(server.target).hydrate_many(names, fold="f"))
    assert list(found.hydrated) == names
    assert [len(one.streams) for one in server.requests("HydrateMany")] == [1000, 1000, 300]


async def test_only_what_is_missing_is_asked_for_again(driver: Any, server: Any) -> None:
    server.script("HydrateMany", then_break(many("a-1", "a-3")), then_break(), [many("a-2", "a-1")])
    names = ["a-1", "a-2", "a-3"]
    found = await driver.result(driver.client(server.target).hydrate_many(names, fold="f"))
    assert list(found.hydrated) == names
    asked = [list(one.streams) for one in server.requests("HydrateMany")]
    assert asked == [names, ["a-2"], ["a-2"]]


async def test_an_answer_that_lacks_streams(driver: Any, server: Any) -> None:
    server.script("HydrateMany", [])
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.result(driver.client(server.target).hydrate_many(["a-1"], fold="f"))


async def test_an_error_without_details(driver: Any, server: Any) -> None:
    bare = pb.HydratedStream(stream="a-1", error=status_pb2.Status(code=13, message="x"))
    newer = pb.HydratedStream(stream="a-2", error=status("A_NEW_REASON", 9))
    server.script("HydrateMany", [pb.HydrateManyResponse(streams=[bare, newer])])
    found = await driver.result(driver.client(server.target).hydrate_many(["a-1", "a-2"], fold="f"))
    assert [(one.reason, one.code) for one in found.errors.values()] == [
        ("UNKNOWN", "INTERNAL"),
        ("A_NEW_REASON", "FAILED_PRECONDITION"),
    ]


async def test_history(driver: Any, server: Any) -> None:
    server.script("HydrateHistory", [past(2, 3), past(4)])
    client = driver.client(server.target)
    history = client.hydrate_history("a", "1", fold="f", from_version=2, to_version=4, into=Counter)
    states = await driver.items(history)
    assert [one.state for one in states] == [Counter(2), Counter(3), Counter(4)]
    first = states[0]
    assert (first.version, first.position, first.event_id, first.type) == (2, 20, "e2", "A")
    assert (first.recorded_at, first.occurred_at, first.exists) == (TIME, TIME, True)
    assert first.state_json == b'{"n":2}'
    (request,) = server.requests("HydrateHistory")
    assert (request.stream, request.from_version, request.to_version) == ("a-1", 2, 4)
    assert request.fold.name == "f"


async def test_a_broken_history_goes_on(driver: Any, server: Any) -> None:
    server.script("HydrateHistory", then_break(past(1, 2)), then_break(past(2, 3)), [past(3, 4)])
    history = driver.client(server.target).hydrate_history("a", "1", fold="f", to_version=4)
    states = await driver.items(history)
    assert [one.state for one in states] == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    requests = server.requests("HydrateHistory")
    assert [one.from_version for one in requests] == [0, 2, 3]
    assert {one.to_version for one in requests} == {4}


@pytest.mark.parametrize("after", [[past(2, 3, prefix="other")], []])
async def test_another_log_is_noticed(driver: Any, server: Any, after: Any) -> None:
    server.script("HydrateHistory", then_break(past(1, 2)), after)
    history = driver.client(server.target).hydrate_history("a", "1", fold="f")
    with pytest.raises(eventfold.StoreIncarnationChanged):
        await driver.items(history)


async def test_a_refused_history_is_not_asked_for_again(
    driver: Any, server: Any, script: Any
) -> None:
    server.script("HydrateHistory", script.refuse("FOLD_FAILED", "FAILED_PRECONDITION"))
    with pytest.raises(eventfold.FoldFailed):
        await driver.items(driver.client(server.target).hydrate_history("a", "1", fold="f"))
    assert len(server.calls) == 1
    server.script("HydrateHistory", script.fail(grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(eventfold.ConnectionFailed):
        await driver.items(driver.client(server.target).hydrate_history("a", "1", fold="f"))
    assert len(server.calls) == 6


async def test_explain(driver: Any, server: Any) -> None:
    event = pb.ExplainedEvent(
        version=1,
        position=10,
        event_id="e1",
        type="A",
        recorded_at=STAMP,
        occurred_at=STAMP,
        handled=True,
        exists=True,
        changes=[
            pb.StateChange(path="n", before=b"1.10", after=b"null"),
            pb.StateChange(path="new", after=b'"x"'),
            pb.StateChange(path="old", before=b"[1]"),
        ],
        changes_left_out=3,
    )
    second = pb.ExplainedEvent(version=2, event_id="e2", type="B")
    server.script(
        "Explain",
        then_break(pb.ExplainResponse(events=[event])),
        [pb.ExplainResponse(events=[event, second])],
    )
    client = driver.client(server.target)
    explained = await driver.items(
        client.explain("a", "1", fold="f", to_version=9, recorded_at=TIME, occurred_at=TIME)
    )
    assert [one.version for one in explained] == [1, 2]
    first = explained[0]
    assert (first.type, first.handled, first.exists, first.changes_left_out) == ("A", True, True, 3)
    assert [(one.path, one.before, one.after) for one in first.changes] == [
        ("n", Decimal("1.10"), None),
        ("new", None, "x"),
        ("old", [1], None),
    ]
    assert [(one.before_json, one.after_json) for one in first.changes] == [
        (b"1.10", b"null"),
        (None, b'"x"'),
        (b"[1]", None),
    ]
    assert (explained[1].handled, explained[1].changes) == (False, ())
    first_request, second_request = server.requests("Explain")
    assert (first_request.from_version, second_request.from_version) == (0, 1)
    assert second_request.recorded_at == second_request.occurred_at == STAMP
    assert second_request.to_version == 9


REPORT = pb.CheckFoldResponse(
    streams=7,
    events=9,
    done=True,
    failed_streams=1,
    failures=[pb.FoldFailure(stream="a-1", error=status("FOLD_FAILED", 9, handler="A"))],
    unused_handlers=["B"],
    unhandled_types=["C"],
    unseen_fields=[pb.UnseenField(type="A", field="x")],
    undeclared_fields=[pb.UnseenField(type="B", field="y")],
    personal_paths=["/name"],
)


async def test_check_fold(driver: Any, server: Any) -> None:
    server.script("CheckFold", [pb.CheckFoldResponse(streams=3, events=4), REPORT])
    seen: list[Any] = []
    client = driver.client(server.target)
    report = await driver.result(client.check_fold("f", "a", on_progress=seen.append))
    assert [(one.streams, one.events, one.done) for one in seen] == [(3, 4, False)]
    assert (report.streams, report.events, report.done, report.failed_streams) == (7, 9, True, 1)
    [(stream, error)] = report.failures
    assert (stream, type(error)) == ("a-1", eventfold.FoldFailed)
    assert report.unused_handlers == ("B",)
    assert report.unhandled_types == ("C",)
    assert report.unseen_fields == (("A", "x"),)
    assert report.undeclared_fields == (("B", "y"),)
    assert report.personal_paths == ("/name",)
    (request,) = server.requests("CheckFold")
    assert (request.fold.name, request.category) == ("f", "a")
    [call] = server.calls
    assert call.seconds > 3_000


async def test_a_broken_check_begins_anew(driver: Any, server: Any, script: Any) -> None:
    begun = pb.CheckFoldResponse(streams=3)
    server.script("CheckFold", then_break(begun), [REPORT])
    client = driver.client(server.target)
    assert (await driver.result(client.check_fold("f", "a"))).done
    server.script("CheckFold", [begun])
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.result(client.check_fold("f", "a"))
    # One that comes too late each time would go on for ever.
    calls = len(server.calls)

    def slowly(_: Any, context: grpc.ServicerContext) -> Any:
        yield begun
        script.hang(_, context)

    server.script("CheckFold", slowly)
    with pytest.raises(eventfold.DeadlineExceeded):
        await driver.result(client.check_fold("f", "a", timeout=0.3))
    assert len(server.calls) == calls + 1
