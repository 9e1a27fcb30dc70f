"""Goal: a session gives events to one consumer at a time, and to the next one when it is gone,
whatever becomes of the consumer, the server, the group.

Method: raw stubs on a real server. Leases run out because their rows say so, not because a test
has slept; consumers are cut, killed, paused, or stop reading.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tests.integration.server.conftest import Starter
from tests.support.groups import (
    ACK,
    EXTEND,
    PARK,
    RETRY,
    SKIP,
    Delivered,
    Groups,
    groups_of,
    reason_of,
    settings,
)
from tests.support.raw import answer_of
from tests.support.servers import RunningServer

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold_server import limits

Due = Callable[[str], int]


def of(category: str) -> pb.GroupSource:
    return pb.GroupSource(categories=[category])


async def test_events_come_once_while_they_are_settled(groups: Groups, category: str) -> None:
    positions = [p for n in range(6) for p in await groups.append(f"{category}-{n % 3}", 2)]
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 100)
    events = await one.take(12)
    assert sorted(event.position for event in events) == positions
    assert {event.attempt for event in events} == {1}
    assert (await one.settled(ACK, events[:5])).HasField("settled")
    assert (await one.settled(SKIP, events[5:])).HasField("settled")
    group = (await groups.get(category)).group
    assert group.progress == group.cursor >= positions[-1]
    [later] = await groups.append(f"{category}-new")
    [event] = await one.take(1)
    assert (event.position, event.version) == (later, 1)
    assert await one.close() == "OK"


async def test_no_more_events_than_credits(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 10)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 3)
    events = await one.take(3)
    await asyncio.sleep(2 * limits.GROUP_BUSY_PAUSE_S)
    assert (await groups.get(category)).status.under_way == 3
    await one.settle(ACK, events)
    await one.grant(2)
    assert [event.version for event in await one.take(2)] == [4, 5]
    assert await one.close() == "OK"
    assert not one.events


@pytest.mark.parametrize(
    "source",
    [
        pb.GroupSource(types=["Wanted"]),
        pb.GroupSource(tags=["b", "a"]),
        pb.GroupSource(stream="STREAM"),
        pb.GroupSource(categories=["CATEGORY", "other"], types=["Wanted"], tags=["a"]),
        pb.GroupSource(stream="STREAM", types=["Wanted"]),
    ],
    ids=["types", "tags", "stream", "categories", "stream and types"],
)
async def test_only_what_passes_the_filter(
    groups: Groups, category: str, source: pb.GroupSource
) -> None:
    wanted = f"Wanted{category}"
    source = pb.GroupSource.FromString(source.SerializeToString())
    if source.types:
        source.types[:] = [wanted]
    if source.categories:
        source.categories[0] = category
    tags = [f"a{category}", f"b{category}", "c"]
    if source.tags:
        source.tags[:] = [f"{tag}{category}" for tag in source.tags]
    if source.stream:
        source.stream = f"{category}-1"
    await groups.create(category, source)
    await groups.append(f"x{category}-1", 3, tags=tags[:1])
    await groups.append(f"{category}-2", 2)
    for _ in range(3):
        await groups.append(f"{category}-1", 1, type_=wanted, tags=tags)
        await groups.append(f"y{category}-1", 3, tags=tags[2:])
    one = await groups.consume(category, "one", 100)
    events = await one.take(3)
    assert [event.stream for event in events] == [f"{category}-1"] * 3
    assert [event.version for event in events] == [1, 2, 3]
    await one.settled(ACK, events)
    group = (await groups.get(category)).group
    assert group.progress == group.cursor
    assert not one.events


async def test_where_a_group_begins(groups: Groups, category: str) -> None:
    positions = await groups.append(f"{category}-1", 3)
    stored = (await groups.stub.ListGroups(pb.ListGroupsRequest())).groups
    assert all(group.name != category for group in stored)
    now = pb.GroupStart()
    now.now.SetInParent()
    cases = {"all": (None, 1), "second": (pb.GroupStart(from_position=positions[1]), 2)}
    for name, (start, version) in cases.items():
        await groups.create(category + name, of(category), start=start)
        one = await groups.consume(category + name, credits_=1)
        assert (await one.take(1))[0].version == version
    await groups.create(category + "now", of(category), start=now)
    one = await groups.consume(category + "now", credits_=1)
    [new] = await groups.append(f"{category}-1")
    [event] = await one.take(1)
    assert event.position == new
    recorded = pb.GroupStart()
    message = await groups.event(new)
    recorded.from_recorded_at.CopyFrom(message.recorded_at)
    await groups.create(category + "time", of(category), start=recorded)
    one = await groups.consume(category + "time", credits_=1)
    assert (await one.take(1))[0].position == new


async def test_a_stream_is_with_one_consumer_at_a_time(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 4)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 2)
    first = await one.take(2)
    two = await groups.consume(category, "two", 10)
    await groups.append(f"{category}-2", 1)
    assert [(e.stream, e.version) for e in await two.take(1)] == [(f"{category}-2", 1)]
    consumers = (await groups.get(category)).status.consumers
    assert [(c.consumer, c.streams, c.under_way) for c in consumers] == [
        ("one", 1, 2),
        ("two", 1, 1),
    ]
    # Settled in any order; the stream is free with the last of them.
    await one.settled(ACK, first[1:])
    assert not two.events
    await one.settled(ACK, first[:1])
    assert [event.version for event in await two.take(2)] == [3, 4]


async def test_an_unordered_group_shares_a_stream(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 4)
    await groups.create(category, of(category), settings(unordered=True))
    one = await groups.consume(category, "one", 2)
    first = await one.take(2)
    two = await groups.consume(category, "two", 2)
    assert [event.version for event in (*first, *await two.take(2))] == [1, 2, 3, 4]


async def test_a_paused_consumer_cannot_settle_what_another_took_over(
    groups: Groups, category: str, due: Due
) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category))
    paused = await groups.consume(category, "paused", 2)
    old = await paused.take(2)
    assert due(category) == 1
    other = await groups.consume(category, "other", 2)
    new = await other.take(2)
    # The first of them failed with the lease; nobody knows about the second.
    assert [(event.version, event.attempt) for event in new] == [(1, 2), (2, 1)]
    assert new[0].lease > old[0].lease
    for action in (ACK, SKIP, RETRY, PARK, EXTEND):
        answer = await paused.settled(action, old)
        assert reason_of(answer.refused) == "LEASE_LOST"
        assert list(answer.refused_positions) == [event.position for event in old]
    assert (await groups.get(category)).status.under_way == 2
    assert (await other.settled(ACK, new)).HasField("settled")


async def test_a_lease_that_ran_out_counts_until_another_takes_over(
    groups: Groups, category: str, due: Due
) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category))
    slow = await groups.consume(category, "slow", 2)
    events = await slow.take(2)
    due(category)
    assert (await slow.settled(ACK, events[:1])).HasField("settled")
    # With that it was given time anew.
    other = await groups.consume(category, "other", 2)
    await asyncio.sleep(2 * limits.GROUP_BUSY_PAUSE_S)
    assert (await slow.settled(ACK, events[1:])).HasField("settled")
    assert not other.events


async def test_more_time_on_request(
    groups: Groups, category: str, due: Due, database_url: str
) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category))
    slow = await groups.consume(category, "slow", 2)
    events = await slow.take(2)
    due(category)
    assert (await slow.settled(EXTEND, events[:1])).HasField("settled")
    other = await groups.consume(category, "other", 2)
    await asyncio.sleep(2 * limits.GROUP_BUSY_PAUSE_S)
    status = (await groups.get(category)).status
    assert [(c.consumer, c.under_way) for c in status.consumers] == [("slow", 2), ("other", 0)]
    assert (await slow.settled(ACK, events)).HasField("settled")
    assert not other.events


async def test_a_lease_runs_out_by_itself(groups: Groups, category: str) -> None:
    """The one test that waits for a real lease: a consumer that never settles anything."""
    await groups.append(f"{category}-1")
    await groups.create(category, of(category), settings(ack_timeout_s=1.0))
    idle = await groups.consume(category, "idle", 1)
    await idle.take(1)
    other = await groups.consume(category, "other", 5)
    [event] = await other.take(1)
    assert event.attempt == 2
    assert (await other.settled(ACK, [event])).HasField("settled")


@pytest.mark.parametrize("how", ["other session", "made up", "settled", "unknown position"])
async def test_settling_what_is_not_yours(groups: Groups, category: str, how: str) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.append(f"{category}-2", 1)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 2)
    mine = await one.take(2)
    two = await groups.consume(category, "two", 2)
    theirs = await two.take(1)
    match how:
        case "other session":
            foreign = theirs[0]
        case "made up":
            foreign = Delivered(mine[0].position, "", 1, 10**15, 1)
        case "settled":
            await one.settled(ACK, mine[:1])
            foreign = mine[0]
        case _:
            foreign = Delivered(10**15, "", 1, mine[0].lease, 1)
    answer = await one.settled(ACK, [mine[1], foreign])
    assert reason_of(answer.refused) == "LEASE_LOST"
    assert list(answer.refused_positions) == [foreign.position]
    # What was its own is settled, and the session goes on.
    assert (await groups.get(category)).status.under_way == (1 if how == "settled" else 2)
    assert (await two.settled(ACK, theirs)).HasField("settled")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action": 0}, "action"),
        ({"action": 99}, "action"),
        ({"positions": []}, "positions"),
        ({"positions": [1] * (limits.GROUP_SETTLEMENT_EVENTS_MAX + 1)}, "positions"),
        ({"positions": [1, 2, 3], "leases": [1, 2]}, "leases"),
        ({"leases": []}, "leases"),
        ({"delay": {"seconds": 1}}, "delay"),
        ({"action": RETRY, "delay": {"seconds": -1}}, "delay"),
        ({"action": RETRY, "delay": {"seconds": 86_401}}, "delay"),
        ({"action": RETRY, "delay": {"seconds": 1 << 60}}, "delay"),
    ],
)
async def test_a_settlement_that_is_none(
    groups: Groups, category: str, change: dict[str, object], field: str
) -> None:
    await groups.append(f"{category}-1")
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 1)
    [event] = await one.take(1)
    fields = {"number": 7, "action": ACK, "positions": [event.position], "leases": [event.lease]}
    wrong = pb.Settlement(**{**fields, **change})  # type: ignore[arg-type]
    await one.call.write(pb.ConsumeRequest(settlements=[wrong]))
    answer = await one.answer(7)
    assert reason_of(answer.refused) == "INVALID_REQUEST"
    assert f"{field}:" in answer.refused.message
    assert not answer.refused_positions
    assert (await one.settled(ACK, [event])).HasField("settled")


async def test_the_largest_settlement_and_the_most_credits(groups: Groups, category: str) -> None:
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", limits.GROUP_CREDITS_MAX)
    foreign = [Delivered(n, "", 1, 1, 1) for n in range(1, limits.GROUP_SETTLEMENT_EVENTS_MAX + 1)]
    answer = await one.settled(ACK, foreign)
    assert len(answer.refused_positions) == limits.GROUP_SETTLEMENT_EVENTS_MAX
    await one.grant(1)
    assert await one.end() == "INVALID_REQUEST"


async def test_a_session_must_begin(groups: Groups, category: str) -> None:
    call = groups.stub.Consume()
    await call.write(pb.ConsumeRequest(credits=1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert answer_of(caught.value).facts["field"] == "start"
    await groups.create(category, of(category))
    one = await groups.consume(category)
    await one.call.write(pb.ConsumeRequest(start=pb.ConsumeStart(group=category)))
    assert await one.end() == "INVALID_REQUEST"
    call = groups.stub.Consume()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (pb.ConsumeStart(group="nowhere"), "GROUP_NOT_FOUND"),
        (pb.ConsumeStart(), "INVALID_REQUEST"),
        (pb.ConsumeStart(group="g" * 129), "INVALID_REQUEST"),
        (pb.ConsumeStart(group="g", consumer="c" * 129), "INVALID_REQUEST"),
        (pb.ConsumeStart(group="g", consumer="\0"), "INVALID_REQUEST"),
    ],
)
async def test_a_group_that_is_none(groups: Groups, start: pb.ConsumeStart, reason: str) -> None:
    call = groups.stub.Consume()
    await call.write(pb.ConsumeRequest(start=start))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert answer_of(caught.value).reason == reason


async def test_a_group_that_is_deleted_ends_its_sessions(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category))
    hungry = await groups.consume(category, "hungry", 10)
    events = await hungry.take(2)
    await groups.stub.DeleteGroup(pb.DeleteGroupRequest(name=category))
    number = await hungry.settle(ACK, events)
    assert await hungry.end() == "GROUP_NOT_FOUND"
    if number in hungry.answers:
        assert reason_of(hungry.answers[number].refused) == "LEASE_LOST"
    # One of the same name is another one.
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 2)
    assert [event.attempt for event in await one.take(2)] == [1, 1]


async def test_a_group_that_is_reset_goes_on(groups: Groups, category: str) -> None:
    positions = await groups.append(f"{category}-1", 3)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 10)
    old = await one.take(3)
    await one.settled(ACK, old[:1])
    start = pb.GroupStart(from_position=positions[0])
    reset = await groups.stub.ResetGroup(pb.ResetGroupRequest(name=category, start=start))
    assert (reset.group.generation, reset.group.progress) == (2, positions[0] - 1)
    new = await one.take(3)
    assert [event.version for event in new] == [1, 2, 3]
    answer = await one.settled(ACK, old[1:])
    assert reason_of(answer.refused) == "LEASE_LOST"
    assert (await one.settled(ACK, new)).HasField("settled")


async def test_a_clean_end_gives_back_at_once(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 10)
    events = await one.take(2)
    # The last settlement is answered, though the side it came from is closed.
    number = await one.settle(ACK, events[:1])
    assert await one.close() == "OK"
    assert one.answers[number].HasField("settled")
    two = await groups.consume(category, "two", 10)
    assert [(event.version, event.attempt) for event in await two.take(1)] == [(2, 1)]
    consumers = (await groups.get(category)).status.consumers
    assert [consumer.consumer for consumer in consumers] == ["two"]


async def test_a_cut_gives_back_and_counts(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 10)
    await one.take(2)
    one.call.cancel()
    two = await groups.consume(category, "two", 10)
    assert [(event.version, event.attempt) for event in await two.take(2)] == [(1, 2), (2, 1)]


_CONSUMER = """
import sys
import grpc
from eventfold.v1 import consumer_groups_pb2 as pb, consumer_groups_pb2_grpc

def ask():
    yield pb.ConsumeRequest(start=pb.ConsumeStart(group=sys.argv[2], consumer="killed"), credits=5)
    import threading
    threading.Event().wait()

with grpc.insecure_channel(sys.argv[1]) as channel:
    for message in consumer_groups_pb2_grpc.ConsumerGroupsStub(channel).Consume(ask()):
        if message.events:
            print(len(message.events), flush=True)
"""


async def test_an_event_that_kills_its_consumers_is_parked(
    groups: Groups, server: RunningServer, category: str
) -> None:
    """Each time the consumer is killed -9; the connection goes down with the process."""
    await groups.append(f"{category}-1", 2)
    await groups.create(category, of(category), settings(attempts_max=2))
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CONSUMER, server.address, category,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert (await asyncio.wait_for(process.stdout.readline(), 30)).strip() == b"2"
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    for _ in range(100):
        status = (await groups.get(category)).status
        if status.parked:
            break
        await asyncio.sleep(0.1)
    assert (status.parked, status.held_back) == (1, 1)
    [parked] = (await groups.stub.ListParked(pb.ListParkedRequest(group=category))).parked
    assert (parked.cause, parked.attempts) == (pb.PARK_CAUSE_NEVER_SETTLED, 2)
    assert parked.consumer == "killed"


async def test_a_server_that_stops_gives_back(
    start: Starter, database_url: str, category: str
) -> None:
    first = start()
    second = start(schema=first.options["schema"])
    async with groups_of(first.address) as ours, groups_of(second.address) as theirs:
        await ours.append(f"{category}-1", 2)
        await ours.create(category, of(category))
        one = await ours.consume(category, "one", 10)
        events = await one.take(2)
        number = await one.settle(ACK, events[:1])
        await one.answer(number)
        stopping = asyncio.create_task(asyncio.to_thread(first.stop))
        assert await one.end() == "SHUTTING_DOWN"
        assert await stopping == 0
        two = await theirs.consume(category, "two", 10)
        # It is not the consumer's fault.
        assert [(e.version, e.attempt) for e in await two.take(1)] == [(2, 1)]


async def test_a_consumer_that_stops_reading_costs_the_server_little(start: Starter) -> None:
    """60 MiB wait for each of several consumers with credits for all of it, who read nothing."""
    server, stalled = start(), 8
    async with groups_of(server.address) as groups:
        for n in range(20):
            await groups.append(f"large-{n}", 3, data=b'{"a":"%s"}' % (b"x" * 1_000_000))
        for n in range(-1, stalled):
            await groups.create(f"g{n}")
        # What the first one costs is the server's, not the consumer's.
        warm = await groups.consume("g-1", "warm", 60)
        await warm.take(60)
        before = resident_bytes(server.pid)
        calls = []
        for n in range(stalled):
            calls.append(groups.stub.Consume())
            start_ = pb.ConsumeStart(group=f"g{n}")
            await calls[-1].write(pb.ConsumeRequest(start=start_, credits=10_000))
        await asyncio.sleep(4)
        for n in range(stalled):
            assert (await groups.get(f"g{n}")).status.under_way == 60
        grown = (resident_bytes(server.pid) - before) / stalled
        for call in calls:
            call.cancel()
    assert grown < 8 * 1024 * 1024, f"{grown / 2**20:.1f} MiB"


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no such process")
