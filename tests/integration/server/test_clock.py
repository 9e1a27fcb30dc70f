"""Goal: a wall clock that jumps hides, doubles and reorders no event for whoever follows the log.

Method: the store is put into the state that a jump of the clock leaves behind. Ahead: the newest
time on record lies a day after the clock, which was set back. Behind: leases and waits of a group
are over although they were just given, since the clock was set forward.
"""

from __future__ import annotations

import datetime as dt

from google.protobuf.timestamp_pb2 import Timestamp
from tests.integration.server.conftest import Starter
from tests.support.database import connected
from tests.support.groups import ACK, groups_of, make_due, reason_of
from tests.support.subscriptions import append, stored, subscriber

import eventfold
from eventfold.v1 import consumer_groups_pb2

DAY = dt.timedelta(days=1)


def set_back(database_url: str, schema: object) -> None:
    """What is left of a clock that was a day ahead when the newest event was recorded."""
    with connected(database_url) as connection:
        connection.execute(f"UPDATE {schema}.counter SET recorded_at = now() + interval '1 day'")


async def test_a_clock_that_is_set_back(start: Starter, database_url: str) -> None:
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        subscriber(server.address) as subscribe,
    ):
        live = await subscribe().until_caught_up()
        await append(client, "a-1", 3)
        set_back(database_url, server.options["schema"])
        tomorrow = dt.datetime.now(dt.UTC) + DAY / 2
        head = await append(client, "a-1", 3)
        await live.until_position(head)
        assert live.positions == list(range(1, head + 1))
        times = [event.recorded_at.ToMicroseconds() for event in stored(server.address)]
        assert times == sorted(times)
        assert times[3] > tomorrow.timestamp() * 1e6
        since = Timestamp()
        since.FromDatetime(tomorrow)
        late = await subscribe(from_recorded_at=since).until_position(head)
        assert late.positions == [4, 5, 6]
        resumed = await subscribe(resume_token=live.token).until_caught_up()
        assert (resumed.positions, resumed.position) == ([], head)


async def test_a_clock_that_is_set_forward(start: Starter, database_url: str) -> None:
    """A lease that is over too early costs a second delivery, and its holder cannot settle."""
    server = start()
    source = consumer_groups_pb2.GroupSource(categories=["a"])
    async with groups_of(server.address) as groups:
        await groups.append("a-1", 2)
        await groups.create("g", source)
        first = await groups.consume("g", "first", 2)
        had = await first.take(2)
        assert make_due(database_url, str(server.options["schema"]), "g") == 1
        second = await groups.consume("g", "second", 2)
        again = await second.take(2)
        assert [event.position for event in again] == [event.position for event in had]
        answer = await first.settled(ACK, had)
        assert reason_of(answer.refused) == "LEASE_LOST"
        assert (await second.settled(ACK, again)).HasField("settled")
        assert (await groups.get("g")).group.progress == again[-1].position
