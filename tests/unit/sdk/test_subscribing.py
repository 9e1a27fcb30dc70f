"""Goal: a subscription calls again when that can help, with what it took, and raises when not.

Method: both clients against a server by script that breaks, ends, and goes silent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import grpc
import pytest

import eventfold
from eventfold import FrameKind, Place
from eventfold.v1 import subscriptions_pb2 as pb

CAUGHT_UP = pb.SubscribeResponse(
    kind=pb.FRAME_KIND_CAUGHT_UP, position=40, head=40, resume_token=b"t40"
)


def frame(script: Any, *versions: int, upto: int = 0) -> Any:
    """Events at ten times their versions."""
    position = upto or versions[-1] * 10
    return pb.SubscribeResponse(
        events=[script.event(version) for version in versions],
        kind=pb.FRAME_KIND_EVENTS,
        position=position,
        head=position,
        resume_token=b"t%d" % position,
    )


async def taken(driver: Any, subscription: Any, count: int) -> list[int]:
    """The positions of so many events."""
    if driver.kind == "async":
        return [(await anext(subscription)).position for _ in range(count)]

    def work() -> list[int]:
        return [next(subscription).position for _ in range(count)]

    return await asyncio.to_thread(work)


async def close(driver: Any, subscription: Any) -> None:
    await driver.result(subscription.aclose() if driver.kind == "async" else subscription.close())


BREAKS = ["UNAVAILABLE", "SHUTTING_DOWN", "STORAGE_UNAVAILABLE", "OVERLOADED", "reset", "end"]


@pytest.mark.parametrize("end", BREAKS)
async def test_what_a_new_call_can_mend(driver: Any, server: Any, script: Any, end: str) -> None:
    breaks = {
        "UNAVAILABLE": [script.fail(grpc.StatusCode.UNAVAILABLE)],
        "OVERLOADED": [script.refuse("OVERLOADED", "RESOURCE_EXHAUSTED")],
        "reset": [script.fail(grpc.StatusCode.INTERNAL, "Received RST_STREAM")],
        "end": [],
    }
    last = breaks.get(end, [script.refuse(end)])
    server.script(
        "Subscribe",
        [frame(script, 1, 2), *last],
        [*last],
        [CAUGHT_UP, *last],
        [frame(script, 5), script.hang],
    )
    told: list[eventfold.Reconnect] = []
    client = driver.client(server.target)
    subscription = client.subscribe(categories=["a"], on_reconnect=told.append)
    assert await taken(driver, subscription, 3) == [10, 20, 50]
    tokens = [request.resume_token for request in server.requests("Subscribe")]
    assert tokens == [b"", b"t20", b"t20", b"t40"]
    assert {tuple(request.categories) for request in server.requests("Subscribe")} == {("a",)}
    # A call that brought nothing new is a failure like one that was refused.
    assert [(one.failures, one.position) for one in told] == [(1, 20), (2, 20), (3, 40)]
    assert all(0 < one.pause < 0.2 for one in told)
    await close(driver, subscription)


async def test_it_says_so(
    driver: Any, server: Any, script: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "eventfold")
    gone = script.fail(grpc.StatusCode.UNAVAILABLE, "gone")
    server.script("Subscribe", [frame(script, 1), gone], [frame(script, 2), script.hang])
    subscription = driver.client(server.target).subscribe("a-1")
    await taken(driver, subscription, 2)
    await close(driver, subscription)
    lost, found = caplog.records
    assert lost.levelname == "WARNING"
    assert "subscription to a-1: CONNECTION_FAILED" in lost.getMessage()
    assert "trying again in" in lost.getMessage()
    assert found.getMessage() == "subscription to a-1: connected again"


async def test_what_none_can_mend_is_raised(driver: Any, server: Any, script: Any) -> None:
    refused = script.refuse(
        "STORE_INCARNATION_CHANGED", "FAILED_PRECONDITION", common_position=7, token_position=10
    )
    server.script("Subscribe", [frame(script, 1), refused])
    subscription = driver.client(server.target).subscribe()
    with pytest.raises(eventfold.StoreIncarnationChanged) as raised:
        await taken(driver, subscription, 2)
    assert raised.value.common_position == 7
    assert len(server.calls) == 1


async def test_giving_up(driver: Any, server: Any, script: Any) -> None:
    gone = script.fail(grpc.StatusCode.UNAVAILABLE)
    server.script("Subscribe", [frame(script, 1), gone], [gone])
    began = time.monotonic()
    subscription = driver.client(server.target).subscribe(give_up_after=0.5)
    with pytest.raises(eventfold.ConnectionFailed):
        await taken(driver, subscription, 2)
    assert 0.2 < time.monotonic() - began < 30
    assert len(server.calls) > 2
    subscription = driver.client(server.target).subscribe(give_up_after=0)
    server.script("Subscribe", [frame(script, 1), gone], [frame(script, 2), gone])
    with pytest.raises(eventfold.ConnectionFailed):
        await taken(driver, subscription, 2)


async def test_a_silent_server_is_called_again(
    driver: Any, server: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("_async", "_sync"):
        monkeypatch.setattr(f"eventfold.{kind}._waiting.SILENCE_S", 0.4)
    server.script("Subscribe", [frame(script, 1), script.hang], [frame(script, 2), script.hang])
    told: list[eventfold.Reconnect] = []
    subscription = driver.client(server.target).subscribe(on_reconnect=told.append)
    assert await taken(driver, subscription, 2) == [10, 20]
    assert "nothing came" in told[0].error.message
    await close(driver, subscription)


async def test_a_slow_loop_is_no_silent_server(
    driver: Any, server: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("_async", "_sync"):
        monkeypatch.setattr(f"eventfold.{kind}._waiting.SILENCE_S", 0.2)
    server.script("Subscribe", [*(frame(script, n) for n in range(1, 4)), script.hang])
    subscription = driver.client(server.target).subscribe(give_up_after=0)
    for n in range(1, 4):
        assert await taken(driver, subscription, 1) == [n * 10]
        await asyncio.sleep(0.6)
    await close(driver, subscription)


async def test_a_place_that_lies_beyond_the_log(driver: Any, server: Any, script: Any) -> None:
    server.script("Subscribe", script.refuse("POSITION_AHEAD", "OUT_OF_RANGE", head=3))
    id_ = script.event(9).id
    for place, error in [
        (Place(90, event_id=id_), eventfold.StoreIncarnationChanged),
        (Place(90), eventfold.PositionAhead),
    ]:
        with pytest.raises(error):
            await taken(driver, driver.client(server.target).subscribe(place=place), 1)


async def test_a_log_that_ends_before_the_place(driver: Any, server: Any, script: Any) -> None:
    """The token is right, and the event that was taken after it is gone."""
    missing = script.refuse("EVENT_NOT_FOUND", "NOT_FOUND")
    server.script("Subscribe", [CAUGHT_UP, script.hang])
    server.script("GetEvent", missing)
    place = Place(50, b"t30", 30, script.event(5).id)
    with pytest.raises(eventfold.StoreIncarnationChanged) as raised:
        await taken(driver, driver.client(server.target).subscribe(place=place), 1)
    assert raised.value.common_position == 30


async def test_frames_and_events_are_two_ways(driver: Any, server: Any, script: Any) -> None:
    server.script("Subscribe", [frame(script, 1, 2, upto=25), CAUGHT_UP, script.hang])
    subscription = driver.client(server.target).subscribe()
    frames = subscription.frames()
    with pytest.raises(RuntimeError, match="used once"):
        await taken(driver, subscription, 1)
    found = [await anext(frames) if driver.kind == "async" else next(frames) for _ in range(2)]
    assert [(one.kind, one.position, len(one)) for one in found] == [
        (FrameKind.EVENTS, 25, 2),
        (FrameKind.CAUGHT_UP, 40, 0),
    ]
    assert [event.position for event in found[0]] == [10, 20]
    assert subscription.place == Place(40, b"t40", 40)
    await close(driver, subscription)


async def test_closing_ends_a_pause(driver: Any, server: Any, script: Any) -> None:
    gone = script.fail(grpc.StatusCode.UNAVAILABLE)
    server.script("Subscribe", [frame(script, 1), gone], [gone])
    subscription = driver.client(server.target).subscribe()
    assert await taken(driver, subscription, 1) == [10]

    async def rest() -> list[Any]:
        if driver.kind == "async":
            return [event async for event in subscription]
        return await asyncio.to_thread(list, subscription)

    task = asyncio.create_task(rest())
    await asyncio.sleep(0.5)
    await close(driver, subscription)
    async with asyncio.timeout(60):
        assert await task == []
