"""What is measured: the store through its SDK, beside the same SQL without a server."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import asyncpg
import orjson
import psycopg
import uvloop
from harness import Figure, compare
from psycopg.rows import dict_row
from store import LENGTHS, Store, event

import eventfold
from eventfold_server.storage.queries import Queries

# Operations of one round, so that a round takes about a second at the most.
APPENDS = 400
REPEATS = {100: 200, 1_000: 50, 10_000: 10, 100_000: 2}
IN_FLIGHT = (8, 32)

_ROWS = """
SELECT e.event_id, e.type, e.version, e.position, e.recorded_at, e.data
  FROM eventfold.events e
 WHERE e.stream_no = (SELECT stream_no FROM eventfold.streams WHERE name = $1)
 ORDER BY e.version
"""


_PSYCOPG_ROWS = _ROWS.replace("$1", "%s")


class Bare:
    """asyncpg on the store's own tables and functions, in this process, without a server."""

    def __init__(self, database_url: str) -> None:
        self.loop = uvloop.new_event_loop()
        # asyncpg asks for the loop of the thread in places.
        asyncio.set_event_loop(self.loop)
        self.pool: Any = self.loop.run_until_complete(_pool(database_url))
        self._append = Queries("eventfold")["append"]

    async def append(self, stream: str, version: int, count: int = 1) -> None:
        """The statement that the server sends, with the checks left out."""
        events = [event(version + number) for number in range(count)]
        data = [orjson.dumps(one.data) for one in events]
        digests = [hashlib.sha256(text).digest() for text in data]
        await self.pool.fetchrow(
            self._append,
            stream,
            stream.partition("-")[0],
            version,
            [one.id for one in events],
            [one.type for one in events],
            data,
            [b"{}"] * count,
            [],
            [0] * count,
            [None] * count,
            [1] * count,
            digests,
            digests,
            "bare",
            None,
            1,
        )

    async def rows(self, stream: str) -> list[Any]:
        """All events of the stream as rows."""
        found: list[Any] = await self.pool.fetch(_ROWS, stream)
        return found

    def run(self, work: Any) -> Any:
        """Runs a coroutine to its end."""
        return self.loop.run_until_complete(work)


async def _pool(database_url: str) -> Any:
    return await asyncpg.create_pool(database_url, min_size=1, max_size=8, reset=_keep)


async def _keep(_connection: Any) -> None:
    """Like the server's pools: nothing is reset between statements."""


def _fresh_streams(prefix: str) -> Callable[[], str]:
    numbers = itertools.count()
    run = uuid.uuid4().hex[:8]
    return lambda: f"{prefix}-{run}-{next(numbers)}"


def appends(store: Store, client: eventfold.Client, bare: Bare) -> list[Figure]:
    """Single events with exact versions, one and several in flight; 100 events a call."""
    name = _fresh_streams("bench")

    def bare_one_by_one() -> int:
        async def work() -> None:
            stream = name()
            for version in range(APPENDS):
                await bare.append(stream, version)

        bare.run(work())
        return APPENDS

    def ours_one_by_one() -> int:
        stream = name()
        for version in range(APPENDS):
            client.append(stream, [event(version)], expected_version=version)
        return APPENDS

    def bare_hundreds() -> int:
        async def work() -> None:
            stream = name()
            for version in range(0, 2_000, 100):
                await bare.append(stream, version, 100)

        bare.run(work())
        return 20

    def ours_hundreds() -> int:
        stream = name()
        for version in range(0, 2_000, 100):
            events = [event(version + number) for number in range(100)]
            client.append(stream, events, expected_version=version)
        return 20

    figures = compare(
        "append 1 event, 1 in flight",
        {"bare asyncpg": bare_one_by_one, "eventfold": ours_one_by_one},
    )
    for in_flight in IN_FLIGHT:
        figures += compare(
            f"append 1 event, {in_flight} in flight",
            {
                "bare asyncpg": lambda n=in_flight: bare.run(_many(bare.append, name, n)),
                "eventfold": lambda n=in_flight: asyncio.run(_many_ours(store, name, n)),
            },
        )
    figures += compare(
        "append 100 events a call",
        {"bare asyncpg": bare_hundreds, "eventfold": ours_hundreds},
        units=100,
    )
    return figures


async def _many(append: Any, name: Callable[[], str], in_flight: int) -> int:
    async def writer() -> None:
        stream = name()
        for version in range(APPENDS // 4):
            await append(stream, version)

    await asyncio.gather(*(writer() for _ in range(in_flight)))
    return in_flight * (APPENDS // 4)


async def _many_ours(store: Store, name: Callable[[], str], in_flight: int) -> int:
    async with eventfold.AsyncClient(store.address, timeout=30) as client:

        async def append(stream: str, version: int) -> None:
            await client.append(stream, [event(version)], expected_version=version)

        return await _many(append, name, in_flight)


def reads(client: eventfold.Client, bare: Bare) -> list[Figure]:
    """A whole stream into Python objects with their data decoded."""
    figures = []
    for length in LENGTHS:
        stream, repeats = f"account-{length}", REPEATS[length]

        def bare_read(stream: str = stream, repeats: int = repeats) -> int:
            for _ in range(repeats):
                for row in bare.run(bare.rows(stream)):
                    orjson.loads(row["data"])
            return repeats

        def ours(stream: str = stream, repeats: int = repeats) -> int:
            for _ in range(repeats):
                for one in client.read(stream):
                    _ = one.data
            return repeats

        figures += compare(
            f"read {length:,} events",
            {"bare asyncpg + orjson": bare_read, "eventfold": ours},
            units=length,
        )
    return figures


def _fold_in_python(rows: list[Any]) -> dict[str, Any]:
    """The account fold of `store.py`, written as Python handlers."""
    state: dict[str, Any] = {"balance": 0, "deposits": 0, "open": False, "limit": 0}
    for row in rows:
        data = orjson.loads(row["data"])
        match row["type"]:
            case "MoneyDeposited":
                state["balance"] += data["amount"]
                state["deposits"] += 1
            case "MoneyWithdrawn":
                state["balance"] -= data["amount"]
            case "AccountOpened":
                state["owner"], state["open"] = data["holder"], True
            case "LimitSet":
                state["limit"] = data["limit"]
            case "AccountClosed":
                state["open"] = False
    return state


def hydrations(client: eventfold.Client, bare: Bare, database_url: str) -> list[Figure]:
    """A state from its stream: on the server, from the first event or from a kept state, and by
    fetching all rows and folding them in Python."""
    figures = []
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as psycopg_:
        for length in LENGTHS:
            stream, repeats = f"account-{length}", REPEATS[length]

            def with_psycopg(stream: str = stream) -> Any:
                return _fold_in_python(psycopg_.execute(_PSYCOPG_ROWS, [stream]).fetchall())

            def with_asyncpg(stream: str = stream) -> Any:
                return _fold_in_python(bare.run(bare.rows(stream)))

            def cold(length: int = length) -> Any:
                return client.hydrate("account", str(length), fold="cold").state

            def kept(length: int = length) -> Any:
                return client.hydrate("account", str(length), fold="account").state

            ways = {
                "psycopg + orjson + Python fold": with_psycopg,
                "asyncpg + orjson + Python fold": with_asyncpg,
                "eventfold, from the first event": cold,
                "eventfold, kept state": kept,
            }
            states = [way() for way in ways.values()]
            assert all(state == states[0] for state in states), states
            figures += compare(
                f"hydrate {length:,} events",
                {name: _repeated(way, repeats) for name, way in ways.items()},
                units=length,
            )
    return figures


def _repeated(way: Callable[[], Any], times: int) -> Callable[[], int]:
    def run() -> int:
        for _ in range(times):
            way()
        return times

    return run
