"""Tables of projections as PostgreSQL has them, held against a fold from scratch."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from tests.faults.project.documents import Document, LogEvent, Row, Table, of_text

_LOG = """
SELECT e.position, s.name, e.version, e.type, e.event_id::text, e.data
  FROM {schema}.events e JOIN {schema}.streams s USING (stream_no)
 WHERE e.position > %s ORDER BY e.position
"""
_GENERATIONS = """
SELECT p.name, g.generation, g.generation_no, g.state, g.source, r.position, r.events,
       p.active = g.generation_no AS active, r.stopped
  FROM {schema}.projection_generations g
  JOIN {schema}.projections p USING (projection_no)
  JOIN {schema}.projection_progress r USING (generation_no)
 ORDER BY p.name, g.generation
"""
_PARKED = """
SELECT k.key, e.position
  FROM {schema}.projection_parked_keys k
  LEFT JOIN {schema}.projection_parked_events e USING (generation_no, key)
 WHERE k.generation_no = %s ORDER BY k.key, e.position
"""
_TABLES = r"""
SELECT substring(c.relname FROM 12)::bigint
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relkind = 'r' AND c.relname ~ '^projection_[0-9]+$'
 ORDER BY 1
"""


@dataclass
class Generation:
    """A generation as the database has it."""

    name: str
    generation: int
    number: int
    state: int
    source: str
    position: int
    events: int
    active: bool
    stopped: Any
    table: Table

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.name} {self.generation} at {self.position}"


class Database:
    """The store behind the servers."""

    def __init__(self, url: str, schema: str) -> None:
        self.url = url
        self.schema = schema
        self._log: list[LogEvent] = []

    @contextmanager
    def snapshot(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction that sees one moment."""
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection

    def end_leases(self) -> None:
        """As if the time of all leases had passed. Not of those that are written just now, by
        whoever was stopped on the way; and not while PostgreSQL is restarted.
        """
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url) as connection:
            connection.execute(
                f"UPDATE {self.schema}.projection_progress"
                " SET lease_until = clock_timestamp() - interval '1 s' WHERE generation_no IN"
                f" (SELECT generation_no FROM {self.schema}.projection_progress"
                " FOR UPDATE SKIP LOCKED)"
            )

    def hold_leases(self, *, but: str = "") -> None:
        """As if another server had all generations, but those of one projection."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                f"UPDATE {self.schema}.projection_progress r"
                f" SET lease = nextval('{self.schema}.projection_numbers'),"
                " lease_until = CASE WHEN p.name = %s THEN NULL ELSE timestamptz 'infinity' END"
                f" FROM {self.schema}.projection_generations g"
                f" JOIN {self.schema}.projections p USING (projection_no)"
                " WHERE g.generation_no = r.generation_no",
                (but,),
            )

    def leases(self) -> list[int]:
        """The fencing tokens of all generations."""
        query = f"SELECT lease FROM {self.schema}.projection_progress ORDER BY generation_no"
        with psycopg.connect(self.url) as connection:
            return [row[0] for row in connection.execute(query)]

    def leased(self) -> int:
        """How many generations some server has to itself now."""
        query = (
            f"SELECT count(*) FROM {self.schema}.projection_progress"
            " WHERE lease_until > clock_timestamp()"
        )
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def log(self, connection: psycopg.Connection[Any] | None = None) -> list[LogEvent]:
        """The whole log; what was read once is not read again."""
        last = self._log[-1].position if self._log else 0
        query = _LOG.format(schema=self.schema)
        if connection is None:
            with psycopg.connect(self.url) as own:
                rows = own.execute(query, (last,)).fetchall()
        else:
            rows = connection.execute(query, (last,)).fetchall()
        for *facts, data in rows:
            decoded = json.loads(bytes(data), parse_float=Decimal)
            self._log.append(LogEvent(*facts, decoded))
        return self._log

    def generations(self) -> tuple[list[LogEvent], list[Generation]]:
        """The log and all generations with their tables, at one moment."""
        with self.snapshot() as connection:
            log = self.log(connection)
            rows = connection.execute(_GENERATIONS.format(schema=self.schema)).fetchall()
            return log, [self._generation(connection, row) for row in rows]

    def _generation(self, connection: psycopg.Connection[Any], row: Any) -> Generation:
        name, generation, number, state, source, position, events, active, stopped = row
        document = of_text(source)
        table = Table(self._rows(connection, number, document.columns), events=events)
        for key, parked in connection.execute(_PARKED.format(schema=self.schema), (number,)):
            table.parked.setdefault(key, [])
            if parked is not None:
                table.parked[key].append(parked)
        return Generation(
            name, generation, number, state, source, position, events, bool(active), stopped, table
        )

    def _rows(
        self, connection: psycopg.Connection[Any], number: int, columns: tuple[str, ...]
    ) -> dict[str, Row]:
        chosen = ", ".join(f'"{name}"::text' for name in columns)
        query = (
            f"SELECT key, _state, _shown, version, position, {chosen}"
            f" FROM {self.schema}.projection_{number}"
        )
        return {
            key: Row(bytes(state), shown, version, position, tuple(values))
            for key, state, shown, version, position, *values in connection.execute(query)
        }

    def leftovers(self) -> list[int]:
        """Tables without a generation, and generations without a table."""
        with self.snapshot() as connection:
            tables = {row[0] for row in connection.execute(_TABLES, (self.schema,))}
            query = f"SELECT generation_no FROM {self.schema}.projection_generations"
            return sorted(tables ^ {row[0] for row in connection.execute(query)})

    def view(self, name: str, columns: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
        """What a reader by SQL sees: version, position and columns by key."""
        chosen = ", ".join(f'"{column}"::text' for column in columns)
        query = f'SELECT key, version, position, {chosen} FROM "{self.schema}_query"."{name}"'
        with psycopg.connect(self.url) as connection:
            return {key: tuple(rest) for key, *rest in connection.execute(query)}


def differences(log: list[LogEvent], found: Generation) -> list[str]:
    """What is not as a fold from scratch says, up to the generation's own position."""
    document = of_text(found.source)
    begun = {key: positions[0] for key, positions in found.table.parked.items() if positions}
    faults = [
        f"{found.title}: {key} is parked without an event"
        for key, positions in found.table.parked.items()
        if not positions
    ]
    for key, position in begun.items():
        if document.parks and not _mended(document) and not document.fails(log[position - 1]):
            faults.append(f"{found.title}: {key} is parked at {position}, which does not fail")
    expected = document.fold(log[: found.position], begun)
    if expected.failed:
        faults.append(f"{found.title}: the events at {expected.failed} cannot have been folded")
    for what in ("parked", "events"):
        ours, theirs = getattr(expected, what), getattr(found.table, what)
        if ours != theirs:
            faults.append(f"{found.title}: {what} are {theirs!r}, but should be {ours!r}")
    for key in sorted(expected.rows.keys() | found.table.rows.keys()):
        ours, theirs = expected.rows.get(key), found.table.rows.get(key)
        if ours != theirs:
            faults.append(f"{found.title}: {key} is {theirs!r}, but should be {ours!r}")
    return faults


def _mended(document: Document) -> bool:
    return re.search(r"has\(event", document.text) is not None


def check(database: Database, *, at_head: bool = False) -> list[Generation]:
    """All tables equal a fold from scratch; one that stopped did so at an event that fails."""
    log, generations = database.generations()
    faults = [fault for one in generations for fault in differences(log, one)]
    for one in generations:
        if one.stopped is not None:
            document = of_text(one.source)
            if document.parks or not document.fails(log[one.position]):
                faults.append(f"{one.title} stopped: {one.stopped}")
        elif at_head and one.position < len(log):
            faults.append(f"{one.title}: the head is {len(log)}")
    assert faults == [], "\n".join(faults[:10])
    return generations


def check_views(database: Database) -> None:
    """Once nothing moves: the views have the rows of the active generations that are shown."""
    _, generations = database.generations()
    for one in generations:
        if one.active:
            document: Document = of_text(one.source)
            shown = {
                key: (row.version, row.position, *row.columns)
                for key, row in one.table.rows.items()
                if row.shown
            }
            assert database.view(one.name, document.columns) == shown, one.title
