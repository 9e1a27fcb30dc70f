"""Goal: a watch sends the state of a stream after each of its versions, once and in order, from
stored events into the present, however slow its reader is; and leaves nothing behind.

Method: watches over plain gRPC to real servers, appends beside them; what came is held against
HydrateHistory, byte for byte.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from tests.integration.server.conftest import Starter
from tests.integration.server.test_subscribers import rss_bytes, until
from tests.support.database import connected, cut_tail
from tests.support.servers import RunningServer
from tests.support.subscriptions import append
from tests.support.watching import history, watcher

import eventfold
from eventfold_server.limits import WATCH_SIGN_OF_LIFE_S

MIB = 1024 * 1024
SUM = """\
fold: sum
initial: {sum: 0, seen: []}
handlers:
  T: {sum: "state.sum + event.n", seen: "[meta.version]"}
  Gone: delete
  Bad: {sum: "state.sum + event.nothing"}
"""
# A state as large as its events.
LARGE = 'fold: large\ninitial: {fill: ""}\nhandlers:\n  T: {fill: "event.fill"}\n'


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[eventfold.AsyncClient]:
    async with eventfold.AsyncClient(server.address) as opened:
        yield opened


async def test_every_state_once_and_in_order(start: Starter) -> None:
    """Watches that begin at any moment of appends to many streams, on two servers of one store."""
    server = start()
    other = start(schema=server.options["schema"])
    chance = random.Random(5)
    streams = [f"w-{n}" for n in range(4)]
    heads = dict.fromkeys(streams, 0)
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as here,
        watcher(other.address) as there,
    ):
        await append(client, "w-0", 700)
        heads["w-0"] = 700

        async def write() -> None:
            for _ in range(150):
                stream = chance.choice(streams)
                count = chance.choice([1, 1, 1, 5, 60])
                await append(client, stream, count, "Gone" if chance.random() < 0.1 else "T")
                heads[stream] += count

        writing = asyncio.create_task(write())
        watches = []
        for n in range(24):
            stream = streams[n % 4]
            watch = here if n % 2 else there
            from_version = 0 if n % 3 else min(heads[stream], 1 + n * 3)
            watches.append((stream, watch(stream, SUM, from_version=from_version)))
            await watches[-1][1].next()
            await asyncio.sleep(0.02)
        await writing
        right = {stream: history(server.address, stream, SUM) for stream in streams}
        for stream, one in watches:
            await one.until_version(heads[stream])
            first = one.versions[0]
            if first == 0:
                initial = one.states.pop(0)
                assert (initial.exists, initial.state) == (False, b'{"sum":0,"seen":[]}')
                assert (initial.position, initial.event_id, initial.type) == (0, "", "")
                assert not initial.HasField("recorded_at")
                first = 1
            assert one.states == right[stream][first - 1 :]


async def test_from_a_version_on(server: RunningServer, client: eventfold.AsyncClient) -> None:
    await append(client, "from-1", 10)
    right = history(server.address, "from-1", SUM)
    async with watcher(server.address) as watch:
        for from_version in (1, 7, 10):
            one = await watch("from-1", SUM, from_version=from_version).until_version(10)
            assert one.states == right[from_version - 1 :]
            assert one.signs == 0
        assert (await watch("from-1", SUM).until_version(10)).states == right[9:]
        # The next event: the call is answered before there is one.
        one = watch("from-1", SUM, from_version=11)
        assert not (await one.next()).states
        await append(client, "from-1")
        assert (await one.until_version(11)).versions == [11]
        ahead = await watch("from-1", SUM, from_version=13).refusal()
        assert (ahead.reason, ahead.facts) == (
            "VERSION_AHEAD",
            {"stream": "from-1", "requested": "13", "head": "11"},
        )


async def test_a_stream_that_does_not_exist_yet(
    server: RunningServer, client: eventfold.AsyncClient
) -> None:
    async with watcher(server.address) as watch:
        one, first = watch("later-1", SUM), watch("later-1", SUM, from_version=1)
        await one.next()
        await first.next()
        assert (one.versions, first.versions) == ([0], [])
        await append(client, "earlier-1", 3)
        await append(client, "later-1", 2)
        right = history(server.address, "later-1", SUM)
        assert (await one.until_version(2)).states[1:] == right
        assert (await first.until_version(2)).states == right


async def test_it_goes_on_from_kept_states(start: Starter, database_url: str) -> None:
    """A registered fold leaves a state behind, and another server goes on from it; unless it is
    not the log's.
    """
    server = start()
    kept = f"{server.options['schema']}.kept_states"
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as watch,
    ):
        await client.put_fold(SUM.replace("fold: sum", "fold: sum\nkeep: {every: 10}"))
        await append(client, "a-1", 40)
        right = history(server.address, "a-1", SUM)
        assert (await watch("a-1", name="sum").until_version(40)).states == right[39:]
        with connected(database_url) as connection:

            def versions() -> list[int]:
                return [row[0] for row in connection.execute(f"SELECT version FROM {kept}")]

            await until(lambda: versions() == [40])
            # Whoever goes on from it can be told from who begins anew.
            lie = b'{"sum":1000000,"seen":[]}'
            connection.execute(f"UPDATE {kept} SET state = %s", (lie,))
            await append(client, "a-1")
            right = history(server.address, "a-1", SUM)
            other = start(schema=server.options["schema"])
            async with watcher(other.address) as there:
                for from_version in (41, 40):
                    one = there("a-1", name="sum", from_version=from_version)
                    await one.until_version(41)
                    assert (one.states == right[from_version - 1 :]) == (from_version == 40)
            connection.execute(f"UPDATE {kept} SET event_id = gen_random_uuid()")
            third = start(schema=server.options["schema"])
            async with watcher(third.address) as there:
                assert (await there("a-1", name="sum").until_version(41)).states == right[40:]
                await until(lambda: 40 not in versions())


async def test_a_fold_that_fails_in_the_middle(
    server: RunningServer, client: eventfold.AsyncClient
) -> None:
    """What comes before stands, whether the event is stored or comes later."""
    await append(client, "bad-1", 5)
    async with watcher(server.address) as watch:
        live = await watch("bad-1", SUM, from_version=1).until_version(5)
        events = [eventfold.Event(type_, {"n": 1}) for type_ in ("T", "Bad", "T")]
        await client.append("bad-1", events, expected_version=5)
        for one in (live, watch("bad-1", SUM, from_version=1)):
            refusal = await one.refusal()
            assert (refusal.reason, refusal.facts["version"]) == ("FOLD_FAILED", "7")
            assert one.versions == [1, 2, 3, 4, 5, 6]


async def test_refusals_at_once(server: RunningServer) -> None:
    async with watcher(server.address) as watch:
        wrong = [
            (watch("no name", SUM), "INVALID_STREAM_NAME"),
            (watch("a-1", "fold: [", from_version=0), "INVALID_FOLD"),
            (watch("a-1"), "INVALID_FOLD"),
            (watch("a-1", name="nobody"), "FOLD_NOT_FOUND"),
            (watch("a-1", SUM, from_version=-1), "INVALID_REQUEST"),
            (watch("a-9", SUM, from_version=2), "VERSION_AHEAD"),
        ]
        for one, reason in wrong:
            assert (await one.refusal()).reason == reason


async def test_a_deleted_stream(start: Starter, database_url: str) -> None:
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as watch,
    ):
        await append(client, "gone-1", 3)
        with connected(database_url) as connection:
            connection.execute(f"UPDATE {server.options['schema']}.streams SET lifecycle = 3")
        assert (await watch("gone-1", SUM).refusal()).reason == "STREAM_DELETED"


async def test_a_sign_of_life(server: RunningServer, client: eventfold.AsyncClient) -> None:
    await append(client, "quiet-1")
    async with watcher(server.address) as watch:
        one = await watch("quiet-1", SUM).until_version(1)
        begun = time.monotonic()
        # Events of other streams are none.
        for _ in range(3):
            await append(client, "loud-1")
        await one.next()
        took = time.monotonic() - begun
        assert (one.signs, one.versions) == (1, [1])
        assert WATCH_SIGN_OF_LIFE_S - 0.5 < took < WATCH_SIGN_OF_LIFE_S + 20


async def test_a_deadline_ends_it(server: RunningServer, client: eventfold.AsyncClient) -> None:
    """That of the client; without one there is none, as for a subscription."""
    await append(client, "late-1")
    async with watcher(server.address) as watch:
        one = await watch("late-1", SUM, timeout=1.0).until_version(1)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await one.next()
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_slow_client_costs_little(start: Starter) -> None:
    """It reads nothing while the tail forgets what it has not seen, and gets all of it later."""
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as watch,
    ):
        slow = [watch("big-1", LARGE, from_version=1) for _ in range(6)]
        for one in slow:
            await one.next()
        before = rss_bytes(server)
        await append(client, "big-1", 600, size=100_000)
        await append(client, "other-1", 10)
        head = (await client.get_stream("big-1")).version
        grown = rss_bytes(server) - before
        # The tail itself keeps 8 MiB, and appends of 2 MiB passed through.
        assert grown < 6 * 8 * MIB + 40 * MIB, grown
        right = history(server.address, "big-1", LARGE)
        assert len(right) == head == 600
        for one in slow:
            assert (await one.until_version(head)).states == right


def connections(database_url: str) -> int:
    """Connections of all servers to PostgreSQL."""
    with connected(database_url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchall()
    return len(rows)


async def test_many_watch_one_stream(start: Starter, database_url: str) -> None:
    """Each gets every state; they share the tail, and no connection is held for them."""
    server = start()
    count = 200
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as watch,
    ):
        await append(client, "many-1")
        before = connections(database_url)
        watches = [watch("many-1", SUM) for _ in range(count)]
        await asyncio.gather(*(one.until_version(1) for one in watches))
        begun = time.monotonic()
        for _ in range(10):
            await append(client, "many-1")
        await asyncio.gather(*(one.until_version(11) for one in watches))
        assert time.monotonic() - begun < 60
        assert all(one.versions == list(range(1, 12)) for one in watches)
        assert connections(database_url) < before + 25
        for one in watches:
            one.cancel()


async def test_who_leaves_leaves_nothing_behind(start: Starter) -> None:
    """With the last watch the tail ends: it looks at the log no more, and keeps no events."""
    server = start()
    async with eventfold.AsyncClient(server.address) as client:
        await append(client, "a-1", 5)
        async with watcher(server.address) as watch:
            watches = [watch("a-1", SUM, from_version=1) for _ in range(20)]
            for n, one in enumerate(watches):
                await (one.next() if n % 2 else one.until_version(5))
            for one in watches:
                one.cancel()
        # More than a server lets go on at once: those that left are not counted any more.
        async with watcher(server.address) as watch:
            for _ in range(60):
                batch = [watch("a-1", SUM) for _ in range(20)]
                await asyncio.gather(*(one.until_version(5) for one in batch))
                for one in batch:
                    one.cancel()


async def test_the_end_of_the_server_ends_it(start: Starter) -> None:
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as watch,
    ):
        await append(client, "a-1", 3)
        watches = [watch("a-1", SUM), watch("b-1", SUM), watch("a-1", SUM, from_version=4)]
        for one in watches:
            await one.next()
        begun = time.monotonic()
        server.process.terminate()
        for one in watches:
            assert (await one.refusal()).reason == "SHUTTING_DOWN"
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize("regrown", [0, 1, 2])
async def test_a_log_that_lost_its_end_is_noticed(
    start: Starter, database_url: str, regrown: int
) -> None:
    """The last event that was folded is none any more, or another one: no state is made of two
    logs.
    """
    server = start()
    async with (
        eventfold.AsyncClient(server.address) as client,
        watcher(server.address) as watch,
    ):
        await append(client, "a-1", 3)
        one = await watch("a-1", SUM).until_version(3)
        cut_tail(database_url, str(server.options["schema"]), 2)
        if regrown:
            await append(client, "a-1", regrown)
        assert (await one.refusal()).reason == "STORAGE_UNAVAILABLE"
        assert one.versions == [3]
