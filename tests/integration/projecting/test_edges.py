"""Goal: what the core writes for a column is what PostgreSQL reads, at the edges of each type.

Method: the core makes the text of a column from one event; PostgreSQL casts it, and gives it back.
Values that fill an index to its limit are inserted under one, and cannot be compressed.
"""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest
from tests.support.database import connected
from tests.support.pages import OIDS, array

from eventfold import _core

INDEX_BYTES_MAX = _core.limits()["projection_index_bytes_max"]
NUMBER_CHARS_MAX = _core.limits()["projection_number_chars_max"]

# The type, JSON of the value, and what PostgreSQL says of it.
EDGES: list[tuple[str, str, str]] = [
    ("text", '"\\u0001\\"\'\\\\"', "\x01\"'\\"),
    ("integer", "-2147483648", "-2147483648"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("bigint", "1e18", "1000000000000000000"),
    ("numeric", "1e131071", "1" + "0" * 131_071),
    ("numeric", "1e-16383", "0." + "0" * 16_382 + "1"),
    ("numeric", "7" * NUMBER_CHARS_MAX, "7" * NUMBER_CHARS_MAX),
    ("numeric", "1.10", "1.10"),
    ("numeric", "-0.0", "0.0"),
    ("numeric(5,2)", "999.9900", "999.99"),
    ("numeric(5,2)", "-99999e-2", "-999.99"),
    ("numeric(1000,1000)", "0." + "9" * 1000, "0." + "9" * 1000),
    ("double precision", "1.7976931348623157e308", "1.7976931348623157e+308"),
    ("double precision", "5e-324", "5e-324"),
    ("double precision", "-0.0", "0"),
    ("date", '"0001-01-01"', "0001-01-01"),
    ("date", '"9999-12-31T00:00:00Z"', "9999-12-31"),
    ("timestamptz", '"0001-01-01T00:00:00Z"', "0001-01-01 00:00:00+00"),
    ("timestamptz", '"9999-12-31T23:59:59.999999Z"', "9999-12-31 23:59:59.999999+00"),
    ("timestamptz", '"2000-01-01T00:00:00.10+01:00"', "1999-12-31 23:00:00.1+00"),
    ("uuid", '"F47AC10B-58CC-4372-A567-0E02B2C3D479"', "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    (
        "text[]",
        '["NULL","a\\"b","\\\\",""," x ","{}",","]',
        r'{"NULL","a\"b","\\",""," x ","{}",","}',
    ),
    ("text[]", "[]", "{}"),
    ("jsonb", '"\\u0001"', '"\\u0001"'),
    ("jsonb", "[1e-5,1.50,{}]", "[0.00001, 1.50, {}]"),
    ("jsonb", "1e131071", "1" + "0" * 131_071),
    ("jsonb", "[" * 63 + "]" * 63, "[" * 63 + "]" * 63),
]


def page(data: str) -> _core.Batch:
    number = struct.pack(">q", 1)
    cells = {
        0: b"Thing-1",
        1: number,
        2: number,
        3: bytes(16),
        4: b"Set",
        5: data.encode(),
        8: number,
        10: b"me",
        11: struct.pack(">i", 1),
    }
    return _core.Batch(
        [array(oid, [cells[at]]) if at in cells else None for at, oid in enumerate(OIDS)]
    )


def columns(document: dict[str, Any], data: str) -> list[str | None]:
    """What the core writes for the row of one event."""
    table = _core.ProjectedTable(_core.Projection(json.dumps(document)))
    table.feed(page(data))
    assert table.stopped is None, table.stopped
    return table.rows[0][5]


@pytest.mark.parametrize(("kind", "value", "expected"), EDGES)
def test_the_edges_of_each_type(database_url: str, kind: str, value: str, expected: str) -> None:
    document = {
        "projection": "p",
        "handlers": {"Set": {"v": "event.v"}},
        "columns": {"v": kind},
    }
    (text,) = columns(document, f'{{"v":{value}}}')
    with connected(database_url) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT (%s::text::{kind})::text", [text]).fetchone()
    assert found is not None
    assert found[0] == expected


def test_an_index_has_room_for_what_the_core_lets_through(database_url: str) -> None:
    """As many bytes as fit, in one column of each type whose values have any length."""
    draw = random.Random(7)
    characters = [chr(code) for code in (*range(0x21, 0x7F), *range(0x400, 0x4FF))]
    document = {
        "projection": "p",
        "handlers": {"Set": {"v": "event.v"}},
        "columns": {"v": "text"},
        "indexes": [["v"]],
    }

    def fitting(kind: str, make: Any) -> str:
        document["columns"] = {"v": kind}
        projection = _core.Projection(json.dumps(document))
        best, low, high = "", 1, INDEX_BYTES_MAX * 2
        while low < high:
            middle = (low + high) // 2
            table = _core.ProjectedTable(projection)
            table.feed(page(f'{{"v":{make(middle)}}}'))
            if table.stopped is None:
                best, low = str(table.rows[0][5][0]), middle + 1
            else:
                assert table.stopped.facts["limit"] == str(INDEX_BYTES_MAX)
                high = middle
        return best

    text = "".join(draw.choice(characters) for _ in range(INDEX_BYTES_MAX * 2))
    digits = "".join(draw.choice("123456789") for _ in range(INDEX_BYTES_MAX * 2))
    for kind, make in [
        ("text", lambda length: json.dumps(text[:length])),
        ("numeric", lambda length: digits[:length]),
        ("text[]", lambda length: json.dumps(list(text[:length]))),
        ("text[]", lambda length: json.dumps([text[:length]])),
    ]:
        value = fitting(kind, make)
        assert len(value.encode()) > INDEX_BYTES_MAX // 5
        collation = ' COLLATE "C"' if "text" in kind else ""
        with connected(database_url) as connection:
            connection.execute(f"CREATE TEMP TABLE t (v {kind}{collation})")
            connection.execute("CREATE INDEX ON t (v)")
            connection.execute(f"INSERT INTO t VALUES (%s::text::{kind})", [value])
            stored = connection.execute("SELECT count(*) FROM t").fetchone()
        assert stored == (1,)
