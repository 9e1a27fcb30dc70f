"""Events that are stored past all rules, as by a server that knows of none."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from tests.support.database import connected

# No check was made of them.
_FLAGS = 0
_ANY = -2


def store_unruled(
    database_url: str, schema: str, stream: str, events: Sequence[tuple[str, bytes]]
) -> list[int]:
    """Appends events of types with data to a stream; their positions."""
    count = len(events)
    digests = [bytes(32)] * count
    statement = (
        f"SELECT a.outcome, a.positions, a.first_position FROM {schema}.counter c,"
        f" LATERAL {schema}.append_v2(%s, %s, %s, %s::uuid[], %s::text[], %s::bytea[], %s::bytea[],"
        " ARRAY[]::text[], %s::integer[], %s::timestamptz[], %s::integer[], %s::bytea[],"
        " %s::bytea[], 'me', NULL, c.catalogue_version) a"
    )
    arguments = (
        stream,
        stream.partition("-")[0],
        _ANY,
        [uuid.uuid4() for _ in events],
        [event_type for event_type, _ in events],
        [data for _, data in events],
        [b"{}"] * count,
        [0] * count,
        [None] * count,
        [_FLAGS] * count,
        digests,
        digests,
    )
    with connected(database_url) as connection:
        [row] = connection.execute(statement, arguments).fetchall()
    outcome, positions, first = row
    assert outcome == "append", row
    return positions or list(range(first, first + count))
