"""What tests do to the PostgreSQL behind a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg


@contextmanager
def connected(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that commits each statement."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@contextmanager
def appends_held(database_url: str, schema: object) -> Iterator[None]:
    """Holds the counter row of a store: no append gets on meanwhile."""
    with psycopg.connect(database_url) as connection:
        connection.execute(f"SELECT FROM {schema}.counter FOR UPDATE")
        yield


def appends_waiting(database_url: str) -> int:
    """How many statements of servers wait for a lock."""
    with connected(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'eventfold' AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


# An event is never deleted, save by who takes the triggers away.
_CUTTING = """
ALTER TABLE {schema}.events DISABLE TRIGGER USER;
DELETE FROM {schema}.events WHERE position > {position};
ALTER TABLE {schema}.events ENABLE TRIGGER USER;
DELETE FROM {schema}.streams s
 WHERE NOT EXISTS (SELECT FROM {schema}.events e WHERE e.stream_no = s.stream_no);
UPDATE {schema}.streams s
   SET version = (SELECT count(*) FROM {schema}.events e WHERE e.stream_no = s.stream_no);
UPDATE {schema}.counter SET position = {position};
"""


def cut_tail(database_url: str, schema: object, position: int) -> None:
    """Takes the events behind a position off a log, as a fail-over does that lost them."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_CUTTING.format(schema=schema, position=position))


def postmaster_pid(data_dir: Path) -> int:
    """Process id of an embedded PostgreSQL."""
    return int((data_dir / "cluster/postmaster.pid").read_text().splitlines()[0])
