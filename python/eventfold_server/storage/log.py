"""Statements on streams and events."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.database import Database

# What a reader of any range may ask for.
_NO_END = (1 << 63) - 1


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
class Span:
    """Versions of one stream, both inclusive."""

    stream_no: int
    lower: int
    upper: int


# Pages of a range of events; the last one is `done`.
Pages = AsyncGenerator[_core.Page]


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

    def stream_pages(
        self,
        stream_no: int,
        lower: int,
        upper: int,
        *,
        stream: str,
        types: Sequence[str] | None,
        tags: Sequence[str] | None = None,
        backwards: bool = False,
        limit: int | None = None,
        window: int | None = None,
        encoded: bool = True,
    ) -> Pages:
        """Events of versions `lower` to `upper`, both inclusive, encoded or as batches; at most
        `limit`. One statement looks at `window` versions.
        """
        return self._database.events.pages(
            self._queries["stream_page_backwards" if backwards else "stream_page"],
            stream_no,
            lower,
            upper,
            limit or _NO_END,
            types,
            tags,
            order="versions",
            page_bytes=PAGE_BYTES,
            backwards=backwards,
            window=window,
            encoded=encoded,
            stream=stream,
        )

    def stream_batches(
        self,
        stream_no: int,
        lower: int,
        upper: int,
        *,
        recorded_at: datetime | None,
        occurred_at: datetime | None,
    ) -> Pages:
        """Events of versions `lower` to `upper` up to a time, inclusive, as batches."""
        return self._database.events.pages(
            self._queries["fold_rest_until"],
            stream_no,
            lower,
            upper,
            _NO_END,
            None,
            time_text(recorded_at),
            time_text(occurred_at),
            order="versions",
            page_bytes=PAGE_BYTES,
            encoded=False,
        )

    def log_pages(
        self,
        lower: int,
        upper: int,
        *,
        with_system: bool,
        categories: Sequence[str] | None,
        types: Sequence[str] | None,
        tags: Sequence[str] | None,
        backwards: bool = False,
        limit: int | None = None,
        window: int | None = None,
        encoded: bool = True,
    ) -> Pages:
        """Events of positions `lower` to `upper`, both inclusive, encoded or as batches; at most
        `limit`. One statement looks at `window` positions.
        """
        return self._database.events.pages(
            self._queries["log_page_backwards" if backwards else "log_page"],
            with_system,
            lower,
            upper,
            limit or _NO_END,
            categories,
            types,
            tags,
            order="positions",
            page_bytes=PAGE_BYTES,
            backwards=backwards,
            window=window,
            encoded=encoded,
        )

    def categories_pages(
        self,
        categories: Sequence[str],
        lower: int,
        upper: int,
        *,
        types: Sequence[str] | None,
        tags: Sequence[str] | None,
        window: int,
        encoded: bool,
    ) -> Pages:
        """Events of these categories, of which none stands twice, of positions `lower` to `upper`,
        by the index of categories. One statement looks at `window` positions.
        """
        return self._database.events.pages(
            self._queries["categories_page"],
            categories,
            lower,
            upper,
            _NO_END,
            types,
            tags,
            order="positions",
            page_bytes=PAGE_BYTES,
            window=window,
            encoded=encoded,
        )

    def streams_batches(self, spans: Sequence[Span]) -> Pages:
        """Events of streams in the order of their spans, and of their versions, as batches. Every
        span holds an event.
        """
        return self._database.events.pages(
            self._queries["streams_events"],
            [span.stream_no for span in spans],
            [span.lower for span in spans],
            [span.upper for span in spans],
            _NO_END,
            order="spans",
            page_bytes=PAGE_BYTES,
            encoded=False,
        )

    async def types_of(self, category: str) -> list[str]:
        """Types of the stored events of a category, sorted."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["types_of_category"], category)
        return sorted(row["type"] for row in rows)

    async def event(self, event_id: UUID) -> bytes | None:
        """The event, encoded; None if there is none."""
        pages = self._database.events.pages(
            self._queries["event"], event_id, 1, _NO_END, 1, order="versions", page_bytes=PAGE_BYTES
        )
        async with aclosing(pages):
            page = await anext(pages)
        return page.encoded if page.rows else None

    async def position_of(self, stream_no: int, version: int) -> int:
        """Position of an event that exists."""
        return int(await self._value("position_of_version", stream_no, version))

    async def version_from(self, stream_no: int, version: int, position: int) -> int | None:
        """The first version of a stream of this version whose event has the position or a higher
        one, else the one behind; None: the stream has not all of these versions.
        """
        found = await self._value("version_from_position", stream_no, version, position)
        return None if found is None else int(found)

    async def position_from(self, head: int, time: datetime) -> int | None:
        """The first position of a log of this head whose event was recorded at the time or after,
        else the one behind; None: the log has not all of these positions.
        """
        found = await self._value("position_from_time", head, time_text(time))
        return None if found is None else int(found)

    async def ids_at(self, positions: Sequence[int]) -> dict[int, UUID]:
        """Ids of the events at those of the positions that exist."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["event_ids_at"], positions)
        return {row["position"]: row["event_id"] for row in rows}

    async def _value(self, query: str, *arguments: object) -> Any:
        async with self._database.reading() as connection:
            return await connection.fetchval(self._queries[query], *arguments)


def time_text(time: datetime | None) -> str | None:
    """The time as statements take it."""
    return None if time is None else time.isoformat()


def not_found(stream: str) -> Refusal:
    """The refusal for a stream that never had an event."""
    return Refusal("STREAM_NOT_FOUND", "the stream never had an event", stream=stream)
