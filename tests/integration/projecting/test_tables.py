"""Goal: what a document says becomes a table that PostgreSQL fills exactly, whoever is in between,
and in bounded memory.

Method: a document with a column of each type, names that mean something in SQL, states of many
sizes; directly, behind PgBouncer in transaction mode, and with the memory of the process watched.
"""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.database import connected
from tests.support.pgbouncer import pgbouncer, program
from tests.support.projections import (
    BY_OWNER,
    PARKS,
    Event,
    Log,
    Model,
    contents,
    make_generation,
    step_aside,
    store_events,
    values,
)

from eventfold import _core
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_table import ProjectionTable, table_name
from eventfold_server.storage.projector import Projector

EVERYTHING = """
projection: everything
source: {category: Thing}
initial: {}
handlers:
  Set: {".": "event"}
columns:
  select: text
  "table": boolean
  order: integer
  user: bigint
  exact: numeric
  price: numeric(10,2)
  ratio: double precision
  day: date
  moment: timestamptz
  id: uuid
  json: jsonb
  tags: text[]
indexes: [[select, order], ["table"], [tags]]
"""
LARGE = """
projection: large
source: {category: Thing}
initial: {}
handlers:
  Set: {text: "event.text", n: "event.n"}
columns:
  n: integer
"""


def things(data: list[dict[str, Any]], first: int = 1, streams: int = 10**6) -> list[Event]:
    """Events of the category, each of a stream of its own unless there are fewer."""
    events = []
    for position, fields in enumerate(data, first):
        name = f"Thing-{(position - 1) % streams}"
        version = (position - 1) // streams + 1
        events.append(Event(position, name, name, version, "Set", fields, uuid.uuid4()))
    return events


async def test_values_of_each_type(
    database: Database, database_url: str, projector: Projector
) -> None:
    """Texts that mean something to arrays, JSON or SQL come back as they were; so do the ends of
    ranges, and nothing at all.
    """
    texts = [
        "",
        "NULL",
        "null",
        "{}",
        '"',
        "\\",
        "a,b",
        "'; DROP TABLE x; --",
        "ü\u0301\U0001f600",
        "\n",
    ]
    data: list[dict[str, Any]] = [
        {
            "select": text,
            "table": index % 2 == 0,
            "order": [2**31 - 1, -(2**31)][index % 2],
            "user": [2**63 - 1, -(2**63)][index % 2],
            "exact": index / 4,
            "price": 99999999.25,
            "ratio": 0.1,
            "day": "2024-02-29",
            "moment": "2024-02-29T23:59:59.123456Z",
            "id": "6f1e1c0e-0000-4000-8000-00000000000a",
            "json": {"a": [text, None, True]},
            "tags": texts[: index + 1],
        }
        for index, text in enumerate(texts)
    ]
    data.append({})
    store_events(database_url, database.queries.schema, things(data))
    generation_no, lease = make_generation(database, database_url, EVERYTHING)
    worker = projector.worker(generation_no, lease, _core.Projection(EVERYTHING))
    step = await worker.step(len(data))
    assert step.done, step
    found = {row[0]: row[5:] for row in contents(database, database_url, generation_no).rows}
    for index, fields in enumerate(data[:-1]):
        assert found[f"Thing-{index}"] == (
            fields["select"],
            fields["table"],
            fields["order"],
            fields["user"],
            Decimal(str(fields["exact"])),
            Decimal("99999999.25"),
            0.1,
            date(2024, 2, 29),
            datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
            uuid.UUID(fields["id"]),
            fields["json"],
            fields["tags"],
        )
    assert found[f"Thing-{len(data) - 1}"] == (None,) * 12
    with connected(database_url) as connection:
        indexes = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = %s AND schemaname = %s"
            " ORDER BY indexname",
            (f"projection_{generation_no}", database.queries.schema),
        ).fetchall()
    assert [("WHERE _shown" in one[0]) for one in indexes] == [True, True, True, False]
    assert 'btree ("select", "order") WHERE _shown' in indexes[0][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order", 2**31),
        ("price", 0.125),
        ("price", 10**8),
        ("day", "2024-02-30"),
        ("id", "6f1e"),
        ("select", "a\0b"),
        ("tags", [1]),
        ("table", "true"),
    ],
)
async def test_a_value_that_does_not_fit(
    database: Database, database_url: str, projector: Projector, field: str, value: object
) -> None:
    """The column, the row and the event are named; the row stays as it was."""
    fits = {"order": 1, "select": "a"}
    events = things([fits, {**fits, field: value}, fits], streams=1)
    store_events(database_url, database.queries.schema, events)
    source = EVERYTHING + PARKS
    generation_no, lease = make_generation(database, database_url, source)
    step = await projector.worker(generation_no, lease, _core.Projection(source)).step(3)
    assert (step.parked, step.position, step.done) == (1, 3, True)
    found = contents(database, database_url, generation_no)
    assert found.parked == {"Thing-0": ("PROJECTION_FAILED", f"columns.{field}", "2")}
    assert found.lists == {"Thing-0": [2, 3]}
    assert [(row[0], json.loads(row[1]), row[3]) for row in found.rows] == [("Thing-0", fits, 1)]


def test_statements_quote_what_a_document_says(database: Database) -> None:
    """No name of a column gets into a statement but between quotes."""
    document = _core.Projection(EVERYTHING)
    table = ProjectionTable(database.queries, 7, document)
    name = table_name(database.queries.schema, 7)
    assert name == table.name == f'"{database.queries.schema}"."projection_7"'
    for statement in [*table.create(), table.upsert, table.rows, table.delete, table.drop()]:
        assert "{" not in statement
        assert name in statement
        unquoted = "".join(statement.split('"')[::2])
        assert "user" not in unquoted
        assert "moment" not in unquoted


@pytest.mark.skipif(program() is None, reason="there is no pgbouncer on this machine")
async def test_behind_a_pooler(database: Database, database_url: str, folder: Path) -> None:
    """Sessions change hands after each transaction, and two workers share them."""
    log, model = Log(random.Random(1), failing=0.02), Model(BY_OWNER + PARKS)
    events = log.grow(3_000)
    store_events(database_url, database.queries.schema, events)
    model.feed(events)
    with pgbouncer(folder, database_url) as url:
        pooled = Database(url, database.queries.schema, direct_dsn=database_url)
        projector = Projector(pooled, Catalogue(database))
        for _ in range(2):
            source = BY_OWNER + PARKS
            generation_no, lease = make_generation(database, database_url, source)
            document = _core.Projection(source)
            worker = projector.worker(generation_no, lease, document, batch_events=300)
            while not (step := await worker.step(3_000)).done:
                assert not step.fenced
            found = contents(database, database_url, generation_no)
            assert values(found.rows) == model.rows()
            assert found.lists == model.lists
        await projector.close()


async def test_memory_is_bounded(database: Database, database_url: str) -> None:
    """Rows of 600 MB go through a process that grows by far less, twice: when they are made, and
    when a later process must load them again.
    """
    count, bytes_each = 600, 500_000
    schema = database.queries.schema
    rng = random.Random(2)
    for first in range(1, 2 * count, 100):
        data = [{"text": rng.choice("abc") * bytes_each, "n": n} for n in range(100)]
        store_events(database_url, schema, things(data, first, streams=count))
    generation_no, lease = make_generation(database, database_url, LARGE)
    grown = []
    for head in (count, 2 * count):
        grown.append(await step_aside(database, database_url, generation_no, lease, LARGE, head))
    assert len(contents(database, database_url, generation_no).rows) == count
    assert 0 < max(grown) < 250_000_000, grown
