"""Goal: behind a pooler that gives sessions away after each transaction everything works as
without, and nobody meets what another client left in a session.

Method: PgBouncer in transaction mode, with fewer sessions than the servers have connections; two
servers on two stores at once, which append, read, fold, give up, and refuse, side by side.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.support.database import connected
from tests.support.pgbouncer import pgbouncer, program
from tests.support.servers import RunningServer, start_postgres, start_server

import eventfold

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
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture(scope="module")
def servers(
    direct_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RunningServer]]:
    """Two servers on stores of their own, behind one pooler."""
    folder = tmp_path_factory.mktemp("servers")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)
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
