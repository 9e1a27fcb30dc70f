"""Projections without a server: logs of many streams, generations, and what they must come to.

`Model` folds two documents in plain Python, as simple as it can be. Logs are random, with events
that fail, rows that are hidden, and deletes.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from tests.support.database import connected

from eventfold import _core
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_table import ProjectionTable, table_name

START = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)

FOLD = """
initial: {n: 0, sum: 0}
handlers:
  Opened: {owner: "event.owner"}
  Moved: {n: "state.n + 1", sum: "state.sum + event.amount"}
  Noted: {when: "event.amount > 50", note: "event.amount"}
  Closed: delete
where: "state.n < 6"
columns:
  owner: text
  n: bigint
  sum: {type: "numeric(12,2)", value: "state.sum"}
  small: {type: integer, value: "state.?note.orValue(null)"}
indexes: [[owner], [n, sum]]
"""
BY_ROOT = "projection: accounts\nsource: {category: Account}\n" + FOLD
BY_OWNER = "projection: owners\nsource: {categories: [Account, Card]}\nkey: 'event.region'\n" + FOLD
PARKS = "on_error: park\n"
TYPES = ("Opened", "Moved", "Noted", "Closed")


@dataclass
class Event:
    """An event of a random log."""

    position: int
    stream: str
    root: str
    version: int
    type: str
    data: dict[str, Any]
    event_id: uuid.UUID
    copied_from: uuid.UUID | None = None


@dataclass
class Log:
    """A log that grows."""

    rng: random.Random
    streams: int = 20
    # Of each event, that it fails.
    failing: float = 0.0
    # Events of other types or categories, for each one that counts.
    others: float = 0.5
    # Of each event, that it is a copy.
    copies: float = 0.0
    events: list[Event] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def grow(self, count: int) -> list[Event]:
        """Adds events, and gives them."""
        return [self._event() for _ in range(count)]

    def _event(self) -> Event:
        rng = self.rng
        if rng.random() < self.others / (1 + self.others):
            stream, kind = f"Other-{rng.randrange(5)}", "Moved"
            if rng.random() < 0.5:
                stream, kind = f"Account-{rng.randrange(self.streams)}", "Unhandled"
        else:
            category = "Account" if rng.random() < 0.8 else "Card"
            stream = f"{category}-{rng.randrange(self.streams)}"
            kind = rng.choices(TYPES, (3, 12, 3, 1))[0]
        amount: object = rng.randrange(100) if rng.random() < 0.5 else 0.25 * rng.randrange(400)
        if rng.random() < self.failing:
            # Of the wrong type for the fold, or beyond the column.
            amount = rng.choice(["text", 2**31 if kind == "Noted" else "text"])
        if kind == "Noted" and not isinstance(amount, str):
            amount = int(amount)  # type: ignore[call-overload]
        data = {
            "owner": rng.choice(["Zoë", "a,b", 'say "x"', "{}", "NULL", "\\", ""]),
            "amount": amount,
            "region": rng.choice(["north", "söuth", "e\\ast", 'w"est', "n,o"]),
        }
        self.versions[stream] = version = self.versions.get(stream, 0) + 1
        # Every third stream is a later period of another.
        number = int(stream.rpartition("-")[2])
        root = stream if number % 3 else f"{stream.partition('-')[0]}-root{number}"
        event = Event(
            len(self.events) + 1,
            stream,
            root,
            version,
            kind,
            data,
            uuid.UUID(int=rng.getrandbits(128)),
        )
        if self.copies and rng.random() < self.copies:
            event.copied_from = uuid.UUID(int=rng.getrandbits(128))
        self.events.append(event)
        return event


def store_events(database_url: str, schema: str, events: list[Event]) -> None:
    """Appends them to a store, past the server."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        streams = {event.stream: event for event in events}
        cursor.executemany(
            f"INSERT INTO {schema}.streams (name, category, version, root, predecessor, created_at)"
            " VALUES (%s, %s, %s, %s, %s, now())"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            [
                (
                    name,
                    name.partition("-")[0],
                    last.version,
                    last.root,
                    None if last.root == name else last.root,
                )
                for name, last in streams.items()
            ],
        )
        found = cursor.execute(f"SELECT name, stream_no FROM {schema}.streams").fetchall()
        numbers = dict(found)
        with cursor.copy(
            f"COPY {schema}.events (position, stream_no, version, recorded_at, occurred_at,"
            " event_id, flags, type, category, writer, data, metadata, sent_digest, stored_digest,"
            " copied_from)"
            " FROM STDIN"
        ) as copy:
            for event in events:
                time = START + timedelta(milliseconds=event.position)
                copy.write_row(
                    (
                        event.position,
                        numbers[event.stream],
                        event.version,
                        time,
                        time,
                        event.event_id,
                        1,
                        event.type,
                        event.stream.partition("-")[0],
                        "anonymous",
                        json.dumps(event.data, ensure_ascii=False, separators=(",", ":")).encode(),
                        b"{}",
                        bytes(32),
                        bytes(32),
                        event.copied_from,
                    )
                )
        cursor.execute(f"UPDATE {schema}.counter SET position = %s", (events[-1].position,))


def make_generation(database: Database, database_url: str, source: str) -> tuple[int, int]:
    """A generation with an empty table, and a lease of it."""
    document = _core.Projection(source)
    schema = database.queries.schema
    name = f"p{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            f"WITH p AS (INSERT INTO {schema}.projections (name) VALUES (%s)"
            " RETURNING projection_no)"
            f" INSERT INTO {schema}.projection_generations (projection_no, generation, source,"
            " digest, switch, put_by) SELECT projection_no, 1, %s, 'd', 1, 'me' FROM p"
            " RETURNING generation_no",
            (name, source),
        ).fetchone()
        assert row is not None
        connection.execute(
            f"INSERT INTO {schema}.projection_progress (generation_no) VALUES (%s)", row
        )
        for statement in ProjectionTable(database.queries, row[0], document).create():
            connection.execute(statement)
    return row[0], take_lease(database, database_url, row[0])


def take_lease(database: Database, database_url: str, generation_no: int) -> int:
    """A later lease of the generation: whoever had it before is fenced."""
    schema = database.queries.schema
    with connected(database_url) as connection:
        row = connection.execute(
            f"UPDATE {schema}.projection_progress SET lease ="
            f" nextval('{schema}.projection_numbers'), lease_until = now() + interval '10 s'"
            " WHERE generation_no = %s RETURNING lease",
            (generation_no,),
        ).fetchone()
    assert row is not None
    return int(row[0])


_GROWTH = r"""
import asyncio, re, sys
from pathlib import Path
from eventfold import _core
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.projector import Projector

# Not `ru_maxrss`, which begins with what the process had that started this one.
def peak_kib():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])

async def main(dsn, schema, generation_no, lease, source, head):
    database = Database(dsn, schema)
    await database.open()
    catalogue = Catalogue(database)
    await catalogue.load()
    projector = Projector(database, catalogue)
    worker = projector.worker(int(generation_no), int(lease), _core.Projection(source))
    before = peak_kib()
    while not (step := await worker.step(int(head))).done:
        assert not step.fenced and step.stopped is None, step
    print(peak_kib() - before)
    await projector.close()
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def step_aside(
    database: Database, database_url: str, generation_no: int, lease: int, source: str, up_to: int
) -> int:
    """Builds a generation in a process of its own; the bytes by which that grew."""
    schema = database.queries.schema
    arguments = [database_url, schema, generation_no, lease, source, up_to]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _GROWTH, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout) * 1024


@dataclass(frozen=True)
class Contents:
    """All that a generation has."""

    # Key, state, whether it is shown, version, position, and the columns as texts.
    rows: list[tuple[Any, ...]]
    # Key and reason, path and version of the error.
    parked: dict[str, tuple[str, str | None, str]]
    lists: dict[str, list[int]]
    position: int
    events: int
    stopped: dict[str, Any] | None


def contents(database: Database, database_url: str, generation_no: int) -> Contents:
    """What the database has of a generation."""
    schema = database.queries.schema
    number = (generation_no,)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        table = table_name(schema, generation_no)
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY key").fetchall()
        parked = connection.execute(
            f"SELECT key, error FROM {schema}.projection_parked_keys WHERE generation_no = %s",
            number,
        ).fetchall()
        lists = connection.execute(
            f"SELECT key, array_agg(position ORDER BY position)"
            f" FROM {schema}.projection_parked_events WHERE generation_no = %s GROUP BY key",
            number,
        ).fetchall()
        progress = connection.execute(
            f"SELECT position, events, stopped FROM {schema}.projection_progress"
            " WHERE generation_no = %s",
            number,
        ).fetchone()
    assert progress is not None
    errors = {
        key: (error["reason"], error["facts"].get("path"), error["facts"]["version"])
        for key, error in parked
    }
    return Contents(rows, errors, dict(lists), *progress)


class Model:
    """What the documents of this module make of a log."""

    def __init__(self, source: str, categories: Sequence[str] | None = None) -> None:
        """`categories` that count, if they are not those of the documents of this module."""
        self._by_root = "key:" not in source
        self._parks = PARKS in source
        known = ("Account",) if self._by_root else ("Account", "Card")
        self._categories = categories or known
        self._states: dict[str, dict[str, Any]] = {}
        self._touched: dict[str, tuple[int, int]] = {}
        self.parked: dict[str, tuple[str, str | None, str]] = {}
        self.lists: dict[str, list[int]] = {}
        self.events = 0
        # Position of the event that failed.
        self.stopped: int | None = None

    def feed(self, events: list[Event]) -> None:
        """Takes further events; none behind a failure that stops."""
        for event in events:
            if event.type not in TYPES or event.stream.partition("-")[0] not in self._categories:
                continue
            key = event.root if self._by_root else event.data["region"]
            if self.stopped is not None:
                return
            if key in self.parked:
                self.lists[key].append(event.position)
                continue
            failure = self._fold(key, event)
            if failure is None:
                continue
            if not self._parks:
                self.stopped = event.position
                return
            self.parked[key] = (*failure, str(event.version))
            self.lists[key] = [event.position]

    def _fold(self, key: str, event: Event) -> tuple[str, str | None] | None:
        """Folds one event; why it fails: reason and path."""
        state = dict(self._states.get(key, {"n": 0, "sum": Decimal(0)}))
        amount = event.data["amount"]
        match event.type:
            case "Opened":
                state["owner"] = event.data["owner"]
            case "Moved" if isinstance(amount, str):
                return "FOLD_FAILED", "sum"
            case "Moved":
                state["n"] += 1
                state["sum"] += Decimal(str(amount))
            case "Noted" if isinstance(amount, str):
                return "FOLD_FAILED", None
            case "Noted" if amount <= 50:
                return None
            case "Noted":
                state["note"] = amount
            case "Closed":
                self._states.pop(key, None)
                self._touched.pop(key, None)
                return None
        # Rows that are hidden have no columns that could fail.
        if state["n"] < 6 and state.get("note", 0) >= 2**31:
            return "PROJECTION_FAILED", "columns.small"
        self._states[key] = state
        self._touched[key] = (event.version, event.position)
        return None

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as the table is to have them: states and columns as values."""
        return [
            (
                key,
                state,
                state["n"] < 6,
                *self._touched[key],
                *(
                    (state.get("owner"), state["n"], state["sum"], state.get("note"))
                    if state["n"] < 6
                    else (None, None, None, None)
                ),
            )
            for key, state in sorted(self._states.items(), key=lambda item: item[0].encode())
        ]


def values(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows of a table with their states as values, to be compared with those of a model."""
    return [(key, json.loads(state, parse_float=Decimal), *rest) for key, state, *rest in rows]
