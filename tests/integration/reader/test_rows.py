"""Goal: what the reader makes of rows is what is stored, whatever columns hold, and however rows
are cut into pages and statements.

Method: random rows written past the server, read through the reader, and compared with what plain
SQL says of them through another driver.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.rows import random_rows, store_rows

from eventfold import _core
from eventfold.v1 import event_store_pb2 as pb
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import LogStorage, Span
from eventfold_server.storage.views import View

Rows = dict[str, list[dict[str, Any]]]
SIZES = [(40, 2_000), (3_000, 60), (25_000, 0)]
# What reads go by where no mapping is in force.
UNMAPPED = _core.ReadRules(1, [])


def as_stored(event: Any) -> dict[str, Any]:
    """A message as the row that it came from."""

    def time(stamp: Any) -> datetime:
        return stamp.ToDatetime(tzinfo=UTC)

    return {
        "stream": event.stream,
        "position": event.position,
        "version": event.version,
        "recorded_at": time(event.recorded_at),
        "occurred_at": time(event.occurred_at),
        "event_id": event.id,
        "flags": event.flags,
        "type": event.type,
        "writer": event.writer,
        "data": event.data,
        "metadata": event.metadata,
        "tags": list(event.tags),
        "trace_context": event.trace_context,
        "copied_from": event.copied_from,
        "cancels": event.cancels,
        "deleted": event.deleted,
    }


def expected(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The same of a row."""
    return {
        "stream": name,
        **{key: row[key] for key in ("position", "version", "recorded_at", "occurred_at")},
        **{key: row[key] for key in ("flags", "type", "writer", "data", "metadata")},
        "event_id": str(row["event_id"]),
        "tags": row["tags"] or [],
        "trace_context": row["trace_context"] or "",
        "copied_from": str(row["copied_from"] or ""),
        "cancels": str(row["cancels"] or ""),
        "deleted": row["deleted_at"] is not None,
    }


async def events_of(pages: AsyncIterator[_core.Page]) -> list[dict[str, Any]]:
    """All events; checks what pages say of themselves."""
    found = []
    done = False
    async for page in pages:
        assert not done
        done = page.done
        events = pb.ReadResponse.FromString(page.encoded or b"").events
        assert len(events) == page.rows
        assert page.rows or done
        if events:
            assert page.last_version == events[-1].version
            assert page.last_position == events[-1].position
        found += [as_stored(event) for event in events]
    assert done
    return found


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}-events")
async def stored(request: Any, database: Database, database_url: str) -> tuple[LogStorage, Rows]:
    events, data_bytes_max = request.param
    rows = random_rows(random.Random(events), 5, events, data_bytes_max)
    store_rows(database_url, database.queries.schema, rows)
    return LogStorage(database, Catalogue(database)), rows


async def test_streams(stored: tuple[LogStorage, Rows]) -> None:
    """Each stream, forwards and backwards, whole and in part, with and without a limit."""
    log, rows = stored
    for number, (name, part) in enumerate(rows.items(), 1):
        for backwards in (False, True):
            for lower, upper, limit, types in (
                (1, len(part), None, None),
                (1, 1 << 40, None, None),
                (3, len(part) - 1, 4, None),
                (2, len(part), None, ["B", "Ü-type"]),
                (5, 4, None, None),
            ):
                pages = log.stream_pages(
                    number,
                    lower,
                    upper,
                    stream=name,
                    types=types,
                    backwards=backwards,
                    limit=limit,
                )
                wanted = [
                    expected(name, row)
                    for row in part[:: -1 if backwards else 1]
                    if lower <= row["version"] <= upper and (types is None or row["type"] in types)
                ]
                assert await events_of(pages) == wanted[:limit]


async def test_the_log(stored: tuple[LogStorage, Rows]) -> None:
    """The log, with filters that find much and little, over windows and without."""
    log, rows = stored
    everything = sorted(
        (expected(name, row) for name, part in rows.items() for row in part),
        key=lambda row: int(row["position"]),
    )
    last = len(everything)
    for backwards in (False, True):
        for types, tags, window, limit in (
            (None, None, None, None),
            (["B"], None, 700, None),
            (["A"], ["b,c"], 97, 30),
            (["none"], None, 5_000, None),
        ):
            pages = log.log_pages(
                2,
                last,
                with_system=False,
                with_copies=True,
                categories=["S"] if types else None,
                types=types,
                tags=tags,
                backwards=backwards,
                limit=limit,
                window=window,
            )
            wanted = [
                row
                for row in everything[:: -1 if backwards else 1]
                if row["position"] >= 2
                and (types is None or row["type"] in types)
                and (tags is None or set(tags) <= set(row["tags"]))
            ]
            assert await events_of(pages) == wanted[:limit]


async def test_spans(stored: tuple[LogStorage, Rows]) -> None:
    """Spans of several streams come in their order, as batches that say what they hold."""
    log, rows = stored
    spans = [Span(n, 2, len(part)) for n, part in enumerate(rows.values(), 1) if len(part) > 1]
    spans.reverse()
    names = list(rows)
    wanted = [(names[s.stream_no - 1], v) for s in spans for v in range(s.lower, s.upper + 1)]
    found = []
    async for page in log.streams_batches(spans, UNMAPPED):
        assert page.batch is not None
        for name, first, end in page.batch.streams():
            found += [(name, page.batch.version(index)) for index in range(first, end)]
            assert page.batch.event_id(first) == str(
                rows[name][page.batch.version(first) - 1]["event_id"]
            )
    assert found == wanted


async def test_one_event(stored: tuple[LogStorage, Rows]) -> None:
    """An event by its id; none for an id that nobody has."""
    log, rows = stored
    row = rows["S-3"][-1]
    page = await log.event(row["event_id"], view=View(raw=True))
    assert page is not None
    [event] = pb.ReadResponse.FromString(page.encoded or b"").events
    assert as_stored(event) == expected("S-3", row)
    assert await log.event(type(row["event_id"])(int=1), view=View()) is None
