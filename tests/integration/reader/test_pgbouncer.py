"""Goal: behind a pooler that gives sessions away after each transaction everything works as
without, and nobody meets what another client left in a session.

Method: PgBouncer in transaction mode, with fewer sessions than the servers have connections; two
servers on two stores at once, which append, read, fold, give up, and refuse, side by side.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from tests.support.database import connected
from tests.support.event_types import event_types_of, tried
from tests.support.pgbouncer import pgbouncer, program
from tests.support.servers import RunningServer, start_postgres, start_server
from tests.support.subscriptions import append, stored, subscriber

import eventfold
from eventfold.v1 import event_types_pb2 as pb

pytestmark = pytest.mark.skipif(program() is None, reason="there is no pgbouncer on this machine")

FOLD = """
fold: sum
initial: {sum: 0, of: ""}
handlers:
  Added: {sum: "state.sum + event.n", of: "meta.stream"}
"""
STREAMS = 12
EVENTS = 30


@pytest.fixture(scope="module")
def direct_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL whose socket PgBouncer reaches too, since both run as one account."""
    folder = tmp_path_factory.mktemp("pooled")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture(scope="module")
def servers(
    direct_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RunningServer]]:
    """Two servers on stores of their own, behind one pooler."""
    folder = tmp_path_factory.mktemp("servers")
    folder.chmod(0o711)
    (folder / "pooler").mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(pgbouncer(folder / "pooler", direct_url))
        started = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            started.append(
                stack.enter_context(
                    start_server(
                        folder / name,
                        database_url=url,
                        direct_database_url=direct_url,
                        pooler="transaction",
                        schema=f"pooled_{name}",
                    )
                )
            )
        yield started


def listeners(connection: psycopg.Connection[Any]) -> int:
    """How many sessions listen for notifications."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %eventfold_%'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def start_beside(server: RunningServer) -> Iterator[RunningServer]:
    """Another server on the same store."""
    folder = server.log.parent / "beside"
    folder.mkdir()
    options = {name: value for name, value in server.options.items() if name != "listen"}
    with start_server(folder, **options) as started:
        yield started


async def work(server: RunningServer, factor: int) -> None:
    """Appends, reads and folds streams of its own, many at once."""
    async with eventfold.AsyncClient(server.address, timeout=60) as client:
        await client.put_fold(FOLD)

        async def one(number: int) -> None:
            stream = f"Pooled-{number}"
            for index in range(EVENTS):
                event = eventfold.Event("Added", {"n": factor * number}, id=str(uuid.uuid4()))
                await client.append(stream, [event], expected_version=index)
                if index % 7 == 0:
                    events = [event async for event in client.read(stream)]
                    assert [event.version for event in events] == list(range(1, index + 2))
            state = await client.hydrate("Pooled", str(number), fold="sum")
            assert state.state == {"sum": EVENTS * factor * number, "of": stream}
            other = eventfold.Event("Added", {"n": 1})
            with pytest.raises(eventfold.VersionConflict):
                await client.append(stream, [other], expected_version=1)

        await asyncio.gather(*(one(number) for number in range(STREAMS)))
        everything = [event async for event in client.read_all()]
        assert len(everything) == STREAMS * EVENTS


async def test_two_stores_side_by_side(servers: list[RunningServer], direct_url: str) -> None:
    """Each server sees its own store, whoever had the session before, and leaves nothing in it."""
    await asyncio.gather(*(work(server, 10**n) for n, server in enumerate(servers)))
    with connected(direct_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'eventfold'"
            " AND state LIKE 'idle in transaction%'"
        ).fetchone()
    assert row == (0,)


async def test_given_up_calls_leave_no_transaction(
    servers: list[RunningServer], direct_url: str
) -> None:
    """Callers who leave early keep no session from others."""
    async with eventfold.AsyncClient(servers[0].address) as client:
        for timeout in (0.001, 0.003, 0.01) * 5:
            calls = (client.hydrate("Pooled", "1", fold="sum", timeout=timeout) for _ in range(20))
            await asyncio.gather(*calls, return_exceptions=True)
        state = await client.hydrate("Pooled", "1", fold="sum", timeout=20)
        assert state.version == EVENTS


async def test_subscriptions(servers: list[RunningServer], direct_url: str) -> None:
    """Both servers follow their own stores; appends of another server are heard of at once."""
    async with (
        eventfold.AsyncClient(servers[0].address) as client,
        subscriber(servers[0].address) as subscribe,
        subscriber(servers[1].address) as subscribe_other,
    ):
        head = await append(client, "Followed-1", 600, size=5_000)
        one = await subscribe().until_caught_up()
        where = await subscribe(categories=["Followed"], where="event.n < 10").until_caught_up()
        other = await subscribe_other(categories=["Followed"]).until_caught_up()
        with (
            connected(direct_url) as connection,
            start_beside(servers[0]) as beside,
        ):
            # Each listens past the pooler.
            async with asyncio.timeout(60):
                while listeners(connection) < 3:  # noqa: ASYNC110 - told by a query
                    await asyncio.sleep(0.05)
            async with eventfold.AsyncClient(beside.address) as writing:
                await append(writing, "Followed-2")
                took = []
                for _ in range(20):
                    began = time.monotonic()
                    head = await append(writing, "Followed-2")
                    await one.until_position(head)
                    took.append(time.monotonic() - began)
                assert sorted(took)[10] < 0.3, "the poll alone would take half a second"
        assert one.events == stored(servers[0].address)
        await where.until_position(head)
        assert [event.stream for event in where.events[10:]] == ["Followed-2"] * 21
        assert other.events == []


def test_changes_of_the_catalogue(servers: list[RunningServer]) -> None:
    """They take several statements, which one session must get: side by side on both stores, each
    knows what the one before left.
    """

    def change(server: RunningServer) -> None:
        with event_types_of(server.address) as types:
            for number in range(4):
                name = f"Pooled{uuid.uuid4().hex}"
                types.category(name, pb.SCHEMA_MODE_WARN)
                assert types.say(name, replaced_by="Other", description=str(number)).name == name
                assert types.put(name, '{"required": ["a"]}').created
                assert tried(types.append, f"{name}-1", ("Other", {})).last_version == 1
                # By the type, whose mode counts first.
                types.say(name, schema_mode=pb.SCHEMA_MODE_ENFORCE)
                assert tried(types.append, f"{name}-1", (name, {})).reason == "SCHEMA_VIOLATION"

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(change, servers * 4))
