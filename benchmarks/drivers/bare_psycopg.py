"""Reads eventfold's own tables by psycopg and orjson and folds in Python: what a program without
an event store would write.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
import protocol
import psycopg
from protocol import data

_ROWS = """
SELECT e.event_id, e.type, e.version, e.position, e.recorded_at, e.data
  FROM eventfold.events e
 WHERE e.stream_no = (SELECT stream_no FROM eventfold.streams WHERE name = %s)
 ORDER BY e.version
"""


class Caller:
    """One caller with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, options="-c enable_bitmapscan=off")

    def begin(self, stream: str) -> None:
        """Nothing: it appends to no stream."""

    def read(self, stream: str) -> int:
        """Events of the stream, each with its data decoded."""
        rows = self._connection.execute(_ROWS, (stream,), prepare=True, binary=True).fetchall()
        for row in rows:
            orjson.loads(row[5])
        return len(rows)

    def hydrate(self, stream: str) -> Any:
        """Balance of the account."""
        state = data.initial_state()
        for row in self._connection.execute(_ROWS, (stream,), prepare=True, binary=True):
            data.apply(state, row[1], orjson.loads(row[5]))
        return state["balance"]


def main() -> None:
    """URL of the database as the only argument."""
    url = sys.argv[1]
    protocol.serve(protocol.Callers(lambda: Caller(url)).run, None)


if __name__ == "__main__":
    main()
