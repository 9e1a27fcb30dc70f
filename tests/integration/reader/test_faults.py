"""Goal: a read that is given up, cut off or left waiting harms nobody: its statement ends, its
connection serves the next, memory stays bounded.

Method: the reader of a store on real rows, with readers that cancel, dawdle, and compete; and a
PostgreSQL that loses its connections meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import struct
import time
from contextlib import aclosing
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.support.database import connected
from tests.support.rows import random_rows, store_rows

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, FoldRegistry
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.starts import Starts
from eventfold_server.errors import Refusal
from eventfold_server.storage import reader
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import EVENT_CONNECTIONS, Database
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.kept import KeptStorage, Upto
from eventfold_server.storage.log import LogStorage, Pages

EVENTS = 30_000
DATA_BYTES_MAX = 2_000
SLOW = """
fold: slow
initial: {n: 0}
handlers:
  A: {n: "[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, a * b)).size() + state.n"}
"""
OURS = "application_name = 'eventfold' AND pid <> pg_backend_pid()"


@pytest.fixture
def log(database: Database, database_url: str) -> LogStorage:
    rows = random_rows(random.Random(1), 1, EVENTS, DATA_BYTES_MAX, deleted=False)
    store_rows(database_url, database.queries.schema, rows)
    return LogStorage(database, Catalogue(database))


def whole(log: LogStorage, events: int = EVENTS) -> Pages:
    return log.stream_pages(1, 1, events, stream="S-0", types=None, backwards=False, limit=None)


async def count(log: LogStorage, events: int = EVENTS) -> int:
    return sum([page.rows async for page in whole(log, events)])


def running(database_url: str) -> int:
    """Statements on events that run now, in any store."""
    with connected(database_url) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND state = 'active'"
            " AND query LIKE '%.events e%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def until_idle(database_url: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while running(database_url):
        assert time.monotonic() < deadline, "a statement goes on"
        await asyncio.sleep(0.02)


async def test_given_up_in_the_middle(log: LogStorage, database_url: str) -> None:
    """A reader that leaves ends its statement; all connections serve afterwards."""
    for _ in range(2 * EVENT_CONNECTIONS):
        async with aclosing(whole(log)) as pages:
            async for _ in pages:
                break
    await until_idle(database_url)
    assert await count(log) == EVENTS


class LateCancellations:
    """A way to PostgreSQL on which requests to cancel take their time, as on a busy machine."""

    # What a request to cancel has behind its length.
    CODE = struct.pack("!I", 80877102)

    def __init__(self, directory: str, seconds: float) -> None:
        self._upstream = f"{directory}/.s.PGSQL.5432"
        self._seconds = seconds
        self.seen = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        first = await reader.readexactly(8)
        if first.endswith(self.CODE):
            self.seen.set()
            await asyncio.sleep(self._seconds)
        server_reader, server_writer = await asyncio.open_unix_connection(self._upstream)
        server_writer.write(first)
        await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))
        for one in (server_writer, writer):
            one.close()
            with contextlib.suppress(ConnectionError):
                await one.wait_closed()

    async def ended(self) -> None:
        """Waits until all connections are closed."""
        async with asyncio.timeout(60):
            await asyncio.gather(*self._connections)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while received := await source.read(64 * 1024):
            sink.write(received)
            await sink.drain()
    # Not closed: the other direction goes on until PostgreSQL ends it.
    with contextlib.suppress(OSError):
        sink.write_eof()


async def test_a_late_cancellation_hits_nobody(
    database: Database, log: LogStorage, database_url: str, folder: Path
) -> None:
    """A connection serves the next only when the request to cancel cannot reach it any more."""
    query = parse_qs(urlsplit(database_url).query)
    late = LateCancellations(query["host"][0], 1.0)
    listener = await asyncio.start_unix_server(late.carry, folder / ".s.PGSQL.5432")
    query["host"] = [str(folder)]
    url = urlsplit(database_url)._replace(query=urlencode(query, doseq=True)).geturl()
    behind = Database(url, database.queries.schema)
    async with listener:
        try:
            await behind.open()
            log = LogStorage(behind, Catalogue(behind))
            # Few enough events that the statements are long over when the requests come.
            given_up = [whole(log, 3_000) for _ in range(EVENT_CONNECTIONS)]
            await asyncio.gather(*map(anext, given_up))
            for pages in given_up:
                await pages.aclose()
            await late.seen.wait()
            deadline = time.monotonic() + 2.0
            while time.monotonic() < deadline:
                # On every connection that there is.
                readers = [count(log, 3_000) for _ in range(EVENT_CONNECTIONS)]
                assert await asyncio.gather(*readers) == [3_000] * EVENT_CONNECTIONS
        finally:
            await behind.close()
            await late.ended()


async def test_cancelled_while_it_waits(log: LogStorage, database_url: str) -> None:
    """Calls that are cancelled at any moment leave nothing behind."""
    for pause in (0.0, 0.001, 0.003, 0.01, 0.03, 0.05):
        readers = [asyncio.create_task(count(log)) for _ in range(12)]
        await asyncio.sleep(pause)
        for task in readers:
            task.cancel()
        results = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError | int) for result in results)
    await until_idle(database_url)
    assert await count(log) == EVENTS


async def test_a_fold_that_is_cancelled_stops(database: Database, log: LogStorage) -> None:
    """A caller who gives up a hydration stops the fold, and its threads serve the next."""
    folds = FoldRegistry(FoldStorage(database))
    storage = KeptStorage(database, Catalogue(database))
    starts = Starts(storage, folds, KeptStates(storage))
    ref = FoldRef(None, SLOW)
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await starts.hydrate("S-0", ref, Upto())
    # Twenty folds to their ends would take far longer.
    assert time.monotonic() - started < 30
    assert await count(log) == EVENTS


async def test_cut_off_in_the_middle(log: LogStorage, database_url: str) -> None:
    """Whose connection is cut off is told so; whoever comes next is served."""
    pages = whole(log)
    await anext(pages)
    with connected(database_url) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
    with pytest.raises(Refusal) as refused:
        async for _ in pages:
            pass
    assert refused.value.reason == "STORAGE_UNAVAILABLE"
    assert await count(log) == EVENTS


async def test_a_slow_reader_holds_nothing(log: LogStorage, database_url: str) -> None:
    """A reader that takes its time has no statement open meanwhile, and misses nothing."""
    seen = []
    async for page in whole(log):
        seen.append(page.rows)
        if len(seen) in (2, 5):
            await asyncio.sleep(4 * reader.GRACE_S)
            await until_idle(database_url, 2.0)
    assert sum(seen) == EVENTS


async def test_memory_is_that_of_a_page(log: LogStorage) -> None:
    """Many readers who have stopped reading take a few pages each, not what is stored."""
    await count(log)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    waiting = [whole(log) for _ in range(30)]
    for pages in waiting:
        page: _core.Page = await anext(pages)
        assert 1 <= page.size_bytes <= 2 * 1024 * 1024
    await asyncio.sleep(4 * reader.GRACE_S)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    for pages in waiting:
        await pages.aclose()
    # In kilobytes: what 30 readers were given, as much ahead, and room for buffers. Each stream
    # has about 40 MB.
    assert grown < 30 * 5 * 1024


async def test_eight_big_reads_at_once(log: LogStorage) -> None:
    """Readers share the connections, and short reads get their turn between them."""
    big = [asyncio.create_task(count(log)) for _ in range(8)]
    short = log.stream_pages(1, 7, 9, stream="S-0", types=None, backwards=False, limit=None)
    [page] = [page async for page in short]
    assert page.rows == 3
    assert await asyncio.gather(*big) == [EVENTS] * 8


async def test_closed_in_the_middle(database: Database, log: LogStorage) -> None:
    """The end of the server ends the thread, and answers whoever waits."""
    readers = [asyncio.create_task(count(log)) for _ in range(4)]
    await asyncio.sleep(0.01)
    await database.close()
    results = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), 10)
    assert all(isinstance(result, Refusal) for result in results), results
