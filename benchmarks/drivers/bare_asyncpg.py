"""Drives eventfold's own tables and functions by asyncpg and orjson: no server, no checks, no hop.

The price of the server is the difference to this one, and what it saves too.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import protocol
import uvloop
from protocol import data

from eventfold_server.storage.queries import Queries

SCHEMA = "eventfold"
# Rows of the log in one query of a catch-up.
LOG_PAGE_ROWS = 10_000

_ROWS = """
SELECT e.event_id, e.type, e.version, e.position, e.recorded_at, e.data
  FROM eventfold.events e
 WHERE e.stream_no = (SELECT stream_no FROM eventfold.streams WHERE name = $1)
 ORDER BY e.version
"""
_LOG = """
SELECT s.name, e.event_id, e.type, e.version, e.position, e.recorded_at, e.data
  FROM eventfold.events e JOIN eventfold.streams s USING (stream_no)
 WHERE e.position > $1 AND e.position <= $2
 ORDER BY e.position
"""


# More of them make a database on few cores slower.
CONNECTIONS = 32


async def _keep(_connection: Any) -> None:
    """Like the server's pools: nothing is reset between statements."""


class AsyncCaller:
    """One caller; all share a pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._append = Queries(SCHEMA)["append"]

    def begin(self, stream: str) -> None:
        self._stream, self._version = stream, 0

    async def append(self, count: int) -> int:
        numbers = range(self._version, self._version + count)
        texts = [orjson.dumps(data.event_data(n)) for n in numbers]
        digests = [hashlib.sha256(text).digest() for text in texts]
        row = await self._pool.fetchrow(
            self._append,
            self._stream,
            data.CATEGORY,
            self._version,
            [data.uuid7() for _ in numbers],
            [data.event_type(n) for n in numbers],
            texts,
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
            # Nothing is sealed.
            None,
            None,
        )
        if row["outcome"] != "append":
            raise RuntimeError(f"the append was answered with {row['outcome']}")
        self._version += count
        return count

    async def read(self, stream: str) -> int:
        rows = await self._pool.fetch(_ROWS, stream)
        for row in rows:
            orjson.loads(row["data"])
        return len(rows)

    async def hydrate(self, stream: str) -> Any:
        state = data.initial_state()
        for row in await self._pool.fetch(_ROWS, stream):
            data.apply(state, row["type"], orjson.loads(row["data"]))
        return state["balance"]

    async def catch_up(self) -> int:
        count = 0
        async for rows in self._log():
            for row in rows:
                orjson.loads(row["data"])
            count += len(rows)
        return count

    async def catch_up_counted(self) -> int:
        count = 0
        async for rows in self._log():
            count += len(rows)
        return count

    async def _log(self) -> AsyncIterator[list[Any]]:
        last = 0
        while rows := await self._pool.fetch(_LOG, last, last + LOG_PAGE_ROWS):
            yield rows
            last += LOG_PAGE_ROWS


def main() -> None:
    """URL of the database as the only argument."""

    loop = uvloop.new_event_loop()

    async def connect() -> Any:
        settings = {"enable_bitmapscan": "off"}
        return await asyncpg.create_pool(
            sys.argv[1], min_size=1, max_size=CONNECTIONS, reset=_keep, server_settings=settings
        )

    pool = loop.run_until_complete(connect())

    async def make() -> AsyncCaller:
        return AsyncCaller(pool)

    protocol.serve(protocol.AsyncCallers(make, loop).run, None)


if __name__ == "__main__":
    main()
