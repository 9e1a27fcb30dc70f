"""Goal: an event reaches a consumer when it is appended, through whichever server that is.

Method: two servers on one store; the time from an append to its delivery is taken.
"""

from __future__ import annotations

import asyncio
import time

from tests.integration.server.conftest import Starter
from tests.support.groups import ACK, groups_of
from tests.support.servers import RunningServer

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold_server import limits


async def test_an_append_through_another_server_wakes_a_group(
    start_shared: Starter, server: RunningServer, category: str
) -> None:
    """By a notification, long before the next slow look; the median, as the machine is shared."""
    other = start_shared(schema=server.options["schema"])
    waits = []
    async with groups_of(server.address) as here, groups_of(other.address) as elsewhere:
        await here.create(category, pb.GroupSource(categories=[category]))
        one = await here.consume(category, credits_=1)
        for n in range(25):
            # Not in step with the slow looks, and when nothing is left to be done.
            await asyncio.sleep(0.05 + n * 0.013)
            began = time.monotonic()
            [position] = await elsewhere.append(f"{category}-{n}")
            [event] = await one.take(1)
            waits.append(time.monotonic() - began)
            assert event.position == position
            await one.settled(ACK, [event], credits_=1)
        assert await one.close() == "OK"
    waits.sort()
    print(f"from append to delivery: p50 {waits[12] * 1000:.1f} ms, max {waits[-1] * 1000:.1f} ms")
    assert waits[12] < min(limits.TAIL_POLL_S, limits.GROUP_IDLE_PAUSE_S) / 5
