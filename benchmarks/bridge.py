"""What a call of the reader costs that does nothing, and what one row costs by each driver.

    python benchmarks/bridge.py URL

Times are wall and CPU of this process, in microseconds a call, with 1 and 32 calls in flight. One
row is the head of the log by asyncpg, and a page of one event by the reader.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import LogStorage

CALLS = 4_000
ROUNDS = 5


async def _each(call: Callable[[], Awaitable[object]], in_flight: int) -> tuple[float, float]:
    """Wall and CPU time of a call."""

    async def some() -> None:
        for _ in range(CALLS // in_flight):
            await call()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(in_flight)))
    return (time.perf_counter() - wall) / CALLS, (time.process_time() - cpu) / CALLS


async def main(url: str) -> None:
    """Measures, and prints a line for each kind of call."""
    database = Database(url, "bridge", unsafe_durability=True)
    await database.open()
    log = LogStorage(database, Catalogue(database))

    async def page() -> None:
        pages = log.stream_pages(1, 1, 1, stream="S-1", types=None, backwards=False, limit=1)
        async for _ in pages:
            pass

    kinds: dict[str, Callable[[], Awaitable[object]]] = {
        "empty call": database.events.nothing,
        "one row, asyncpg": log.head,
        "one page, reader": page,
    }
    for in_flight in (1, 32):
        for name, call in kinds.items():
            measured = [await _each(call, in_flight) for _ in range(ROUNDS + 1)][1:]
            wall, cpu = (sorted(times)[ROUNDS // 2] * 1e6 for times in zip(*measured, strict=True))
            print(f"{name:18} {in_flight:3} in flight  {wall:7.1f} us  {cpu:7.1f} us of CPU")
    await database.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
