"""Drives Message DB through its functions by psycopg, callers being threads.

Its users call `write_message`, one message a call; several in one transaction are an append of
several. The data come back as text; orjson decodes it. It is filled by COPY.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import protocol
import psycopg
from protocol import data

# All that `install.sh` of the package runs, in its order. It has no psql here, so the files are
# sent as they are. The extension pgcrypto is left out: all that it is for, gen_random_uuid(), is
# PostgreSQL's own since version 13, and the embedded one has no extensions.
_FOLDERS = ("schema", "tables", "types", "functions", "indexes")
_WRITE = "SELECT write_message(%s, %s, %s, %s::jsonb, NULL, %s)"
_READ = "SELECT type, position, global_position, data, time FROM get_stream_messages(%s, 0, -1)"
_LOG = "SELECT type, position, global_position, data, time FROM get_category_messages(%s, %s, %s)"
_LOG_PAGE = 1_000
_OPTIONS = "-c search_path=message_store,public"


def install(url: str, package: Path) -> None:
    """Creates the schema of Message DB, unless it is there."""
    with psycopg.connect(url, autocommit=True, options=_OPTIONS) as connection:
        if connection.execute("SELECT to_regclass('message_store.messages')").fetchone()[0]:
            return
        functions = (package / "database" / "install-functions.sh").read_text()
        for folder in _FOLDERS:
            files = sorted((package / "database" / folder).glob("*.sql"))
            if folder == "functions":
                # The script names them in the order in which they build on each other.
                files.sort(key=lambda file: functions.index(f"functions/{file.name}"))
            for file in files:
                connection.execute(file.read_text())


class Caller:
    """One caller with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, options=_OPTIONS)

    def begin(self, stream: str) -> None:
        # A stream without messages is at -1.
        self._stream, self._version = stream, -1

    def _write(self) -> None:
        number = self._version + 1
        text = orjson.dumps(data.event_data(number)).decode()
        kind = data.event_type(number)
        values = (str(data.uuid7()), self._stream, kind, text, self._version)
        self._connection.execute(_WRITE, values, prepare=True)
        self._version = number

    def append(self, count: int) -> int:
        if count == 1:
            self._write()
            return 1
        # Sent without waiting for each answer.
        with self._connection.pipeline(), self._connection.transaction():
            for _ in range(count):
                self._write()
        return count

    def read(self, stream: str) -> int:
        rows = self._connection.execute(_READ, (stream,), prepare=True).fetchall()
        for row in rows:
            orjson.loads(row[3])
        return len(rows)

    def hydrate(self, stream: str) -> Any:
        state = data.initial_state()
        for row in self._connection.execute(_READ, (stream,), prepare=True):
            data.apply(state, row[0], orjson.loads(row[3]))
        return state["balance"]

    def catch_up(self) -> int:
        count, position = 0, 1
        while True:
            values = (data.CATEGORY, position, _LOG_PAGE)
            rows = self._connection.execute(_LOG, values, prepare=True).fetchall()
            if not rows:
                return count
            for row in rows:
                orjson.loads(row[3])
            count += len(rows)
            position = rows[-1][2] + 1


def _load(url: str, runs: Iterable[data.Run]) -> None:
    copy_to = "COPY message_store.messages (position, stream_name, type, data, id) FROM STDIN"
    with (
        psycopg.connect(url) as connection,
        connection.cursor() as cursor,
        cursor.copy(copy_to) as copy,
    ):
        for run in runs:
            for number in range(run.first, run.first + run.count):
                text = orjson.dumps(data.event_data(number)).decode()
                kind = data.event_type(number)
                copy.write_row((number, run.stream, kind, text, data.uuid7()))


def main() -> None:
    """URL of the database and folder of the npm package as arguments."""
    url, package = sys.argv[1], Path(sys.argv[2])
    install(url, package)
    protocol.serve(protocol.Callers(lambda: Caller(url)).run, lambda runs: _load(url, runs))


if __name__ == "__main__":
    main()
