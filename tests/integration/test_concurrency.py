"""Goal: whatever writers do at once, the log keeps its promises.

Method: eight writers with random streams, expectations, conflicts and repetitions; two readers who
follow the log meanwhile; then every answer and everything seen is held against the final log. On
one server, on one with two workers, and on two servers with one database.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.history import History, check, follow, run_threads, write
from tests.support.servers import start_postgres, start_server

import eventfold

WRITERS = 8
APPENDS_EACH = 60


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@contextlib.contextmanager
def servers(count: int, database_url: str, folder: Path, workers: int = 1) -> Iterator[list[str]]:
    """Addresses of servers on one fresh store."""
    schema = f"test_{uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:
        addresses = []
        for number in range(count):
            own = folder / str(number)
            own.mkdir()
            server = stack.enter_context(
                start_server(own, database_url=database_url, schema=schema, workers=workers)
            )
            addresses.append(server.address)
        yield addresses


@pytest.mark.parametrize(
    ("server_count", "workers"),
    [(1, 1), (2, 1), (1, 2)],
    ids=["one server", "two servers", "two workers"],
)
@pytest.mark.parametrize("stream_count", [1, 40])
def test_eight_writers_lose_and_double_nothing(
    database_url: str, tmp_path: Path, server_count: int, workers: int, stream_count: int
) -> None:
    with servers(server_count, database_url, tmp_path, workers) as addresses:
        history = History()
        streams = [f"counter-{number}" for number in range(stream_count)]
        done = threading.Event()
        readers = run_threads(
            history,
            [lambda at=at: follow(at, history, done) for at in (addresses[0], addresses[-1])],
        )
        writers = run_threads(
            history,
            [
                lambda n=n: write(
                    addresses[n % server_count], history, streams, APPENDS_EACH, seed=n
                )
                for n in range(WRITERS)
            ],
        )
        for thread in writers:
            thread.join(timeout=100)
        done.set()
        for thread in readers:
            thread.join(timeout=20)
        log = check(addresses[0], history)
        assert len(history.acknowledged) == WRITERS * APPENDS_EACH
        assert len(log) == sum(len(append.ids) for append in history.acknowledged)
        # Every reader went on to the end, and so has seen all of it.
        assert [len(seen) for seen in history.seen] == [len(log)] * 2
        if stream_count == 1:
            assert history.conflicts > 0, "the writers never met"


IN_FLIGHT = 300
APPENDS_IN_FLIGHT = 8


def test_hundreds_of_calls_in_flight_on_one_connection(database_url: str, tmp_path: Path) -> None:
    async def write_all(address: str) -> None:
        async with eventfold.AsyncClient(address, timeout=60) as store:

            async def writer(number: int) -> None:
                for version in range(APPENDS_IN_FLIGHT):
                    event = eventfold.Event("Counted", {"number": number})
                    await store.append(f"busy-{number}", [event], expected_version=version)

            await asyncio.gather(*(writer(number) for number in range(IN_FLIGHT)))

    with servers(1, database_url, tmp_path) as (address,):
        asyncio.run(write_all(address))
        with eventfold.Client(address) as store:
            assert sum(1 for _ in store.read_all()) == IN_FLIGHT * APPENDS_IN_FLIGHT
