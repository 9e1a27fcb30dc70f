"""Statements on streams and events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventfold_server.errors import Refusal
from eventfold_server.limits import PAGE_BYTES, PAGE_ROWS_MAX
from eventfold_server.storage.database import Database

# Columns of a page in the order that `_core.Batch` expects.
PAGE_COLUMNS = (
    "stream",
    "version",
    "position",
    "event_id",
    "type",
    "data",
    "metadata",
    "tags",
    "recorded_at",
    "occurred_at",
    "writer",
    "flags",
    "copied_from",
    "cancels",
    "trace_context",
    "deleted",
)


@dataclass(frozen=True)
class Page:
    """Events as PostgreSQL packed them: one binary array a column."""

    # Number of events.
    rows: int
    # In the order of PAGE_COLUMNS; all None when there are no rows.
    columns: tuple[bytes | None, ...]
    # True: a limit ended the page, and there may be more.
    full: bool
    # About what the events take on the wire, in bytes.
    size_bytes: int


@dataclass(frozen=True)
class StreamRow:
    """A row of the table of streams."""

    stream_no: int
    name: str
    category: str
    version: int
    lifecycle: int
    root: str
    predecessor: str | None
    successor: str | None
    created_at: datetime


@dataclass(frozen=True)
class StreamHead:
    """What a fold must know of a stream."""

    stream_no: int
    name: str
    version: int
    lifecycle: int
    root: str


class LogStorage:
    """Streams and events of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def head(self) -> int:
        """Position of the newest event; 0: none."""
        return int(await self._value("log_head"))

    async def stream(self, name: str) -> StreamRow | None:
        """The stream; None if it never had an event."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["stream"], name)
        return None if row is None else StreamRow(**row)

    async def streams(
        self,
        after: str,
        lower: str,
        upper: str | None,
        lifecycle: int | None,
        without_system: bool,
        limit: int,
    ) -> list[StreamRow]:
        """Streams named above `after`, from `lower` up to below `upper`, in byte order."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(
                self._queries["streams_page"],
                after,
                lower,
                upper,
                lifecycle,
                without_system,
                limit,
            )
        return [StreamRow(**row) for row in rows]

    async def stream_page(
        self,
        stream_no: int,
        lower: int,
        upper: int,
        *,
        types: Sequence[str] | None = None,
        backwards: bool = False,
        rows: int = PAGE_ROWS_MAX,
    ) -> Page:
        """Events of versions `lower` to `upper`, both inclusive."""
        name = "stream_page_backwards" if backwards else "stream_page"
        return await self._page(name, rows, stream_no, lower, upper, types)

    async def stream_page_until(
        self,
        stream_no: int,
        lower: int,
        upper: int,
        *,
        position: int | None,
        recorded_at: datetime | None,
        occurred_at: datetime | None,
    ) -> Page:
        """Events of versions `lower` to `upper` up to a position or a time, inclusive."""
        return await self._page(
            "stream_page_until",
            PAGE_ROWS_MAX,
            stream_no,
            lower,
            upper,
            position,
            _time_text(recorded_at),
            _time_text(occurred_at),
        )

    async def log_page(
        self,
        lower: int,
        upper: int,
        *,
        with_system: bool,
        categories: Sequence[str] | None,
        types: Sequence[str] | None,
        tags: Sequence[str] | None,
        backwards: bool = False,
        rows: int = PAGE_ROWS_MAX,
    ) -> Page:
        """Events of positions `lower` to `upper`, both inclusive."""
        name = "log_page_backwards" if backwards else "log_page"
        return await self._page(name, rows, with_system, lower, upper, categories, types, tags)

    async def streams_named(self, names: Sequence[str]) -> list[StreamHead]:
        """Those of the streams that ever had an event, in no order."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["hydrate_heads"], names)
        return [StreamHead(**row) for row in rows]

    async def streams_page(self, streams: Sequence[int], stream_no: int, version: int) -> Page:
        """Events of the streams in order of their numbers and versions, from this place on."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["streams_events_page"],
                streams,
                stream_no,
                version,
                PAGE_ROWS_MAX,
                PAGE_BYTES,
            )
        return _page(row, PAGE_ROWS_MAX)

    async def types_of(self, category: str) -> list[str]:
        """Types of the stored events of a category, sorted."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["types_of_category"], category)
        return sorted(row["type"] for row in rows)

    async def event(self, event_id: UUID) -> Page:
        """The event, as a page of one row or none."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["event"], event_id)
        return _page(row, 1)

    async def position_of(self, stream_no: int, version: int) -> int:
        """Position of an event that exists."""
        return int(await self._value("position_of_version", stream_no, version))

    async def ids_at(self, positions: Sequence[int]) -> dict[int, UUID]:
        """Ids of the events at those of the positions that exist."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["event_ids_at"], positions)
        return {row["position"]: row["event_id"] for row in rows}

    async def _value(self, query: str, *arguments: object) -> Any:
        async with self._database.reading() as connection:
            return await connection.fetchval(self._queries[query], *arguments)

    async def _page(
        self, query: str, rows: int, key: object, lower: int, upper: int, *rest: object
    ) -> Page:
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries[query], key, lower, upper, rows, PAGE_BYTES, *rest
            )
        return _page(row, rows)


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _page(row: Any, rows_max: int) -> Page:
    count = row["row_count"]
    size = int(row["page_bytes"] or 0)
    columns = tuple(row[name] for name in PAGE_COLUMNS)
    return Page(count, columns, count == rows_max or size >= PAGE_BYTES, size)


def not_found(stream: str) -> Refusal:
    """The refusal for a stream that never had an event."""
    return Refusal("STREAM_NOT_FOUND", "the stream never had an event", stream=stream)
