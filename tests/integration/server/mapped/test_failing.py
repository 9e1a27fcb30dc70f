"""Goal: an event on which its mapping fails is told where it stands, and stops nobody who does not
read it.

Method: a mapping in force that was not tried on what is stored, as no server puts one, and events
that were not tried under it, as no server stores them.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from tests.support.groups import groups_of
from tests.support.mapped import Mapped, Reading
from tests.support.projection_servers import Projections
from tests.support.raw import answer_of
from tests.support.subscriptions import subscriber

from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import consumer_groups_pb2 as groups_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2, projections_pb2

FAILING = 'mapping: Paid\ncomputed: {amount: "int(event.amount) + 1"}\n'
MENDED = "mapping: Paid\ncomputed: {amount: \"int(event.?amount.orValue('0')) + 1\"}\n"
# The mapping fails on the third.
EVENTS = [("Paid", b'{"amount": 1}'), ("Other", b"{}"), ("Paid", b"{}"), ("Paid", b'{"amount": 2}')]
FOLD = json.dumps(
    {"fold": "sum", "initial": {"n": 0}, "handlers": {"Paid": {"n": "state.n + event.amount"}}}
)
OTHERS = json.dumps(
    {"fold": "others", "initial": {"n": 0}, "handlers": {"Other": {"n": "state.n + 1"}}}
)


@pytest.fixture
async def at(store: Mapped) -> AsyncIterator[Reading]:
    await store.put(FAILING)
    async with store.readings() as [first, second]:
        store.store_unruled(second.stream, EVENTS)
        yield first
    await store.drop("Paid")


async def failure(call: Any) -> tuple[list[Any], str, dict[str, str]]:
    """What came of a call before it failed, with reason and facts."""
    messages = []
    try:
        async for message in call:
            messages.append(message)
    except grpc.aio.AioRpcError as error:
        answer = answer_of(error)
        return messages, answer.reason, answer.facts
    raise AssertionError(f"no error behind {messages}")


def check(at: Reading, reason: str, facts: dict[str, str]) -> None:
    assert reason == "MAPPING_FAILED"
    wanted = {"type": "Paid", "stream": at.stream, "version": "3", "path": "computed.amount"}
    assert {name: facts.get(name) for name in wanted} == wanted
    assert {"position", "event_id"} <= set(facts)


async def test_a_read_gives_what_stands_before(at: Reading) -> None:
    request = pb.ReadRequest(stream=at.stream)
    messages, reason, facts = await failure(at.store.Read(request))
    check(at, reason, facts)
    events = [event for message in messages for event in message.events]
    assert [event.version for event in events] == [1, 2]
    # Who does not want it is not held up, nor who wants what is stored.
    assert [event.version for event in await at.read(types=["Other"])] == [2]
    assert [event.version for event in await at.read(from_version=4)] == [4]
    stored = await at.read(raw=True)
    assert [event.data for event in stored] == [data for _, data in EVENTS]
    assert (await at.event(stored[2].id, raw=True)).data == b"{}"
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await at.event(stored[2].id)
    answer = answer_of(failed.value)
    check(at, answer.reason, answer.facts)


async def test_folds(at: Reading) -> None:
    ref = folds_pb2.FoldRef(source=FOLD)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await at.folds.Hydrate(folds_pb2.HydrateRequest(stream=at.stream, fold=ref))
    answer = answer_of(failed.value)
    check(at, answer.reason, answer.facts)
    # One that handles no such event never sees it.
    others = folds_pb2.HydrateRequest(stream=at.stream, fold=folds_pb2.FoldRef(source=OTHERS))
    assert json.loads((await at.folds.Hydrate(others)).state) == {"n": 1}
    # Of many streams, one alone has no state.
    fine = [f"{at.category}-{n}" for n in (0, 2)]
    for stream in fine:
        request = appends_pb.AppendRequest(stream=stream)
        request.expected_version.exact = 0
        request.events.add(type="Paid", data=b'{"amount": 4}')
        await at.store.Append(request)
    many = folds_pb2.HydrateManyRequest(streams=[fine[0], at.stream, fine[1]], fold=ref)
    parts = [part async for part in at.folds.HydrateMany(many)]
    streams = {one.stream: one for part in parts for one in part.streams}
    assert {json.loads(streams[stream].hydrated.state)["n"] for stream in fine} == {5}
    assert "MAPPING_FAILED" in str(streams[at.stream].error)
    checked = folds_pb2.CheckFoldRequest(category=at.category, fold=ref)
    *_, report = [part async for part in at.folds.CheckFold(checked)]
    assert (report.streams, report.failed_streams) == (3, 1)
    assert report.failures[0].stream == at.stream


async def test_subscriptions(store: Mapped, at: Reading) -> None:
    """What is appended too: who wants it is told, and others go on."""
    async with subscriber(at.address) as subscribe:
        follower = subscribe(stream=at.stream)
        answer = await follower.refusal()
        check(at, answer.reason, answer.facts)
        assert [event.version for event in follower.events] == [1, 2]
        live = subscribe(stream=at.stream, now={})
        others = subscribe(categories=[at.category], types=["Other"])
        await asyncio.gather(live.until_caught_up(), others.until_caught_up())
        positions = await asyncio.to_thread(store.store_unruled, at.stream, EVENTS)
        answer = await live.refusal()
        assert (answer.reason, answer.facts["version"]) == ("MAPPING_FAILED", "7")
        assert [event.version for event in live.events] == [5, 6]
        await others.until_position(positions[-1])
        assert [event.version for event in others.events] == [2, 6]
        positions = await at.append(EVENTS[:2])
        await others.until_position(positions[-1])
        others.cancel()


@pytest.mark.parametrize("where", ["", "event.amount != 100 || true"])
async def test_a_group_waits_for_the_mend(store: Mapped, at: Reading, where: str) -> None:
    name = f"g-{uuid.uuid4().hex}"
    async with groups_of(at.address) as groups:
        await groups.create(name, groups_pb.GroupSource(stream=at.stream, where=where))
        one = await groups.consume(name, credits_=4)
        assert await one.end() == "MAPPING_FAILED"
        await store.put(MENDED)
        two = await groups.consume(name, credits_=4)
        assert [event.version for event in await two.take(4)] == [1, 2, 3, 4]
        await two.close()


async def test_a_projection_stops_and_goes_on(store: Mapped, at: Reading) -> None:
    name = f"p_{uuid.uuid4().hex[:10]}"
    document = (
        f"projection: {name}\nsource: {{category: {at.category}}}\n"
        "handlers: {Paid: {n: event.amount}, Other: {n: -1}}\nkey: meta.id\ncolumns: {n: integer}\n"
    )
    positions = [event.position for event in await at.read(raw=True)]

    def stopped() -> Any:
        with grpc.insecure_channel(at.address) as channel:
            calls = Projections(channel)
            calls.put(document)
            found = calls.until(name, lambda one: one.generations[0].HasField("stopped"))
            return found.generations[0]

    def goes_on() -> list[int]:
        with grpc.insecure_channel(at.address) as channel:
            calls = Projections(channel)
            retry = projections_pb2.RetryProjectionRequest(name=name)
            assert calls.stub.RetryProjection(retry, timeout=30).resumed
            calls.until_active(name, 1)
            request = projections_pb2.QueryProjectionRequest(
                name=name, at_least_position=positions[-1]
            )
            rows = calls.stub.QueryProjection(request, timeout=30).rows
            return sorted(json.loads(row.columns)["n"] for row in rows)

    generation = await asyncio.to_thread(stopped)
    assert generation.position == positions[2] - 1
    assert "MAPPING_FAILED" in str(generation.stopped)
    await store.put(MENDED)
    assert await asyncio.to_thread(goes_on) == [-1, 1, 2, 3]
