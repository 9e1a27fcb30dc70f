"""Goal: a read that begins in one round trip gives the events, the end and the resume token that it
would give step by step, and never an event beyond the stream that it found.

Method: random rows written past the server; random reads in both directions, with bounds beyond the
stream, filters and limits, compared with what follows from the rows; a head that lags behind the
events, as if some had come in between two statements of the one trip.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.rows import random_rows, store_rows

from eventfold.v1 import event_store_pb2 as pb
from eventfold_server.domain.read import ReadEnd, Reader, StreamRead
from eventfold_server.domain.tokens import make_token
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.log import LogStorage

EVENTS = 3_000
# The last one is longer than one statement reads.
SIZES = [(EVENTS, 5, 60), (60, 5, 300_000), (25_000, 1, 0)]
LAGS = 3


async def frames(reader: Reader, read: StreamRead) -> tuple[list[Any], ReadEnd]:
    events: list[Any] = []
    async for encoded, end, *_ in reader.stream(read):
        events += pb.ReadResponse.FromString(encoded).events
        if end is not None:
            return events, end
    raise AssertionError("no end")


def wanted(read: StreamRead, rows: Sequence[dict[str, Any]]) -> tuple[list[int], int, bool]:
    """Versions of the events, the version up to which the stream was looked at, and whether that is
    the end of what was asked for.
    """
    head = len(rows)
    if read.backwards:
        first = min(read.from_version or head, head)
        last = min(read.to_version or 1, head)
        versions = list(range(first, last - 1, -1))
        looked_at = versions[-1] if versions else min(first + 1, head)
    else:
        first, last = read.from_version or 1, min(read.to_version or head, head)
        versions = list(range(first, last + 1))
        looked_at = versions[-1] if versions else min(first - 1, head)
    found = [v for v in versions if read.types is None or rows[v - 1]["type"] in read.types]
    if not read.limit or len(found) < read.limit:
        return found, looked_at, True
    found = found[: read.limit]
    return found, found[-1], found[-1] == looked_at


def reads(name: str, head: int, choose: random.Random) -> list[StreamRead]:
    bounds = [None, 1, 2, max(1, head // 2), head, head + 1]
    made = []
    for backwards, first, last in itertools.product((False, True), bounds, [*bounds, head + 9]):
        for limit in (0, choose.choice((1, 2, 7, 10**9))):
            types = choose.choice((None, None, ["B"], ["none"], ["A", "B", "Ü-type"]))
            made.append(StreamRead(name, backwards, first, last, limit, types))
    return made


@pytest.mark.parametrize(("events", "streams", "data_bytes"), SIZES)
async def test_reads_of_a_stream(
    database: Database, database_url: str, events: int, streams: int, data_bytes: int
) -> None:
    seed = random.randrange(10**9)
    rows = random_rows(random.Random(seed), streams, events, data_bytes)
    store_rows(database_url, database.queries.schema, rows)
    log = LogStorage(database, Catalogue(database))
    reader = Reader(log, LineStorage(database))
    choose = random.Random(seed)
    for name, part in rows.items():
        asked = reads(name, len(part), choose)
        for read in choose.sample(asked, 12 if events > EVENTS else 60):
            versions, looked_at, end_reached = wanted(read, part)
            found, end = await frames(reader, read)
            assert [event.version for event in found] == versions, f"seed {seed}, {read}"
            assert {event.stream for event in found} <= {name}
            position = part[looked_at - 1]["position"] if looked_at else 0
            token = await make_token(log, position)
            expected = ReadEnd(looked_at, position, token, end_reached)
            assert end == expected, f"seed {seed}, {read}"


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("types", [None, ["B"]])
@pytest.mark.parametrize("limit", [0, 2, 10])
async def test_events_that_come_in_between_are_left_out(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    backwards: bool,
    types: list[str] | None,
    limit: int,
) -> None:
    """The head is read first: it may be behind what the other statements see."""
    rows = random_rows(random.Random(1), 2, 60, 20, deleted=False)
    store_rows(database_url, database.queries.schema, rows)
    lagging = database.queries["stream_head"].replace("s.version", f"(s.version - {LAGS})")
    assert lagging.count(f"- {LAGS})") == 2
    monkeypatch.setitem(database.queries._texts, "stream_head", lagging)
    log = LogStorage(database, Catalogue(database))
    for name, part in rows.items():
        read = StreamRead(name, backwards, None, None, limit, types)
        versions, looked_at, end_reached = wanted(read, part[:-LAGS])
        found, end = await frames(Reader(log, LineStorage(database)), read)
        assert [event.version for event in found] == versions
        position = part[looked_at - 1]["position"]
        assert end == ReadEnd(looked_at, position, await make_token(log, position), end_reached)


async def test_a_small_read_is_one_call_of_the_reader(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other question follows where a read ends as it was expected to."""
    rows = random_rows(random.Random(2), 2, 200, 20)
    store_rows(database_url, database.queries.schema, rows)
    catalogue = Catalogue(database)
    await catalogue.load()
    reader = Reader(LogStorage(database, catalogue), LineStorage(database))
    calls = []
    call = database.events._call

    async def counted(begin: Any) -> Any:
        calls.append(begin)
        return await call(begin)

    def refused() -> None:
        raise AssertionError("a question more")

    monkeypatch.setattr(database.events, "_call", counted)
    monkeypatch.setattr(database, "reading", refused)
    for backwards, limit, first in itertools.product((False, True), (0, 1, 10), (None, 20)):
        await frames(reader, StreamRead("S-0", backwards, first, None, limit, None))
    await frames(reader, StreamRead("S-0", False, None, None, 0, ["B"]))
    head = len(rows["S-0"])
    await frames(reader, StreamRead("S-0", False, head + 1, None, 0, None))
    assert len(calls) == 14
