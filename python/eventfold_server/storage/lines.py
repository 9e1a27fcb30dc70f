"""Statements on lines of periods: streams that go on from each other, and how they come about."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventfold import _core
from eventfold_server.limits import LINE_PAGE_STREAMS
from eventfold_server.storage.database import Database
from eventfold_server.storage.kept import Upto
from eventfold_server.storage.log import StreamRow, time_text

_NO_END = (1 << 63) - 1
_CLOSED = 2
_ALL = Upto()


@dataclass(frozen=True)
class Ending:
    """A stream and its last event, and the first event of the stream that goes on from it."""

    version: int
    lifecycle: int
    successor: str | None
    closing_id: UUID
    closing_position: int
    recorded_at: datetime
    # Of the last event.
    flags: int
    # None: no stream goes on.
    opening_id: UUID | None
    opening_position: int | None
    opening_data: bytes | None


@dataclass(frozen=True)
class Decided:
    """What became of a close: an outcome of `close_stream_v1`."""

    outcome: str
    # 1: decided on the closing event, 2: on the opening event.
    part: int
    closing_position: int | None
    opening_position: int | None
    recorded_at: datetime | None
    actual_version: int
    successor: str | None
    differs_at: int | None
    problem: str | None


class LineStorage:
    """The lines of periods of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def end(self, stream: str, upto: Upto = _ALL) -> StreamRow | None:
        """The last stream of the line that had begun by then, and without a point in time the one
        that a transform has put in its place; None: none had, or there is no such stream.
        """
        if upto != _ALL:
            # Targets begin long before their sources end.
            rows = await self._fetch("line_end", stream, *_until(upto))
            return _stream(rows[0]) if rows else None
        last = None
        async for end in self._ends(stream):
            last = end
        return last

    async def _ends(self, stream: str) -> AsyncIterator[StreamRow]:
        """The last stream of the line, and while transforms have put another one in its place the
        last one of the line of that.
        """
        at: str | None = stream
        while at is not None and (rows := await self._fetch("line_end", at, *_until(_ALL))):
            end = _stream(rows[0])
            yield end
            # A successor by the closing of books would be the last one itself.
            at = end.successor if end.lifecycle == _CLOSED else None

    async def periods(
        self, stream: str, upto: Upto = _ALL, *, backwards: bool = False
    ) -> AsyncIterator[StreamRow]:
        """The streams of the line that had begun by then, from the first on or from the last. A
        line that goes on meanwhile is told to its new end.
        """
        query, begun_at = ("line_page_backwards", _NO_END) if backwards else ("line_page", 0)
        while True:
            rows = await self._fetch(query, stream, *_until(upto), begun_at, LINE_PAGE_STREAMS)
            if not rows:
                return
            for row in rows:
                yield _stream(row)
            begun_at = rows[-1]["begun_at"]

    async def stream_of_event(self, stream: str, event_id: UUID) -> str | None:
        """Name of the stream that has the event, if it is of the line of that stream, or of one
        that a transform has put in its place.
        """
        async for end in self._ends(stream):
            if rows := await self._fetch("stream_of_event", end.name, event_id):
                name: str = rows[0]["name"]
                return name
        return None

    async def ending(self, stream: str) -> Ending | None:
        """How the stream ends; None: it never had an event."""
        rows = await self._fetch("closing", stream)
        return Ending(**rows[0]) if rows else None

    async def close(
        self, stream: str, successor: str | None, events: Sequence[_core.Append]
    ) -> tuple[Decided, int] | int:
        """Closes a stream with the first of the events, each of which is an append, and opens its
        successor with the second; and the version of the catalogue, which stands alone if nothing
        was decided: they were held to other rules, or sealed for another root.
        """
        # Arguments of the append functions: name, category, expectation, then an array each.
        columns = [append.columns for append in events]
        category, writer, trace_context = columns[0][1], *columns[0][13:15]
        arrays = [
            [column[place][0] for column in columns]
            for place in (_IDS, _TYPES, _DATA, _METADATA, _FLAGS, _SENT, _STORED)
        ]
        [row] = await self._database.write(
            self._queries["close_stream"],
            stream,
            category,
            successor,
            [column[_EXPECTED] for column in columns],
            *arrays,
            writer,
            trace_context,
            events[0].catalogue_version,
            [paths for append in events for paths in append.sealed_paths or [None]],
            [append.root for append in events],
            stream=stream,
        )
        found = dict(row)
        version: int = found.pop("catalogue_version")
        if found["outcome"] == "stale":
            return version
        found["actual_version"] = found["actual_version"] or 0
        return Decided(**found), version

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)


# Places of the columns of an append.
_EXPECTED, _IDS, _TYPES, _DATA, _METADATA, _FLAGS, _SENT, _STORED = 2, 3, 4, 5, 6, 10, 11, 12


def _until(upto: Upto) -> tuple[object, ...]:
    return upto.position, time_text(upto.recorded_at), time_text(upto.occurred_at)


def _stream(row: Any) -> StreamRow:
    return StreamRow(**{name: value for name, value in row.items() if name != "begun_at"})
