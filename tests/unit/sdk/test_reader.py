"""Goal: a read gives every event once and in order, however often its connection breaks.

Method: both clients against a server that breaks streams by script; random breaks last.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import grpc
import pytest

import eventfold
from eventfold.v1 import event_store_pb2 as pb


def versions(events: list[eventfold.RecordedEvent]) -> list[int]:
    return [event.version for event in events]


async def test_a_read_and_its_end(driver: Any, server: Any, script: Any) -> None:
    messages = [
        pb.ReadResponse(events=[script.event(1), script.event(2)]),
        pb.ReadResponse(events=[script.event(3)], end=script.end(3)),
    ]
    server.script("Read", messages)
    reader = driver.client(server.target).read("a-1")
    with pytest.raises(RuntimeError, match="all of its events"):
        _ = reader.end
    assert versions(await driver.items(reader)) == [1, 2, 3]
    assert reader.end == eventfold.ReadEnd(3, 30, b"t3", True, "a-1")
    assert await driver.items(reader) == []
    assert len(server.calls) == 1


async def test_next_and_to_list(driver: Any, server: Any, script: Any) -> None:
    events = [script.event(n) for n in (1, 2, 3)]
    server.script("Read", [pb.ReadResponse(events=events, end=script.end(3))])
    reader = driver.client(server.target).read("a-1")
    if driver.kind == "sync":
        first, rest = next(reader), reader.to_list()
    else:
        first, rest = await anext(reader), await reader.to_list()
    assert (first.version, versions(rest)) == (1, [2, 3])


async def test_a_broken_read_goes_on_behind_the_last_event(
    driver: Any, server: Any, script: Any
) -> None:
    server.script(
        "Read",
        [
            pb.ReadResponse(events=[script.event(1), script.event(2)]),
            script.fail(grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        ],
        [script.refuse("STORAGE_UNAVAILABLE")],
        [pb.ReadResponse(events=[script.event(n) for n in (2, 3, 4)], end=script.end(4))],
    )
    reader = driver.client(server.target).read("a-1", limit=4, types=["A"])
    assert versions(await driver.items(reader)) == [1, 2, 3, 4]
    first, *later = server.requests("Read")
    assert (first.HasField("from_version"), first.limit, list(first.types)) == (False, 4, ["A"])
    # From the last event on, inclusive: one more than is still missing.
    assert [(request.from_version, request.limit) for request in later] == [(2, 3)] * 2


async def test_a_broken_read_of_the_log_leaves_its_token_behind(
    driver: Any, server: Any, script: Any
) -> None:
    server.script(
        "ReadAll",
        [script.fail(grpc.StatusCode.UNAVAILABLE)],
        [pb.ReadAllResponse(events=[script.event(7)]), script.fail(grpc.StatusCode.UNAVAILABLE)],
        [pb.ReadAllResponse(events=[script.event(7)], end=script.end(7))],
    )
    reader = driver.client(server.target).read_all(resume_token=b"token", tags=["x"])
    assert versions(await driver.items(reader)) == [7]
    requests = server.requests("ReadAll")
    assert [request.WhichOneof("from") for request in requests] == [
        "resume_token",
        "resume_token",
        "from_position",
    ]
    assert requests[2].from_position == 70
    assert list(requests[2].tags) == ["x"]


async def test_a_read_backwards_that_breaks_at_its_last_event(
    driver: Any, server: Any, script: Any
) -> None:
    server.script(
        "Read",
        [
            pb.ReadResponse(events=[script.event(2), script.event(1)]),
            script.fail(grpc.StatusCode.UNAVAILABLE),
        ],
        [pb.ReadResponse(events=[script.event(1)], end=script.end(1))],
    )
    reader = driver.client(server.target).read("a-1", direction="backwards")
    assert versions(await driver.items(reader)) == [2, 1]
    assert reader.end.end_reached


@pytest.mark.parametrize("answer", ["another event", "nothing"])
async def test_a_log_that_lost_its_tail_in_between(
    driver: Any, server: Any, script: Any, answer: str
) -> None:
    other = script.event(1, id="00000000-0000-7000-8000-00000000ffff")
    events = [other] if answer == "another event" else []
    server.script(
        "Read",
        [pb.ReadResponse(events=[script.event(1)]), script.fail(grpc.StatusCode.UNAVAILABLE)],
        [pb.ReadResponse(events=events, end=script.end(1))],
    )
    reader = driver.client(server.target).read("a-1")
    with pytest.raises(eventfold.StoreIncarnationChanged) as caught:
        await driver.items(reader)
    assert caught.value.token_position == 10


async def test_a_long_read_outlives_the_timeout_as_long_as_events_come(
    driver: Any, server: Any, script: Any
) -> None:
    def slowly(request: Any, _: Any) -> Any:
        start = request.from_version or 1
        for version in range(start, 9):
            yield pb.ReadResponse(events=[script.event(version)])
            time.sleep(0.06)
        yield pb.ReadResponse(end=script.end(8))

    server.script("Read", slowly)
    reader = driver.client(server.target).read("a-1", timeout=0.25)
    assert versions(await driver.items(reader)) == list(range(1, 9))
    assert len(server.calls) > 1


async def test_a_read_that_stalls_ends(driver: Any, server: Any, script: Any) -> None:
    server.script("Read", [pb.ReadResponse(events=[script.event(1)]), script.hang])
    reader = driver.client(server.target).read("a-1", timeout=0.2)
    begin = time.monotonic()
    with pytest.raises(eventfold.DeadlineExceeded):
        await driver.items(reader)
    assert time.monotonic() - begin < 20


async def test_a_read_gives_up_after_five_failures_in_a_row(
    driver: Any, server: Any, script: Any
) -> None:
    server.script("Read", [script.refuse("SHUTTING_DOWN")])
    reader = driver.client(server.target).read("a-1")
    with pytest.raises(eventfold.ShuttingDown):
        await driver.items(reader)
    assert len(server.calls) == 5


async def test_a_refused_read_is_not_repeated(driver: Any, server: Any, script: Any) -> None:
    server.script("Read", [script.refuse("STREAM_NOT_FOUND", "NOT_FOUND", stream="a-1")])
    with pytest.raises(eventfold.StreamNotFound) as caught:
        await driver.items(driver.client(server.target).read("a-1"))
    assert caught.value.stream == "a-1"
    assert isinstance(caught.value, LookupError)
    assert len(server.calls) == 1


async def test_an_answer_without_its_last_message(driver: Any, server: Any, script: Any) -> None:
    server.script("Read", [pb.ReadResponse(events=[script.event(1)])])
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.items(driver.client(server.target).read("a-1"))


async def test_leaving_early_ends_the_call(driver: Any, server: Any, script: Any) -> None:
    ended = threading.Event()

    def endless(_: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(ended.set)
        version = 0
        while context.is_active():
            version += 1
            yield pb.ReadResponse(events=[script.event(version)])

    server.script("Read", endless)
    reader = driver.client(server.target).read("a-1")
    if driver.kind == "sync":
        with reader:
            assert next(reader).version == 1
    else:
        async with reader:
            assert (await anext(reader)).version == 1
    assert ended.wait(5)


@pytest.mark.parametrize("seed", range(8))
async def test_random_breaks(driver: Any, server: Any, script: Any, seed: int) -> None:
    chance = random.Random(seed)
    total = 60

    def breaking(request: Any, context: grpc.ServicerContext) -> Any:
        if chance.random() < 0.2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        backwards = request.direction == pb.DIRECTION_BACKWARDS
        start = request.from_version or (total if backwards else 1)
        left = list(range(start, 0, -1) if backwards else range(start, total + 1))
        if request.limit:
            left = left[: request.limit]
        while left:
            size = chance.randint(1, 12)
            batch, left = left[:size], left[size:]
            last = script.end(batch[-1]) if not left and chance.random() < 0.5 else None
            yield pb.ReadResponse(events=[script.event(n) for n in batch], end=last)
            if last is not None:
                return
            if chance.random() < 0.3:
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield pb.ReadResponse(end=script.end(0))

    server.script("Read", breaking)
    direction = chance.choice(["forwards", "backwards"])
    limit = chance.choice([0, 1, 37, 60])
    reader = driver.client(server.target).read("a-1", direction=direction, limit=limit)
    wanted = list(range(1, total + 1))
    if direction == "backwards":
        wanted.reverse()
    assert versions(await driver.items(reader)) == wanted[: limit or total]
