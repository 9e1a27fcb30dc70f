"""Events written past the server, with whatever a column may hold."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from tests.support.database import connected

COLUMNS = (
    "position, stream_no, version, recorded_at, occurred_at, event_id, flags, type, category,"
    " writer, data, metadata, tags, sent_digest, stored_digest, trace_context, copied_from,"
    " cancels, deleted_at"
)
START = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)


def random_rows(
    rng: random.Random, streams: int, events: int, data_bytes_max: int, *, deleted: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """Rows of streams `S-0` and so on, their events mixed in the log, some of them deleted."""
    names = [f"S-{n}" for n in range(streams)]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for position in range(1, events + 1):
        # Every stream has an event.
        name = names[position - 1] if position <= streams else rng.choice(names)
        is_deleted = deleted and rng.random() < 0.05
        filler = "é" * rng.randint(0, data_bytes_max // 2)
        rows[name].append(
            {
                "position": position,
                "stream_no": names.index(name) + 1,
                "version": len(rows[name]) + 1,
                "recorded_at": START + timedelta(microseconds=position * 7),
                "occurred_at": START - timedelta(microseconds=rng.randint(0, 10**12)),
                "event_id": uuid.UUID(int=rng.getrandbits(128)),
                "flags": rng.choice([0, 1, 3]),
                "type": rng.choice(["A", "B", "Ü-type"]),
                "category": "S",
                "writer": rng.choice(["anonymous", "wörker"]),
                "data": b"" if is_deleted else f'{{"n":{position},"s":"{filler}"}}'.encode(),
                "metadata": b"" if is_deleted else rng.choice([b"{}", b'{"causation_id":"x"}']),
                "tags": rng.choice([None, ["a"], ["a", "b,c", "ß"]]),
                "sent_digest": bytes(32),
                "stored_digest": bytes(32),
                "trace_context": rng.choice([None, "00-" + "a" * 32 + "-" + "b" * 16 + "-01"]),
                "copied_from": rng.choice([None, uuid.UUID(int=rng.getrandbits(128))]),
                "cancels": rng.choice([None, uuid.UUID(int=rng.getrandbits(128))]),
                "deleted_at": START if is_deleted else None,
            }
        )
    return rows


def delete_payloads(database_url: str, schema: object, ids: Iterable[str | uuid.UUID]) -> None:
    """Takes the payloads of events away, as the trigger allows it."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL eventfold.deleting = 'on'")
        connection.execute(
            f"UPDATE {schema}.events SET data = '', metadata = '', tags = NULL,"
            " deleted_at = clock_timestamp() WHERE event_id = ANY (%s::uuid[])",
            [[str(event_id) for event_id in ids]],
        )


def store_rows(database_url: str, schema: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Writes them, with their streams and the head of the log."""
    names = COLUMNS.replace(" ", "").split(",")
    places = ", ".join(f"%({name})s" for name in names)
    everything = sorted(
        (row for part in rows.values() for row in part), key=lambda row: int(row["position"])
    )
    with connected(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        for number, (name, part) in enumerate(rows.items(), 1):
            cursor.execute(
                f"INSERT INTO {schema}.streams (stream_no, name, category, version, root,"
                " created_at) OVERRIDING SYSTEM VALUE VALUES (%s, %s, 'S', %s, %s, now())",
                (number, name, len(part), name),
            )
        cursor.executemany(f"INSERT INTO {schema}.events ({COLUMNS}) VALUES ({places})", everything)
        cursor.execute(f"UPDATE {schema}.counter SET position = %s", (len(everything),))
        cursor.execute("COMMIT")
