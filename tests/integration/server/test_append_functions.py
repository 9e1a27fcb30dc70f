"""Goal: the append functions of today decide and store as those that servers of before still call.

Method: schemas of one PostgreSQL get the same random calls, one by the functions of version 1,
another by those of version 2, the third by the function for marked events: plain appends and groups
that are stored whole or not at all, ids that come again, with other contents, on other streams or
in other order, streams that were closed or deleted, rules that moved on, checks that fail. Answers
and tables must be equal.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from tests.support.writers import opened

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb
from eventfold_server.storage.database import Database

STREAMS = [f"s-{n}" for n in range(10)]
ANY = -2
EXISTS = -1
# The columns whose values two schemas have in common, in the order of the log.
EVENTS = """
SELECT e.position, s.name, e.version, e.event_id, e.type, e.category, e.writer, e.data, e.metadata,
       e.tags, e.flags, e.sent_digest, e.stored_digest, e.trace_context,
       CASE WHEN e.occurred_at <> e.recorded_at THEN e.occurred_at END AS occurred_at
  FROM {s}.events e JOIN {s}.streams s USING (stream_no) ORDER BY e.position
"""
STREAM_ROWS = """
SELECT name, category, version, lifecycle, root, predecessor, successor FROM {s}.streams
 ORDER BY name
"""
COUNTER = "SELECT position, catalogue_version FROM {s}.counter"


@dataclass
class Event:
    """An event of which everything but the contents follows from its id."""

    id: uuid.UUID
    sent: bytes

    @property
    def tags(self) -> list[str]:
        return [f"t{n}" for n in range(self.id.int % 4)]

    @property
    def occurred_at(self) -> str | None:
        return "2024-02-29T12:00:00Z" if self.id.int % 3 == 0 else None


@dataclass
class Part:
    """Events for a stream."""

    stream: str
    expected: int
    catalogue: int
    events: list[Event]


@dataclass
class Group:
    """Parts that are stored whole or not at all, or plain appends."""

    parts: list[Part]
    checks: list[tuple[str, int]] = field(default_factory=list)


class Source:
    """Random calls."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)
        self.catalogue = 1
        # Events that were sent, by stream.
        self._used: dict[str, list[list[Event]]] = {}

    def part(self, stream: str) -> Part:
        choose = self.choose
        events = [self._event() for _ in range(choose.choice((1, 1, 1, 2, 5)))]
        if self._used and choose.random() < 0.3:
            own = self._used.get(stream) if choose.random() < 0.7 else None
            known = choose.choice(own or choose.choice(list(self._used.values())))
            # As it was, cut, turned round, with another content, or with new ones behind.
            events = choose.choice(
                (
                    known,
                    known,
                    known[1:] or known,
                    known[::-1],
                    [Event(event.id, b"2" * 32) for event in known],
                    known + events,
                )
            )
        self._used.setdefault(stream, []).append(events)
        expected = choose.choice((ANY, ANY, ANY, EXISTS, 0, 1, 2, 3, 5, 8))
        catalogue = self.catalogue + (choose.random() < 0.04)
        return Part(stream, expected, catalogue, events)

    def call(self) -> tuple[bool, list[Group]]:
        """Whether the first group is of plain appends, and all groups."""
        choose = self.choose
        groups: list[Group] = []
        plain = choose.random() < 0.8
        if plain:
            ids: set[uuid.UUID] = set()
            parts = []
            for stream in choose.sample(STREAMS, choose.randrange(1, 9)):
                part = self.part(stream)
                if ids.isdisjoint(event.id for event in part.events):
                    ids.update(event.id for event in part.events)
                    parts.append(part)
            groups.append(Group(parts))
        for _ in range(choose.randrange(0 if plain else 1, 4)):
            names = choose.sample(STREAMS, 6)
            parts = [self.part(name) for name in names[: choose.choice((1, 2, 3))]]
            checks = [(n, choose.choice((EXISTS, 0, 1, 2))) for n in names[choose.choice((5, 6)) :]]
            named = [event.id for part in parts for event in part.events]
            if len(set(named)) == len(named):
                groups.append(Group(parts, checks))
        return (plain, groups) if groups else self.call()

    def _event(self) -> Event:
        return Event(uuid.UUID(int=self.choose.getrandbits(128)), b"1" * 32)


def columns(events: Sequence[Event]) -> list[list[Any]]:
    """The arrays from ids to stored digests, without the times."""
    ends, tags = [], list[str]()
    for event in events:
        tags += event.tags
        ends.append(len(tags))
    ids = [event.id for event in events]
    return [
        ids,
        ["T" + str(id_.int % 5) for id_ in ids],
        [b'{"n":%d}' % (id_.int % 1000) for id_ in ids],
        [b"{}" for _ in ids],
        tags,
        ends,
        [event.occurred_at for event in events],
        [id_.int % 2 for id_ in ids],
        [event.sent for event in events],
        [b"3" * 32 for _ in ids],
    ]


def one(part: Part) -> list[Any]:
    """The arguments of `append`."""
    return [part.stream, "s", part.expected, *columns(part.events), "w", "trace", part.catalogue]


def batch(plain: bool, groups: Sequence[Group]) -> list[Any]:
    """The arguments of `append_batch`."""
    parts, checks = list[Part](), list[tuple[str, int]]()
    append_ends, check_ends, event_ends = [], [], []
    numbers, events = list[int](), list[Event]()
    for group in groups:
        for part in group.parts:
            parts.append(part)
            events += part.events
            numbers += [len(parts)] * len(part.events)
            event_ends.append(len(events))
        checks += group.checks
        append_ends.append(len(parts))
        check_ends.append(len(checks))
    return [
        plain,
        append_ends,
        check_ends,
        [part.stream for part in parts],
        [part.expected for part in parts],
        event_ends,
        [part.catalogue for part in parts],
        numbers,
        ["s" for _ in events],
        [f"w{number}" for number in numbers],
        [None if number % 2 else "trace" for number in numbers],
        *columns(events),
        [stream for stream, _ in checks],
        [expected for _, expected in checks],
    ]


async def answers(connection: Any, function: str, arguments: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows that a function answers, in order of their numbers."""
    places = [f"${n}" for n in range(1, len(arguments) + 1)]
    times = next(n for n, a in enumerate(arguments) if _are_times(a, arguments))
    places[times] += "::text[]::timestamptz[]"
    rows = await connection.fetch(f"SELECT * FROM {function}({', '.join(places)})", *arguments)
    found = [dict(row) for row in rows]
    return sorted(found, key=lambda row: (row.get("append_number") or 99, row.get("check_number")))


def _are_times(argument: Any, arguments: Sequence[Any]) -> bool:
    # Behind the ends of the tags in both functions.
    return argument is arguments[9 if isinstance(arguments[0], str) else 17]


async def test_all_versions_decide_and_store_the_same(database_url: str) -> None:
    seed = random.randrange(10**9)
    source = Source(seed)
    schemas = [f"test_{uuid.uuid4().hex}" for _ in range(3)]
    for schema in schemas:
        database = Database(database_url, schema)
        await database.open()
        await database.close()
    connection = await asyncpg.connect(database_url)
    outcomes: set[tuple[str, str | None]] = set()
    try:
        for step in range(500):
            if source.choose.random() < 0.5:
                name, arguments = "append_batch", batch(*source.call())
            else:
                name, arguments = "append", one(source.part(source.choose.choice(STREAMS)))
            got = []
            for version, schema in enumerate(schemas, start=1):
                # The function for marked events has no sister for batches.
                known = version if name == "append" else min(version, 2)
                marks = [None, None] if known == 3 else []
                function = f"{schema}.{name}_v{known}"
                got.append(await answers(connection, function, arguments + marks))
            for rows, schema in zip(got, schemas, strict=True):
                await _compare_times(connection, schema, rows)
            assert got[0] == got[1] == got[2], f"seed {seed}, step {step}"
            outcomes.update((row["outcome"], row["problem"]) for row in got[0])
            if step % 100 == 99:
                await _end_a_stream(connection, schemas, STREAMS[step // 100], step // 100)
                source.catalogue += 1
            for sql in (EVENTS, STREAM_ROWS, COUNTER) if step % 20 == 19 else ():
                tables = [await connection.fetch(sql.replace("{s}", schema)) for schema in schemas]
                assert tables[0] == tables[1] == tables[2], f"seed {seed}, step {step}"
    finally:
        await connection.close()
    assert {outcome for outcome, _ in outcomes} == {
        "append", "duplicate", "conflict", "closed", "deleted", "reused", "stale"
    }  # fmt: skip
    assert {problem for _, problem in outcomes} == {
        None, "not_stored", "other_stream", "other_order", "other_content"
    }  # fmt: skip


async def _compare_times(connection: Any, schema: str, rows: list[dict[str, Any]]) -> None:
    """Compares each answered time with that of the event, and leaves out what is of the clock."""
    for row in rows:
        if (recorded_at := row["recorded_at"]) is not None:
            position = row["first_position"] or row["positions"][0]
            assert recorded_at == await connection.fetchval(
                f"SELECT recorded_at FROM {schema}.events WHERE position = $1", position
            )
            row["recorded_at"] = "known"


async def _end_a_stream(connection: Any, schemas: Sequence[str], stream: str, number: int) -> None:
    """Closes or deletes a stream, and moves the rules on, in both schemas."""
    for schema in schemas:
        await connection.execute(
            f"UPDATE {schema}.streams SET lifecycle = {2 + number % 2},"
            f" successor = {'NULL' if number % 2 else chr(39) + 's-next' + chr(39)}"
            f" WHERE name = '{stream}';"
            f"UPDATE {schema}.counter SET catalogue_version = catalogue_version + 1"
        )


async def test_marks_are_stored_and_an_event_is_cancelled_once(database_url: str) -> None:
    schema = f"test_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    await database.close()
    connection = await asyncpg.connect(database_url)
    source = Source(7)
    events = [source._event() for _ in range(4)]
    cancelled, other = events[0].id, uuid.UUID(int=5)

    async def append(events: list[Event], cancels: Any, copied_from: Any) -> str:
        arguments = one(Part("s-1", ANY, 1, events))
        rows = await answers(connection, f"{schema}.append_v3", [*arguments, cancels, copied_from])
        return str(rows[0]["outcome"])

    try:
        assert await append(events[:1], None, None) == "append"
        marked = await append(events[1:3], [None, cancelled], [other, None])
        assert marked == "append"
        with pytest.raises(asyncpg.UniqueViolationError, match="events_cancels"):
            await append(events[3:], [cancelled], None)
        rows = await connection.fetch(
            f"SELECT cancels, copied_from FROM {schema}.events ORDER BY position"
        )
        assert [tuple(row) for row in rows] == [(None, None), (None, other), (cancelled, None)]
        # The refused one left nothing behind.
        assert await connection.fetchval(f"SELECT position FROM {schema}.counter") == 3
    finally:
        await connection.close()


async def test_the_columns_of_an_append_are_what_the_writer_stores(database_url: str) -> None:
    """The same append by the writer, and by the function for marked events."""
    ids = ["0" * 8 + "-0000-4000-8000-" + "0" * 11 + str(n) for n in range(3)]
    request = pb.AppendRequest(stream="s-ö")
    request.expected_version.exact = 0
    request.events.add(id=ids[0], type="Tä", data=b'{"a":1}', tags=["z", "a", "z"])
    request.events.add(id=ids[1], type="U", data=b'{"\\u0061":2}', metadata=b'{"m":0}')
    request.events[1].occurred_at.FromDatetime(datetime(1, 1, 1, tzinfo=UTC))
    request.events.add(id=ids[2], type="V", data=b"{}", tags=["b"])
    request.events[2].occurred_at.FromDatetime(datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC))
    message = request.SerializeToString()
    connection = await asyncpg.connect(database_url)
    stored = []
    try:
        for by_writer in (True, False):
            async with opened(database_url, f"test_{uuid.uuid4().hex}") as store:
                append = _core.Append.of_request(message, "me", "trace", store.catalogue.rules)
                if by_writer:
                    await store.writer.store(append)
                else:
                    arguments = [*append.columns, None, None]
                    await answers(connection, f"{store.schema}.append_v3", arguments)
                # As texts: the driver's calendar is shorter.
                events = EVENTS.replace("e.occurred_at END", "e.occurred_at::text END")
                rows = await connection.fetch(events.replace("{s}", store.schema))
                streams = await connection.fetch(STREAM_ROWS.replace("{s}", store.schema))
                stored.append((rows, streams))
    finally:
        await connection.close()
    assert len(stored[0][0]) == 3
    assert stored[0] == stored[1]
