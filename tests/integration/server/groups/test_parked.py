"""Goal: an event that fails is tried again after its wait, and set aside when that is no use, and
whoever looks after a group can see and decide what becomes of it.

Method: raw stubs on a real server. Waits end because their rows say so.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.integration.server.groups.test_sessions import of
from tests.support.database import connected
from tests.support.groups import ACK, PARK, RETRY, Groups, settings
from tests.support.servers import RunningServer

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold_server import limits

Due = Callable[[str], int]
NEVER_S = 86_400.0


def waits_s(database_url: str, server: RunningServer, group: str) -> list[float]:
    """Seconds that the lanes of a group still wait."""
    schema = server.options["schema"]
    with connected(database_url) as connection:
        rows = connection.execute(
            f"SELECT extract(epoch FROM due_at - now()) FROM {schema}.group_lanes"
            f" WHERE state = 3 AND group_no ="
            f" (SELECT group_no FROM {schema}.groups WHERE name = %s) ORDER BY lane",
            [group],
        ).fetchall()
    return [float(row[0]) for row in rows]


async def test_a_retry_waits_longer_each_time(
    groups: Groups, category: str, due: Due, database_url: str, server: RunningServer
) -> None:
    await groups.append(f"{category}-1", 2)
    more = settings(retry_s=100, retry_factor=3, attempts_max=6)
    more.retry_max.seconds = 1_000
    await groups.create(category, of(category), more)
    one = await groups.consume(category, "one", 100)
    for attempt, wait_s in enumerate((100, 300, 900, 1_000, 1_000), start=1):
        events = await one.take(2)
        assert [(event.version, event.attempt) for event in events] == [(1, attempt), (2, 1)]
        answer = await one.settled(RETRY, events[:1], reason=f"reason {attempt}")
        assert answer.HasField("settled")
        assert not answer.settled.parked
        [waits] = waits_s(database_url, server, category)
        assert wait_s - 30 < waits <= wait_s
        # It is one of two: the later event of the stream waits as well.
        assert (await groups.get(category)).status.retrying == 2
        assert due(category) == 1
    events = await one.take(2)
    answer = await one.settled(RETRY, events[:1], reason="the last")
    assert list(answer.settled.parked) == [events[0].position]
    page = await groups.stub.ListParked(pb.ListParkedRequest(group=category))
    [parked] = page.parked
    assert page.events[0].position == parked.position == events[0].position
    assert (parked.attempts, parked.cause) == (6, pb.PARK_CAUSE_RETRIES_EXHAUSTED)
    assert (parked.reason, parked.consumer, parked.holds_back) == ("the last", "one", True)


@pytest.mark.parametrize(("delay_s", "waits"), [(0.0, False), (500.0, True)])
async def test_a_retry_with_a_delay_of_its_own(
    groups: Groups,
    category: str,
    database_url: str,
    server: RunningServer,
    delay_s: float,
    waits: bool,
) -> None:
    await groups.append(f"{category}-1")
    await groups.create(category, of(category), settings(retry_s=3_600, retry_factor=1))
    one = await groups.consume(category, "one", 100)
    await one.settled(RETRY, await one.take(1), delay_s=delay_s)
    if waits:
        [left] = waits_s(database_url, server, category)
        assert 400 < left <= 500
    else:
        [event] = await one.take(1)
        assert event.attempt == 2


async def test_other_streams_go_on_while_one_waits(groups: Groups, category: str) -> None:
    await groups.append(f"{category}-1", 2)
    await groups.append(f"{category}-2", 2)
    await groups.create(category, of(category), settings(retry_s=3_600))
    one = await groups.consume(category, "one", 100)
    events = await one.take(4)
    assert (await one.settled(RETRY, events[:1])).HasField("settled")
    # The stream was given back, with what the consumer has of it.
    lost = await one.settled(ACK, events)
    assert list(lost.refused_positions) == [event.position for event in events[:2]]
    await groups.append(f"{category}-1")
    [new] = await groups.append(f"{category}-2")
    [event] = await one.take(1)
    assert event.position == new


async def test_a_parked_event_holds_back_its_stream(
    groups: Groups, category: str, due: Due
) -> None:
    positions = await groups.append(f"{category}-1", 3)
    await groups.append(f"{category}-2", 1)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 100)
    events = await one.take(4)
    await one.settled(ACK, events[:1])
    assert (await one.settled(PARK, events[1:2], reason="why")).HasField("settled")
    lost = await one.settled(ACK, events[2:])
    assert list(lost.refused_positions) == [positions[2]]
    positions += await groups.append(f"{category}-1")
    [other] = await groups.append(f"{category}-2")
    assert [event.position for event in await one.take(1)] == [other]
    found = await groups.get(category)
    assert (found.status.parked, found.status.held_back) == (1, 2)
    assert found.status.oldest_parked == positions[1]
    # Up to here all is settled or parked; what is held back is neither.
    assert found.group.progress == positions[1]

    replay = pb.ReplayParkedRequest(group=category, positions=[positions[1]])
    assert (await groups.stub.ReplayParked(replay)).replayed == 1
    assert (await groups.stub.ReplayParked(replay)).replayed == 0
    again = await one.take(3)
    assert [(event.version, event.attempt) for event in again] == [(2, 1), (3, 1), (4, 1)]
    await one.settled(PARK, again[:1])
    purge = pb.PurgeParkedRequest(group=category, all=True)
    assert (await groups.stub.PurgeParked(purge)).purged == 1
    rest = await one.take(2)
    assert [event.version for event in rest] == [3, 4]
    await one.settled(ACK, rest)
    await groups.append(f"{category}-1")
    assert [event.version for event in await one.take(1)] == [5]


async def test_a_parked_event_lets_its_stream_pass(groups: Groups, category: str) -> None:
    positions = await groups.append(f"{category}-1", 3)
    more = settings(on_park=pb.ON_PARK_LET_PASS)
    await groups.create(category, of(category), more)
    one = await groups.consume(category, "one", 100)
    events = await one.take(3)
    assert (await one.settled(PARK, events[:1])).HasField("settled")
    # The lease goes on.
    assert (await one.settled(ACK, events[1:2])).HasField("settled")
    replay = pb.ReplayParkedRequest(group=category, positions=[positions[0]])
    assert (await groups.stub.ReplayParked(replay)).replayed == 1
    # It was replayed behind the back of the lease, which is not for it any more.
    lost = await one.settled(ACK, events[:1])
    assert list(lost.refused_positions) == [positions[0]]
    assert (await one.settled(ACK, events[2:])).HasField("settled")
    [again] = await one.take(1)
    assert (again.version, again.attempt) == (1, 1)
    assert again.lease > events[0].lease
    await one.settled(ACK, [again])
    group = (await groups.get(category)).group
    assert group.progress == group.cursor


async def test_parked_events_are_listed_page_by_page(groups: Groups, category: str) -> None:
    positions = []
    for n in range(5):
        positions += await groups.append(f"{category}-{n}", data=b'{"n":%d}' % n)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 100)
    events = await one.take(5)
    for event in events:
        await one.settled(PARK, [event], reason=f"at {event.position}\0" + "x" * 2_000)
    token, found = "", []
    while True:
        page = await groups.stub.ListParked(
            pb.ListParkedRequest(group=category, page_size=2, page_token=token)
        )
        assert len(page.events) == len(page.parked) <= 2
        found += zip(page.events, page.parked, strict=True)
        token = page.next_page_token
        if not token:
            break
    assert [event.position for event, _ in found] == positions
    assert [event.data for event, _ in found] == [b'{"n":%d}' % n for n in range(5)]
    for event, parked in found:
        assert parked.position == event.position
        assert parked.reason.startswith(f"at {event.position}\ufffd")
        assert len(parked.reason.encode()) <= limits.GROUP_REASON_BYTES_MAX
    assert (await groups.get(category)).status.held_back == 0
    replayed = await groups.stub.ReplayParked(pb.ReplayParkedRequest(group=category, all=True))
    assert replayed.replayed == 5
    assert [event.position for event in await one.take(5)] == positions


async def test_large_parked_events_fill_a_page(groups: Groups, category: str) -> None:
    for n in range(3):
        await groups.append(f"{category}-{n}", data=b'{"a":"%s"}' % (b"x" * 600_000))
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 100)
    await one.settled(PARK, await one.take(3))
    page = await groups.stub.ListParked(pb.ListParkedRequest(group=category))
    assert len(page.events) == len(page.parked) == 2
    rest = await groups.stub.ListParked(
        pb.ListParkedRequest(group=category, page_token=page.next_page_token)
    )
    assert len(rest.events) == len(rest.parked) == 1
    assert not rest.next_page_token


async def test_a_reset_keeps_what_was_parked_before(groups: Groups, category: str) -> None:
    positions = await groups.append(f"{category}-1", 2)
    positions += await groups.append(f"{category}-2", 2)
    await groups.create(category, of(category))
    one = await groups.consume(category, "one", 100)
    events = await one.take(4)
    await one.settled(PARK, [events[0], events[2]])
    start = pb.GroupStart(from_position=positions[1])
    await groups.stub.ResetGroup(pb.ResetGroupRequest(name=category, start=start))
    # Of the first stream the later event is still held back; of the second all comes again.
    assert [event.position for event in await one.take(2)] == positions[2:]
    status = (await groups.get(category)).status
    assert (status.parked, status.held_back, status.oldest_parked) == (1, 1, positions[0])
