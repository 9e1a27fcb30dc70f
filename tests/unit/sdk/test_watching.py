"""Goal: a watch gives the state of every version once, in order, whatever becomes of the line, and
notices a store that lost what was seen.

Method: both clients against a server by script that breaks, ends, and goes silent.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2

import eventfold
from eventfold.v1 import folds_pb2 as pb

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
STAMP = timestamp_pb2.Timestamp(seconds=int(TIME.timestamp()), nanos=678901000)
INITIAL = pb.WatchResponse(states=[pb.HistoricState(state=b'{"n":0}')])
ALIVE = pb.WatchResponse()


@dataclasses.dataclass
class Counter:
    n: Decimal


def now(*versions: int, prefix: str = "e") -> pb.WatchResponse:
    states = [
        pb.HistoricState(
            version=version,
            position=version * 10,
            event_id=f"{prefix}{version}",
            type="A",
            recorded_at=STAMP,
            occurred_at=STAMP,
            exists=True,
            state=b'{"n":%d.10}' % version,
        )
        for version in versions
    ]
    return pb.WatchResponse(states=states)


async def taken(driver: Any, watch: Any, count: int) -> list[Any]:
    """So many states."""
    if driver.kind == "async":
        return [await anext(watch) for _ in range(count)]
    return await asyncio.to_thread(lambda: [next(watch) for _ in range(count)])


async def close(driver: Any, watch: Any) -> None:
    await driver.result(watch.aclose() if driver.kind == "async" else watch.close())


def asked(server: Any) -> list[int]:
    return [request.from_version for request in server.requests("Watch")]


async def test_a_stream_from_before_its_first_event(driver: Any, server: Any, script: Any) -> None:
    server.script("Watch", [INITIAL, ALIVE, now(1), now(2, 3), script.hang])
    watch = driver.client(server.target).watch("a-1", fold="f")
    assert watch.version == 0
    initial, first, *rest = await taken(driver, watch, 4)
    assert (initial.version, initial.position, initial.exists) == (0, 0, False)
    assert initial.state == {"n": 0}
    missing = (initial.event_id, initial.type, initial.recorded_at, initial.occurred_at)
    assert missing == (None, None, None, None)
    assert (first.version, first.position, first.event_id, first.type) == (1, 10, "e1", "A")
    assert (first.recorded_at, first.occurred_at, first.exists) == (TIME, TIME, True)
    assert first.state == {"n": Decimal("1.10")}
    assert first.state_json == b'{"n":1.10}'
    assert [state.version for state in rest] == [2, 3]
    assert watch.version == 3
    (request,) = server.requests("Watch")
    assert (request.stream, request.fold.name, request.from_version) == ("a-1", "f", 0)
    await close(driver, watch)


async def test_into_a_class_and_numbers(driver: Any, server: Any, script: Any) -> None:
    server.script("Watch", [now(4), script.hang])
    client = driver.client(server.target, numbers="float")
    watch = client.watch("a-1", fold={"fold": "f"}, from_version=4, into=Counter)
    (state,) = await taken(driver, watch, 1)
    assert state.state == Counter(Decimal("4.10"))
    (request,) = server.requests("Watch")
    assert (request.fold.source, request.from_version) == ('{"fold":"f"}', 4)
    await close(driver, watch)
    with pytest.raises(TypeError, match="into="):
        client.watch("a-1", fold="f", into=dict)
    with pytest.raises(TypeError, match="from_version"):
        client.watch("a-1", fold="f", from_version="1")


@pytest.mark.parametrize("end", ["UNAVAILABLE", "SHUTTING_DOWN", "STORAGE_UNAVAILABLE", "end"])
async def test_what_a_new_call_can_mend(driver: Any, server: Any, script: Any, end: str) -> None:
    breaks = {"UNAVAILABLE": [script.fail(grpc.StatusCode.UNAVAILABLE)], "end": []}
    last = breaks.get(end, [script.refuse(end)])
    server.script(
        "Watch",
        [INITIAL, *last],
        [*last],
        [now(1, 2), *last],
        [now(2), *last],
        [now(2, 3), ALIVE, now(4), script.hang],
    )
    told: list[eventfold.Reconnect] = []
    client = driver.client(server.target)
    watch = client.watch("a-1", fold="f", on_reconnect=told.append)
    found = await taken(driver, watch, 5)
    assert [state.version for state in found] == [0, 1, 2, 3, 4]
    # Behind the initial state the first event is asked for, so that it cannot be missed.
    assert asked(server) == [0, 1, 1, 2, 2]
    # The state that was seen before is nothing new.
    assert [(one.failures, one.position) for one in told] == [(1, 0), (2, 0), (1, 20), (2, 20)]
    assert "watch of a-1" in told[0].what
    await close(driver, watch)


async def test_an_initial_state_that_comes_again_is_passed_by(
    driver: Any, server: Any, script: Any
) -> None:
    server.script("Watch", [INITIAL], [INITIAL, now(1), script.hang])
    watch = driver.client(server.target).watch("a-1", fold="f")
    assert [state.version for state in await taken(driver, watch, 2)] == [0, 1]
    await close(driver, watch)


async def test_a_call_that_breaks_inside_of_a_message(
    driver: Any, server: Any, script: Any
) -> None:
    """What was not taken yet when the watch is left is no matter; what was is not repeated."""
    server.script("Watch", [now(1, 2, 3)], [now(3, 4), script.hang])
    watch = driver.client(server.target).watch("a-1", fold="f", from_version=1)
    assert [state.version for state in await taken(driver, watch, 4)] == [1, 2, 3, 4]
    assert asked(server) == [1, 3]
    await close(driver, watch)


LOST = {
    "another event": [now(2, prefix="x")],
    "a gap": [now(3)],
    "a stream that ends before": ["VERSION_AHEAD"],
    "nothing at all": [ALIVE],
}


@pytest.mark.parametrize("what", LOST)
async def test_a_store_that_lost_what_was_seen(
    driver: Any, server: Any, script: Any, what: str
) -> None:
    ahead = script.refuse("VERSION_AHEAD", "OUT_OF_RANGE", requested=2, head=0)
    steps = [ahead if step == "VERSION_AHEAD" else step for step in LOST[what]]
    server.script("Watch", [now(1, 2)], [*steps, script.hang])
    server.script("GetEvent", script.refuse("EVENT_NOT_FOUND", "NOT_FOUND"))
    watch = driver.client(server.target).watch("a-1", fold="f")
    with pytest.raises(eventfold.StoreIncarnationChanged) as raised:
        await taken(driver, watch, 3)
    assert raised.value.facts == {"token_position": "20"}


async def test_a_sign_of_life_while_a_long_stream_is_folded(
    driver: Any, server: Any, script: Any
) -> None:
    server.script("Watch", [now(1, 2)], [ALIVE, now(2, 3), script.hang])
    server.script("GetEvent", script.event(2, id="e2"))
    watch = driver.client(server.target).watch("a-1", fold="f")
    assert [state.version for state in await taken(driver, watch, 3)] == [1, 2, 3]
    await close(driver, watch)


async def test_what_none_can_mend_is_raised(driver: Any, server: Any, script: Any) -> None:
    failed = script.refuse("FOLD_FAILED", "FAILED_PRECONDITION", path="n")
    server.script("Watch", [now(1), failed])
    watch = driver.client(server.target).watch("a-1", fold="f")
    assert [state.version for state in await taken(driver, watch, 1)] == [1]
    with pytest.raises(eventfold.FoldFailed) as raised:
        await taken(driver, watch, 1)
    assert raised.value.path == "n"
    server.script("Watch", script.refuse("VERSION_AHEAD", "OUT_OF_RANGE", head=0))
    with pytest.raises(eventfold.VersionAhead):
        await taken(driver, driver.client(server.target).watch("a-1", fold="f"), 1)
    gone = script.fail(grpc.StatusCode.UNAVAILABLE)
    server.script("Watch", [now(1), gone], [gone])
    watch = driver.client(server.target).watch("a-1", fold="f", give_up_after=0.2)
    with pytest.raises(eventfold.ConnectionFailed):
        await taken(driver, watch, 2)


async def test_a_silent_server_is_called_again(
    driver: Any, server: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("_async", "_sync"):
        monkeypatch.setattr(f"eventfold.{kind}._waiting.SILENCE_S", 0.4)
    server.script("Watch", [now(1), script.hang], [now(1, 2), script.hang])
    told: list[eventfold.Reconnect] = []
    watch = driver.client(server.target).watch("a-1", fold="f", on_reconnect=told.append)
    assert [state.version for state in await taken(driver, watch, 2)] == [1, 2]
    assert "nothing came" in told[0].error.message
    await close(driver, watch)


async def test_closing_ends_a_loop(driver: Any, server: Any, script: Any) -> None:
    server.script("Watch", [now(1), script.hang])
    watch = driver.client(server.target).watch("a-1", fold="f")
    await taken(driver, watch, 1)

    async def rest() -> list[Any]:
        if driver.kind == "async":
            return [state async for state in watch]
        return await asyncio.to_thread(list, watch)

    task = asyncio.create_task(rest())
    await asyncio.sleep(0.3)
    await close(driver, watch)
    await close(driver, watch)
    async with asyncio.timeout(60):
        assert await task == []
