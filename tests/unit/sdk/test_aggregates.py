"""Goal: aggregates are folded, decided on and appended to as documented; folds are registered.

Method: both clients against a server that answers by script and keeps what came in.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import timestamp_pb2

import eventfold
from eventfold import Event
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
STAMP = timestamp_pb2.Timestamp(seconds=int(TIME.timestamp()), nanos=678901000)
APPENDED = appends_pb.AppendResponse(
    first_version=4, last_version=5, positions=[7, 9], duplicate=True, recorded_at=STAMP
)


async def test_hydrate(driver: Any, server: Any, tmp_path: Path) -> None:
    server.script(
        "Hydrate",
        folds_pb2.HydrateResponse(
            exists=True,
            state=b'{"balance":1.10}',
            version=3,
            position=30,
            events_read=3,
            events_folded=2,
            fold_digest="d",
        ),
    )
    client = driver.client(server.target)
    account = await driver.result(client.hydrate("account", "1", fold="account"))
    assert account.state == {"balance": Decimal("1.10")}
    assert (account.exists, account.version, account.position) == (True, 3, 30)
    assert (account.events_read, account.events_folded, account.fold_digest) == (3, 2, "d")
    path = tmp_path / "account.fold.yaml"
    path.write_text("fold: account\n")
    points: list[tuple[Any, dict[str, Any]]] = [
        (path, {"version": 0}),
        (str(path), {"position": 4}),
        ({"fold": "account", "initial": {"x": Decimal("1.0")}}, {"recorded_at": TIME}),
        ("fold: account\ninitial: {}", {"occurred_at": TIME}),
    ]
    for fold, at in points:
        await driver.result(client.hydrate_stream("account-1", fold=fold, **at))
    requests = server.requests("Hydrate")
    assert {request.stream for request in requests} == {"account-1"}
    assert [request.WhichOneof("at") for request in requests] == [
        None,
        "version",
        "position",
        "recorded_at",
        "occurred_at",
    ]
    assert requests[0].fold.name == "account"
    assert [request.fold.source for request in requests[1:]] == [
        "fold: account\n",
        "fold: account\n",
        '{"fold":"account","initial":{"x":1.0}}',
        "fold: account\ninitial: {}",
    ]
    assert (requests[1].version, requests[2].position) == (0, 4)
    assert (requests[3].recorded_at, requests[4].occurred_at) == (STAMP, STAMP)
    with pytest.raises(FileNotFoundError):
        await driver.result(client.hydrate("account", "1", fold=tmp_path / "missing.yaml"))


async def test_a_deleted_aggregate(driver: Any, server: Any) -> None:
    answer = folds_pb2.HydrateResponse(exists=False, state=b"null", version=3)
    server.script("Hydrate", answer)
    account = await driver.result(driver.client(server.target).hydrate("a", "1", fold="f"))
    assert (account.exists, account.state, account.version) == (False, None, 3)


async def test_folds(driver: Any, server: Any, tmp_path: Path) -> None:
    fold = folds_pb2.Fold(
        name="f", revision=2, digest="d", source="fold: f", put_at=STAMP, put_by="me"
    )
    server.script("PutFold", folds_pb2.PutFoldResponse(fold=fold, created=True))
    server.script("GetFold", folds_pb2.GetFoldResponse(fold=fold))
    server.script("ListFolds", folds_pb2.ListFoldsResponse(folds=[fold]))
    client = driver.client(server.target)
    path = tmp_path / "f.fold"
    path.write_text("fold: f")
    put = await driver.result(client.put_fold(str(path)))
    assert put == eventfold.FoldInfo("f", 2, "d", "fold: f", TIME, "me", created=True)
    assert server.requests("PutFold")[0].source == "fold: f"
    assert await driver.result(client.get_fold("f", revision=2)) == dataclasses.replace(
        put, created=False
    )
    assert server.requests("GetFold")[0].revision == 2
    assert [item.name for item in await driver.items(client.list_folds())] == ["f"]


HANDLERS: Any = {"A": lambda state, event: [*state, event.data["n"]]}


async def test_read_aggregate(driver: Any, server: Any, script: Any) -> None:
    client = driver.client(server.target)
    events = [script.event(2), script.event(3, type="B"), script.event(4)]
    server.script("Read", [pb.ReadResponse(events=events, end=script.end(5))])
    initial: list[int] = [0]
    result = await driver.result(client.read_aggregate("a", "1", initial, HANDLERS, 2))
    assert result == ([0, 2, 4], 5)
    (request,) = server.requests("Read")
    assert (request.stream, request.from_version, list(request.types)) == ("a-1", 2, ["A"])
    server.script("Read", [script.refuse("STREAM_NOT_FOUND", "NOT_FOUND")])
    assert await driver.result(client.read_aggregate("a", "1", initial, HANDLERS)) == ([0], 0)
    with pytest.raises(eventfold.StreamNotFound):
        await driver.result(client.read_aggregate("a", "1", initial, HANDLERS, from_version=2))


async def test_handlers_may_change_their_state(driver: Any, server: Any, script: Any) -> None:
    def count(state: dict[str, int], _: Any) -> dict[str, int]:
        state["n"] = state.get("n", 0) + 1
        return state

    initial: dict[str, int] = {}
    server.script("Read", [pb.ReadResponse(events=[script.event(1)], end=script.end(1))])
    client = driver.client(server.target)
    for _ in range(2):
        state = await driver.result(client.read_aggregate("a", "1", initial, {"A": count}))
        assert state == ({"n": 1}, 1)
    assert initial == {}


def hydrated(version: int) -> Any:
    return folds_pb2.HydrateResponse(exists=True, state=b'{"v":%d}' % version, version=version)


async def test_retry_decides_again_after_a_conflict(driver: Any, server: Any, script: Any) -> None:
    conflict = script.refuse("VERSION_CONFLICT", "ABORTED", expected=3, actual=4)
    server.script("Hydrate", hydrated(3), hydrated(4), hydrated(5))
    server.script("Append", conflict, script.refuse("OUTCOME_UNKNOWN"), conflict, APPENDED)
    client = driver.client(server.target)
    seen = []

    def decide(state: Any) -> list[Event]:
        seen.append(state["v"])
        return [Event("A", {"v": state["v"]})]

    result = await driver.result(client.retry("a", "1", decide, fold="f"))
    assert result.last_version == 5
    assert seen == [3, 4, 5]
    appends = server.requests("Append")
    assert [request.expected_version.exact for request in appends] == [3, 4, 4, 5]
    ids = [request.events[0].id for request in appends]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


async def test_retry_gives_up(driver: Any, server: Any, script: Any) -> None:
    server.script("Hydrate", hydrated(3))
    server.script("Append", script.refuse("VERSION_CONFLICT", "ABORTED", expected=3, actual=4))
    client = driver.client(server.target)
    with pytest.raises(eventfold.VersionConflict):
        await driver.result(client.retry("a", "1", lambda _: [Event("A")], fold="f"))
    assert len(server.requests("Append")) == 5
    with pytest.raises(eventfold.VersionConflict):
        await driver.result(client.retry("a", "1", lambda _: [Event("A")], fold="f", attempts=2))
    assert len(server.requests("Append")) == 7


async def test_retry_with_handlers_and_nothing_to_do(driver: Any, server: Any, script: Any) -> None:
    server.script("Read", [pb.ReadResponse(events=[script.event(1)], end=script.end(1))])
    client = driver.client(server.target)
    seen = []

    def decide(state: Any) -> list[Event]:
        seen.append(state)
        return []

    result = await driver.result(client.retry("a", "1", decide, handlers=HANDLERS, initial=[]))
    assert result is None
    assert seen == [[1]]
    assert server.requests("Append") == []


async def test_an_error_of_the_decision_passes(driver: Any, server: Any) -> None:
    server.script("Hydrate", hydrated(3))

    def decide(_: Any) -> list[Event]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await driver.result(driver.client(server.target).retry("a", "1", decide, fold="f"))
    assert server.requests("Append") == []


async def test_a_decision_may_be_a_coroutine(server: Any) -> None:
    server.script("Hydrate", hydrated(3))
    server.script("Append", APPENDED)

    async def decide(_: Any) -> list[Event]:
        return [Event("A")]

    async with eventfold.AsyncClient(server.target) as store:
        result = await store.retry("a", "1", decide, fold="f")
    assert result is not None
    assert result.last_version == 5
