"""A server whose store the tests of references share; they use streams of their own."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import psycopg
import pytest
from tests.support import mappings
from tests.support.rows import delete_payloads
from tests.support.servers import RunningServer

import eventfold


@pytest.fixture
def client(server: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(server.address, timeout=60) as opened:
        yield opened


class Table:
    """The tables of a store, past all servers."""

    def __init__(self, url: str, schema: object) -> None:
        self._url, self._schema, self._events = url, schema, f"{schema}.events"

    def delete(self, *ids: str) -> None:
        """Takes the payloads of events away, as the trigger allows it."""
        delete_payloads(self._url, self._schema, ids)

    def demand(self, event_type: str) -> None:
        """Demands of a type that what its events refer to is there."""
        with psycopg.connect(self._url) as connection:
            connection.execute(f"SELECT {self._schema}.catalogue_changed_v1()")
            connection.execute(
                f"INSERT INTO {self._schema}.event_types (type, refs_mode, put_by)"
                " VALUES (%s, 2, 'test')",
                [event_type],
            )

    async def put_mapping(self, event_type: str, source: str) -> None:
        """Puts a mapping in force."""
        connection = await asyncpg.connect(self._url)
        try:
            await mappings.put_mapping(connection, str(self._schema), event_type, source)
        finally:
            await connection.close()

    def rewrite(self, event_id: str, metadata: bytes, flags: int) -> None:
        """Changes an event behind the back of the triggers."""
        with psycopg.connect(self._url) as connection:
            connection.execute(f"ALTER TABLE {self._events} DISABLE TRIGGER USER")
            connection.execute(
                f"UPDATE {self._events} SET metadata = %s, flags = %s WHERE event_id = %s",
                [metadata, flags, event_id],
            )
            connection.execute(f"ALTER TABLE {self._events} ENABLE TRIGGER USER")


@pytest.fixture
def table(database_url: str, server: RunningServer) -> Table:
    return Table(database_url, server.options["schema"])
