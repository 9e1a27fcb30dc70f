"""Goal: the condition of a group lets pass what it is true of, wherever events come from, and an
event on which it fails is never skipped in silence.

Method: groups with conditions on real servers; what they deliver is held against what was appended.
"""

from __future__ import annotations

import pytest
from tests.integration.server.conftest import Starter
from tests.support.groups import (
    ACK,
    PARK,
    RETRY,
    Consumer,
    Groups,
    groups_of,
    reason_and_facts,
    settings,
)
from tests.support.servers import RunningServer

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold_server.limits import GROUP_PAGE_EVENTS_MAX

BAD = b'{"n": "no number"}'


def number(n: int, padding: int = 0) -> bytes:
    return b'{"n": %d, "p": "%s"}' % (n, b"x" * padding)


async def ack_all(one: Consumer, count: int) -> list[int]:
    """Acknowledges events one after the other; their positions."""
    positions = []
    while len(positions) < count:
        [event] = await one.take(1)
        await one.settle(ACK, [event], credits_=1)
        positions.append(event.position)
    return positions


@pytest.mark.parametrize("unordered", [False, True], ids=["ordered", "unordered"])
@pytest.mark.parametrize("of", ["category", "stream", "log"])
async def test_only_what_it_is_true_of(
    groups: Groups, category: str, of: str, unordered: bool
) -> None:
    """Events of several pages: by their number, and by their bytes."""
    source = pb.GroupSource(where=f'meta.category == "{category}" && int(event.n) % 3 == 0')
    if of == "category":
        source.categories.append(category)
    elif of == "stream":
        source.stream = f"{category}-1"
    else:
        source.where = f'meta.stream == "{category}-1" && int(meta.version) % 3 == 1'
    start = pb.GroupStart()
    start.now.SetInParent()
    await groups.create(category, source, settings(unordered=unordered), start)
    positions = []
    count = GROUP_PAGE_EVENTS_MAX + 200
    for n in range(0, count, 100):
        data = [number(m, padding=3_000 if n < 600 else 0) for m in range(n, n + 100)]
        positions += await groups.append_data(f"{category}-1", data)
        await groups.append(f"other-{category}", 3)
    one = await groups.consume(category, credits_=50)
    wanted = positions[::3]
    assert sorted(await ack_all(one, len(wanted))) == wanted
    [live] = await groups.append_data(f"{category}-1", [number(count)])
    assert await ack_all(one, 1) == [live]
    assert await one.close() == "OK"
    group = (await groups.get(category)).group
    assert group.progress == group.cursor >= live
    assert not group.HasField("stopped")


async def test_a_group_stops_before_an_event_that_it_cannot_tell(
    groups: Groups, category: str
) -> None:
    """All sessions, once what comes before is settled; and those that come after them."""
    good = await groups.append_data(f"{category}-1", [number(1), number(0), number(2)])
    [bad] = await groups.append_data(f"{category}-2", [BAD])
    later = await groups.append_data(f"{category}-1", [number(3)])
    await groups.create(category, pb.GroupSource(categories=[category], where="event.n > 0"))
    one = await groups.consume(category, "one", 10)
    events = await one.take(2)
    # With no credits: it is told too.
    two = await groups.consume(category, "two")
    assert [event.position for event in events] == [good[0], good[2]]
    # The event before it fails, and comes again all the same.
    await one.settled(ACK, events[:1])
    answer = await one.settled(RETRY, events[1:], delay_s=0.0)
    assert answer.HasField("settled")
    [again] = await one.take(1)
    assert (again.position, again.attempt) == (good[2], 2)
    shown = (await groups.get(category)).group
    assert shown.cursor == bad - 1
    assert reason_and_facts(shown.stopped)[0] == "FILTER_FAILED"
    await one.settled(ACK, [again])
    for session in (one, two):
        assert await session.end() == "FILTER_FAILED"
    shown = (await groups.get(category)).group
    assert shown.progress == shown.cursor == bad - 1
    event = await groups.event(bad)
    _, facts = reason_and_facts(shown.stopped)
    assert facts.pop("problem")
    assert facts == {
        "position": str(bad),
        "stream": f"{category}-2",
        "version": "1",
        "event_id": event.id,
    }
    listed = (await groups.stub.ListGroups(pb.ListGroupsRequest(page_size=1000))).groups
    [found] = [g for g in listed if g.name == category]
    assert reason_and_facts(found.stopped) == reason_and_facts(shown.stopped)
    # New events and sessions do not get past it.
    later += await groups.append_data(f"{category}-1", [number(4)])
    for _ in range(2):
        three = await groups.consume(category, "three", 10)
        assert await three.end() == "FILTER_FAILED"
        assert not three.events
    start = pb.GroupStart(from_position=bad + 1)
    reset = await groups.stub.ResetGroup(pb.ResetGroupRequest(name=category, start=start))
    assert not reset.group.HasField("stopped")
    four = await groups.consume(category, "four", 10)
    assert await ack_all(four, 2) == later
    assert await four.close() == "OK"


async def test_parked_events_do_not_keep_a_stopped_group_going(
    groups: Groups, category: str
) -> None:
    """What they hold back is there when they are replayed."""
    good = await groups.append_data(f"{category}-1", [number(1), number(2)])
    await groups.append_data(f"{category}-1", [BAD])
    await groups.create(category, pb.GroupSource(categories=[category], where="event.n > 0"))
    one = await groups.consume(category, "one", 1)
    await one.settled(PARK, await one.take(1), credits_=5)
    assert await one.end() == "FILTER_FAILED"
    assert (await groups.get(category)).status.held_back == 1
    request = pb.ReplayParkedRequest(group=category, all=True)
    assert (await groups.stub.ReplayParked(request)).replayed == 1
    two = await groups.consume(category, "two", 5)
    assert await ack_all(two, 2) == good
    assert await two.end() == "FILTER_FAILED"


async def test_another_server_tells_the_same(
    groups: Groups, start_shared: Starter, server: RunningServer, category: str
) -> None:
    other = start_shared(schema=server.options["schema"])
    await groups.append_data(f"{category}-1", [BAD])
    await groups.create(category, pb.GroupSource(categories=[category], where="event.n > 0"))
    async with groups_of(other.address) as elsewhere:
        sessions = [await one.consume(category, credits_=1) for one in (groups, elsewhere)]
        for session in sessions:
            assert await session.end() == "FILTER_FAILED"
        told = [(await one.get(category)).group.stopped for one in (groups, elsewhere)]
        assert reason_and_facts(told[0]) == reason_and_facts(told[1])
