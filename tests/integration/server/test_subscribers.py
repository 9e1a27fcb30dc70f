"""Goal: subscribers of several servers, many of them, slow ones among them, miss nothing and cost
little; and no notification is needed for that.

Method: real servers on one PostgreSQL; raw transactions that hold the counter; listening
connections that are killed; clients that do not read; the memory of the server's process.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from google.protobuf.empty_pb2 import Empty
from tests.integration.server.conftest import Starter
from tests.support.database import appends_held, appends_waiting, connected
from tests.support.servers import RunningServer
from tests.support.subscriptions import Follower, append, stored, subscriber

import eventfold
from eventfold_server.limits import TAIL_POLL_S

MIB = 1024 * 1024
MANY = 500
STALLED = 12
# What a subscriber that does not read may cost the server; the bound.
STALLED_BYTES_MAX = 8 * MIB


def rss_bytes(server: RunningServer) -> int:
    """Memory of the server's process."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


async def until(true: Callable[[], bool]) -> None:
    """Returns when something has become true."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - it becomes so elsewhere
            await asyncio.sleep(0.02)


def listeners(database_url: str) -> list[int]:
    """Backends that listen for notifications, whichever store they are of."""
    with connected(database_url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %eventfold_%'"
        ).fetchall()
    return [row[0] for row in rows]


async def test_appends_that_commit_in_reversed_order(start: Starter, database_url: str) -> None:
    """Two appenders begin; the one that began last commits first. Whoever has seen the later event
    has seen all before it.
    """
    server = start()
    schema = server.options["schema"]
    async with (
        eventfold.AsyncClient(server.address) as client,
        subscriber(server.address) as subscribe,
    ):
        await append(client, "a-1")
        one = await subscribe().until_caught_up()
        with psycopg.connect(database_url) as slow, psycopg.connect(database_url) as quick:
            # The slow one is in its transaction, and has not taken a position.
            slow.execute(f"SELECT count(*) FROM {schema}.events")
            raw_append(quick, schema, "quick-1")
            quick.commit()
            assert (await one.until_position(2)).events[-1].stream == "quick-1"
            raw_append(slow, schema, "slow-1")
            # It has position 3 and keeps the counter: another append waits behind it.
            waiting = asyncio.create_task(append(client, "a-1"))
            await until(lambda: appends_waiting(database_url) > 0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(reading := read(one)), 1.5)
            slow.commit()
        assert await waiting == 4
        await reading
        await one.until_position(4)
        assert one.positions == [1, 2, 3, 4]
        assert one.events == stored(server.address)


def read(one: Follower) -> asyncio.Task[None]:
    """Reads the next frame in the background."""

    async def run() -> None:
        await one.next()

    return asyncio.create_task(run())


def raw_append(
    connection: psycopg.Connection[tuple[object, ...]], schema: object, name: str
) -> None:
    """An append of one event by the function of the schema, in a transaction that stays open."""
    row = connection.execute(
        f"""SELECT outcome FROM {schema}.append_v1(
            %s, %s, 0, ARRAY[gen_random_uuid()], ARRAY['T'], ARRAY['{{}}'::bytea],
            ARRAY['{{}}'::bytea], ARRAY[]::text[], ARRAY[0], ARRAY[NULL]::timestamptz[], ARRAY[1],
            ARRAY[sha256('a')], ARRAY[sha256('a')], 'raw', NULL,
            (SELECT catalogue_version FROM {schema}.counter))""",
        (name, name.split("-", maxsplit=1)[0]),
    ).fetchone()
    assert row == ("append",)


async def test_an_open_append_holds_up_nobody_who_reads(start: Starter, database_url: str) -> None:
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        subscriber(server.address) as subscribe,
    ):
        head = await append(client, "a-1", 10)
        with appends_held(database_url, server.options["schema"]):
            one = await subscribe().until_caught_up()
            assert one.position == head


async def test_without_notifications_the_poll_finds_all(start: Starter, database_url: str) -> None:
    """The listening connections are killed again and again: that costs a second, and no event."""
    server = start()
    other = start(schema=server.options["schema"])
    async with (
        eventfold.AsyncClient(other.address) as client,
        subscriber(server.address) as subscribe,
    ):
        one = await subscribe().until_caught_up()
        took = []
        for _ in range(4):
            await until(lambda: len(listeners(database_url)) > 0)
            with connected(database_url) as connection:
                for pid in listeners(database_url):
                    connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
            began = time.monotonic()
            head = await append(client, "a-1", 3)
            await one.until_position(head)
            took.append(time.monotonic() - began)
        assert one.positions == list(range(1, head + 1))
        assert max(took) < 15
        # With a listener it is far from that.
        await until(lambda: len(listeners(database_url)) == 2)
        took = []
        for _ in range(10):
            began = time.monotonic()
            await one.until_position(await append(client, "a-1"))
            took.append(time.monotonic() - began)
        assert min(took) < TAIL_POLL_S / 2


async def test_slow_readers_cost_little_and_miss_nothing(start: Starter) -> None:
    """Subscribers that stop reading while twice 64 MiB are appended, live ones and ones in history.

    Before it is measured as much is appended and read once, so that it is not the memory of
    appends, of the tail and of the allocator.
    """
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        subscriber(server.address) as subscribe,
    ):

        async def append_64_mib() -> int:
            return await append(client, "a-1", 3_200, size=20_000)

        quick = await subscribe().until_caught_up()
        keeps_up = asyncio.create_task(quick.until_position(3 * 3_200))
        await append_64_mib()
        live = [await subscribe(now=Empty()).until_caught_up() for _ in range(STALLED // 2)]
        before = rss_bytes(server)
        stalled = [subscribe() for _ in range(STALLED // 2)]
        for one in stalled:
            await one.next()
        await append_64_mib()
        grown = rss_bytes(server) - before
        head = await append_64_mib()
        more = rss_bytes(server) - before - grown
        print(f"{STALLED} stalled: {grown / MIB:.1f} MiB, then {more / MIB:.1f} MiB more")
        assert grown + more < STALLED * STALLED_BYTES_MAX
        assert more < STALLED * MIB, "it does not grow with what is appended"
        await keeps_up
        assert head == quick.position
        for number, one in enumerate((*stalled, *live)):
            await one.until_position(head)
            await one.until_caught_up()
            first = 1 if number < len(stalled) else 3_201
            assert one.positions == list(range(first, head + 1))
        for one in live:
            assert one.kinds.count("FELL_BEHIND") == one.kinds.count("CAUGHT_UP") - 1 > 0


# A client that reads one frame of several subscriptions, and is gone with its connection.
_LEAVER = """
import os, sys
import grpc
from eventfold.v1 import subscriptions_pb2 as pb, subscriptions_pb2_grpc
stub = subscriptions_pb2_grpc.SubscriptionsStub(grpc.insecure_channel(sys.argv[1]))
for call in [stub.Subscribe(pb.SubscribeRequest()) for _ in range(8)]:
    next(call)
os._exit(0)
"""


async def test_nothing_is_logged_of_clients_that_leave(start: Starter) -> None:
    """They leave while a frame is on its way that they did not read."""
    server = start()
    async with eventfold.AsyncClient(server.address) as client:
        await append(client, "a-1", 600, size=20_000)
        for _ in range(3):
            leaver = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _LEAVER, server.address
            )
            assert await leaver.wait() == 0
        await append(client, "a-2")
    assert "Traceback" not in server.log.read_text()


async def test_five_hundred_subscribers(start: Starter) -> None:
    server = start()
    async with eventfold.AsyncClient(server.address) as client:
        head = await append(client, "a-1", 50)
        async with subscriber(server.address) as first, subscriber(server.address) as second:
            followers = [
                (first if n % 2 else second)(categories=["a"]) if n % 5 else first(types=["T"])
                for n in range(MANY)
            ]
            await asyncio.gather(*(one.until_caught_up() for one in followers))
            began = time.monotonic()
            for _ in range(10):
                head = await append(client, "a-1", 5)
            await asyncio.gather(*(one.until_position(head) for one in followers))
            took = time.monotonic() - began
            expected = list(range(1, head + 1))
            assert all(one.positions == expected for one in followers)
            assert took < 60
            for one in followers:
                one.cancel()
        # All of them are gone from the server, and their places free.
        assert (await client.get_stream("a-1")).version == head


async def test_nothing_is_kept_while_nobody_subscribes(start: Starter) -> None:
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        subscriber(server.address) as subscribe,
    ):
        head = await append(client, "a-1", 400, size=10_000)
        one = await subscribe().until_position(head)
        one.cancel()
        await asyncio.sleep(0.2)
        # Whoever comes next begins anew, and is where the log is.
        head = await append(client, "a-1", 400, size=10_000)
        again = await subscribe(resume_token=one.token).until_caught_up()
        assert again.positions == list(range(one.position + 1, head + 1))
