"""Reading events back: pages of events that are encoded already, and where a read ends."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import NamedTuple

from eventfold import _core
from eventfold_server import opened
from eventfold_server.domain.copies import Copies, refuse_ambiguous
from eventfold_server.domain.requests import Follow, event_id, readable_stream_name
from eventfold_server.domain.tokens import (
    DISTANCES,
    make_token,
    position_of_token,
    token_of_pairs,
)
from eventfold_server.errors import Refusal
from eventfold_server.limits import LOG_WINDOW_POSITIONS
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.log import LogStorage, not_found
from eventfold_server.storage.views import WITHHELD, View

# How events come to a reader is what the storage does.
EventView = View

LIFECYCLE_CLOSED = 2
LIFECYCLE_DELETED = 3


@dataclass(frozen=True)
class ReadEnd:
    """Where a read ended; see the proto."""

    version: int
    position: int
    resume_token: bytes
    end_reached: bool
    # The stream that the version is of; None: the read does not follow.
    stream: str | None = None
    opened_from: str | None = None


@dataclass(frozen=True)
class StreamRead:
    """A read of one stream."""

    stream: str
    backwards: bool
    from_version: int | None
    to_version: int | None
    limit: int
    types: Sequence[str] | None
    # Whether frames tell what their events refer to.
    refers: bool = False
    # How events come.
    view: View = WITHHELD
    # Whether events tell that others cancel them.
    marked: bool = False
    follow: Follow = Follow.ALONE


@dataclass(frozen=True)
class LogRead:
    """A read of the log."""

    backwards: bool
    from_position: int | None
    resume_token: bytes | None
    to_position: int | None
    limit: int
    categories: Sequence[str] | None
    types: Sequence[str] | None
    tags: Sequence[str] | None
    with_system: bool
    copies: Copies = Copies.UNSPECIFIED
    # How events come.
    view: View = WITHHELD

    @property
    def with_copies(self) -> bool:
        """Whether copies are among the events."""
        return self.copies.included(by_name=bool(self.categories))

    @property
    def filtered(self) -> bool:
        """Whether a page may have to look at many events to find few."""
        return bool(self.categories or self.types or self.tags) or not self.with_copies


class Frame(NamedTuple):
    """A part of what a read yields."""

    # Encoded.
    events: bytes
    # With the last of them.
    end: ReadEnd | None
    # What they refer to; None: nothing, or nobody asked.
    references: _core.References | None = None
    # How many events there are.
    rows: int = 0


Frames = AsyncGenerator[Frame]


class Reader:
    """Reads the streams and the log of one store."""

    def __init__(self, log: LogStorage, lines: LineStorage) -> None:
        self._log = log
        self._lines = lines

    async def event(self, id_: str, view: View, *, refers: bool = False) -> Frame:
        """The event with the id, as field 1 of a read's message."""
        page = await self._log.event(event_id(id_), view=view, refers=refers)
        if page is None:
            raise Refusal("EVENT_NOT_FOUND", "no event has this id", event_id=id_.lower())
        return Frame(page.encoded or b"", None, page.references)

    async def stream(self, read: StreamRead) -> Frames:
        """The events of one stream, as it stood when the read began."""
        readable_stream_name(read.stream)
        first, last = read.from_version, read.to_version
        lower, upper = (last, first) if read.backwards else (first, last)
        found = await self._log.open_stream(
            read.stream,
            lower or 1,
            upper,
            types=read.types,
            backwards=read.backwards,
            limit=read.limit or None,
            distances=DISTANCES,
            view=read.view,
            refers=read.refers,
            marked=read.marked,
        )
        if found is None:
            raise not_found(read.stream)
        stream, page, rest = found
        # Not held while the caller takes its time.
        del found
        if stream.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=read.stream)
        span = _stream_span(read, stream.version)
        span.look_at(page.looked_at)
        while rest is not None and not page.done:
            yield Frame(page.encoded or b"", None, page.references, page.rows)
            opened.sent()
            page = await self._log.go_on(rest)
            span.look_at(page.looked_at)
        end = await self._stream_end(stream, span, page)
        yield Frame(page.encoded or b"", end, page.references, page.rows)

    async def following(self, read: StreamRead) -> Frames:
        """The events of the open stream of a line, or of all of its streams."""
        readable_stream_name(read.stream)
        alone = replace(read, follow=Follow.ALONE)
        if read.follow is Follow.OPEN:
            end = await self._lines.end(read.stream)
            alone = replace(alone, stream=read.stream if end is None else end.name)
            async with aclosing(self.stream(alone)) as frames:
                async for frame in frames:
                    yield _ending_in(frame, alone.stream)
            return
        async with aclosing(self._through(alone)) as frames:
            async for frame in frames:
                yield frame

    async def _through(self, read: StreamRead) -> Frames:
        """The events of stream after stream; the end of the last one is that of all. From a version
        on: from that of the stream that is named.
        """
        left = read.limit
        last: Frame | None = None
        begun = read.from_version is None
        async for period in self._lines.periods(read.stream, backwards=read.backwards):
            if not begun and period.name != read.stream:
                continue
            if last is not None:
                assert last.end is not None
                if read.limit and left <= 0:
                    last = last._replace(end=replace(last.end, end_reached=False))
                    break
                # It was not the end of all.
                yield last._replace(end=None)
            first = None if begun else read.from_version
            begun = True
            part = replace(read, stream=period.name, from_version=first, limit=left)
            async with aclosing(self.stream(part)) as frames:
                async for frame in frames:
                    left -= frame.rows if read.limit else 0
                    last = _ending_in(frame, period.name)
                    if last.end is None:
                        yield last
        if last is None:
            raise not_found(read.stream)
        yield last

    async def all(self, read: LogRead) -> Frames:
        """The events of the log, as it stood when the read began."""
        head = await self._log.head()
        await refuse_ambiguous(self._log.ambiguous_transform, read.copies, read.categories)
        span = await self._log_span(read, head)
        pages = self._log.log_pages(
            *span.ordered,
            with_system=read.with_system,
            with_copies=read.with_copies,
            categories=read.categories,
            types=read.types,
            tags=read.tags,
            backwards=read.backwards,
            limit=read.limit or None,
            window=LOG_WINDOW_POSITIONS if read.filtered else None,
            view=read.view,
        )
        async with aclosing(pages):
            async for page in pages:
                span.look_at(page.looked_at)
                end = await self._log_end(span) if page.done else None
                yield Frame(page.encoded or b"", end)
                opened.sent()

    async def _log_span(self, read: LogRead, head: int) -> "Span":
        first = read.from_position
        if read.resume_token is not None:
            first = await position_of_token(self._log, read.resume_token) + 1
        if first is not None and first > head + 1:
            raise Refusal(
                "POSITION_AHEAD",
                f"position {first} lies beyond the head {head}",
                requested=first,
                head=head,
            )
        return Span.of(read.backwards, first, read.to_position, head)

    async def _stream_end(self, stream: _core.Opened, span: "Span", page: _core.Page) -> ReadEnd:
        version = span.looked_at
        own = stream.opened_from
        if version == stream.end_version and (known := token_of_pairs(stream.end_bytes)):
            return ReadEnd(version, *known, span.done(), None, own)
        if page.rows and page.last_version == version:
            position = page.last_position
        elif version > 0:
            position = await self._log.position_of(stream.stream_no, version)
        else:
            position = 0
        token = await make_token(self._log, position)
        return ReadEnd(version, position, token, span.done(), None, own)

    async def _log_end(self, span: "Span") -> ReadEnd:
        token = await make_token(self._log, span.looked_at)
        return ReadEnd(0, span.looked_at, token, span.done())


@dataclass
class Span:
    """What is still to be looked at: versions or positions from `first` to `last`, inclusive."""

    first: int
    last: int
    # 1 forwards, -1 backwards.
    step: int
    # The last one that was looked at; 0: none.
    looked_at: int

    @classmethod
    def of(cls, backwards: bool, first: int | None, last: int | None, head: int) -> "Span":
        """What a request asks for of a stream or log with this head."""
        if backwards:
            first = head if first is None else min(first, head)
            # Never below 1, even where there is no event: then nothing is looked at.
            last = min(last or 1, max(head, 1))
            return cls(first, last, -1, min(first + 1, head))
        first = first or 1
        return cls(first, head if last is None else min(last, head), 1, min(first - 1, head))

    def done(self) -> bool:
        """Whether everything was looked at."""
        return (self.last - self.first) * self.step < 0

    @property
    def ordered(self) -> tuple[int, int]:
        """The lower and the upper bound."""
        return (self.first, self.last) if self.step > 0 else (self.last, self.first)

    def look_at(self, last: int | None) -> None:
        """Notes that all up to `last` was looked at; None: nothing was."""
        if last is None:
            return
        self.looked_at = last
        self.first = last + self.step


def _ending_in(frame: Frame, stream: str) -> Frame:
    return frame if frame.end is None else frame._replace(end=replace(frame.end, stream=stream))


def _stream_span(read: StreamRead, head: int) -> Span:
    if read.from_version is not None and read.from_version > head + 1:
        raise Refusal(
            "VERSION_AHEAD",
            f"version {read.from_version} lies beyond the head {head}",
            stream=read.stream,
            requested=read.from_version,
            head=head,
        )
    return Span.of(read.backwards, read.from_version, read.to_version, head)
