"""Statements on streams and events."""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import PAGE_BYTES, RESOLVED_PAGE_BYTES
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.copies import Ambiguity, ambiguous_transform
from eventfold_server.storage.database import Database
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.reader import Opened
from eventfold_server.storage.views import WITHHELD, View

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

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)

    async def head(self) -> int:
        """Position of the newest event; 0: none. What is read after that goes by the rules that
        were in force then, or newer ones.
        """
        return await self._reads.head()

    async def newest_rules(self, fold: _core.Fold) -> _core.ReadRules:
        """The rules that are in force, for what a fold reads."""
        await self.head()
        return self.known_rules(fold)

    def known_rules(self, fold: _core.Fold) -> _core.ReadRules:
        """The same, as far as this process knows."""
        return self._reads.rules.of_fold(fold)

    @property
    def personal(self) -> Collection[_core.Personal]:
        """What is declared personal, as far as this process knows."""
        return self._reads.personal

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

    async def open_stream(
        self,
        stream: str,
        lower: int,
        upper: int | None,
        *,
        types: Sequence[str] | None,
        backwards: bool,
        limit: int | None,
        distances: Sequence[int],
        view: View,
        refers: bool,
        marked: bool,
    ) -> Opened | None:
        """The stream, its first page of events of versions `lower` to `upper`, and the ids at the
        end of the read and at distances before it, in one round trip; None: it never had an event.

        Where a filter meets a limit, the end is not known before, and another one may come. With
        `refers`, pages are smaller and tell what their events refer to; with `marked`, events tell
        that others cancel them.
        """
        upper = _NO_END if upper is None else upper
        steps = limit - 1 if limit and types is None else _NO_END
        if backwards:
            head = (stream, upper, steps, lower, distances)
            first, rest = "stream_begin_backwards", "stream_page_backwards"
        else:
            first, rest = "stream_begin", "stream_page"
            # Beyond the last version that is wanted, or where it stood if there is none.
            head = (stream, max(min(upper, lower + steps), lower - 1), 0, 0, distances)
        if marked:
            first, rest = f"{first}_marked", f"{rest}_marked"

        async def read(rules: _core.ReadRules) -> Opened | None:
            return await self._database.events.open(
                stream,
                head=(self._queries["stream_head"], head),
                first=self._queries[first],
                rest=self._queries[rest],
                params=(None, lower, upper, limit or _NO_END, types, None),
                page_bytes=RESOLVED_PAGE_BYTES if refers else PAGE_BYTES,
                backwards=backwards,
                refers=refers,
                rules=rules,
            )

        return await self._reads.begin(read, view)

    async def go_on(self, pages: _core.Pages) -> _core.Page:
        """The next page of a stream that was opened."""
        return await self._database.events.next(pages)

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
        view: View = WITHHELD,
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
            rules=self._rules(view),
        )

    def stream_batches(
        self,
        stream_no: int,
        lower: int,
        upper: int,
        *,
        stream: str,
        recorded_at: datetime | None,
        occurred_at: datetime | None,
        rules: _core.ReadRules,
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
            stream=stream,
            rules=rules,
        )

    def log_pages(
        self,
        lower: int,
        upper: int,
        *,
        with_system: bool,
        with_copies: bool,
        categories: Sequence[str] | None,
        types: Sequence[str] | None,
        tags: Sequence[str] | None,
        backwards: bool = False,
        limit: int | None = None,
        window: int | None = None,
        encoded: bool = True,
        view: View | None = WITHHELD,
        page_bytes: int = PAGE_BYTES,
    ) -> Pages:
        """Events of positions `lower` to `upper`, both inclusive, encoded or as batches; at most
        `limit`. One statement looks at `window` positions. Without a view they come as they are
        stored, also what is sealed.
        """
        filters = (categories, types, tags)
        filtered = any(demand is not None for demand in filters)
        if filtered:
            name = "log_page_filtered_backwards" if backwards else "log_page_filtered"
        else:
            name = "log_page_backwards" if backwards else "log_page"
        return self._database.events.pages(
            self._queries[name],
            with_system,
            lower,
            upper,
            limit or _NO_END,
            with_copies,
            *(filters if filtered else ()),
            order="positions",
            page_bytes=page_bytes,
            backwards=backwards,
            window=window,
            encoded=encoded,
            rules=self._rules(view),
        )

    def categories_pages(
        self,
        categories: Sequence[str],
        lower: int,
        upper: int,
        *,
        types: Sequence[str] | None,
        tags: Sequence[str] | None,
        with_copies: bool,
        window: int,
        encoded: bool,
        view: View,
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
            with_copies,
            order="positions",
            page_bytes=PAGE_BYTES,
            window=window,
            encoded=encoded,
            rules=self._rules(view),
        )

    def streams_batches(self, spans: Sequence[Span], rules: _core.ReadRules) -> Pages:
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
            rules=rules,
        )

    async def types_of(self, category: str) -> list[str]:
        """Types of the stored events of a category, sorted."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["types_of_category"], category)
        return sorted(row["type"] for row in rows)

    async def event(self, event_id: UUID, *, view: View, refers: bool = False) -> _core.Page | None:
        """The event alone, encoded; None if there is none."""
        pages = self._reads.pages(
            self._queries["event"],
            event_id,
            1,
            _NO_END,
            1,
            order="versions",
            page_bytes=PAGE_BYTES,
            view=view,
            refers=refers,
        )
        async with aclosing(pages):
            page = await anext(pages)
        return page if page.rows else None

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

    async def ambiguous_transform(self, categories: Sequence[str]) -> Ambiguity | None:
        """A transform of which both a source and a target are among the categories."""
        return await ambiguous_transform(self._database, categories)

    async def ids_at(self, positions: Sequence[int]) -> dict[int, UUID]:
        """Ids of the events at those of the positions that exist."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["event_ids_at"], positions)
        return {row["position"]: row["event_id"] for row in rows}

    def _rules(self, view: View | None) -> _core.ReadRules | None:
        """What a read goes by that has begun with a statement of this class."""
        return None if view is None else self._reads.rules_for(view)

    async def _value(self, query: str, *arguments: object) -> Any:
        async with self._database.reading() as connection:
            return await connection.fetchval(self._queries[query], *arguments)


def time_text(time: datetime | None) -> str | None:
    """The time as statements take it."""
    return None if time is None else time.isoformat()


def not_found(stream: str) -> Refusal:
    """The refusal for a stream that never had an event."""
    return Refusal("STREAM_NOT_FOUND", "the stream never had an event", stream=stream)
