"""Events by the thousand, written past the server, and a plain recount of them by type."""

from __future__ import annotations

from typing import Any

import psycopg
from tests.support.database import connected

_STREAM = """
INSERT INTO {schema}.streams (name, category, version, root, created_at)
VALUES ('filled-{head}', 'filled', {count}, 'filled-{head}', now()) RETURNING stream_no
"""
# Types and writers come round at different speeds, and every 100th event has the mark of a
# violation.
_EVENTS = """
INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at, event_id,
                             flags, type, category, writer, data, metadata, sent_digest,
                             stored_digest)
SELECT {head} + n, {stream}, n, now(), now(), gen_random_uuid(),
       CASE n % 100 WHEN 0 THEN 17 ELSE 1 END, 'Filled' || n % 7, 'filled', 'writer' || n % 3,
       convert_to('{"n": ' || n || '}', 'UTF8'), '{}', sha256(''), sha256('')
  FROM generate_series(1, {count}) AS n
"""
_HEAD = "UPDATE {schema}.counter SET position = {head} + {count}"
_RECOUNT = """
SELECT type, count(*), count(*) FILTER (WHERE flags & 16 <> 0), min(position), max(position),
       min(recorded_at), max(recorded_at)
  FROM {schema}.events GROUP BY type ORDER BY type COLLATE "C"
"""
_RECOUNT_WRITERS = """
SELECT type, writer, count(*), max(recorded_at)
  FROM {schema}.events GROUP BY type, writer ORDER BY type COLLATE "C", 3 DESC, writer COLLATE "C"
"""

Rows = list[tuple[Any, ...]]


def fill(database_url: str, schema: object, count: int) -> None:
    """Writes so many events of 7 types and 3 writers, as one append."""
    names = {"schema": schema, "count": count}
    with psycopg.connect(database_url) as postgres:
        locked = f"SELECT position FROM {schema}.counter FOR UPDATE"
        names["head"] = _value(postgres.execute(locked))
        names["stream"] = _value(postgres.execute(_filled(_STREAM, names)))
        postgres.execute(_filled(_EVENTS, names))
        postgres.execute(_filled(_HEAD, names))


def _filled(sql: str, names: dict[str, object]) -> str:
    for name, value in names.items():
        sql = sql.replace("{" + name + "}", str(value))
    return sql


def _value(found: psycopg.Cursor[Any]) -> object:
    row = found.fetchone()
    assert row is not None
    return row[0]


def recount(database_url: str, schema: object) -> tuple[Rows, Rows]:
    """What the log holds by type, and by type and writer, in the order of the API."""
    with connected(database_url) as postgres:
        return tuple(
            postgres.execute(_filled(sql, {"schema": schema})).fetchall()
            for sql in (_RECOUNT, _RECOUNT_WRITERS)
        )  # type: ignore[return-value]
