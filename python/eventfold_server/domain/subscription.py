"""One subscription on its way: stored pages until the tail has what comes next, then the tail.

One that is too slow for the tail falls back to pages. Whichever way events come, they are those
behind the position of the frame before, in order of position: there is no seam.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from eventfold import _core
from eventfold_server import opened
from eventfold_server.domain import filtering
from eventfold_server.domain.copies import Copies
from eventfold_server.domain.filtering import selections
from eventfold_server.domain.log_start import changed
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.tail import Tail, TailPage
from eventfold_server.domain.tokens import position_of_token, token_after
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    CATEGORY_WINDOW_POSITIONS,
    LOG_WINDOW_POSITIONS,
    PAGE_BYTES,
    SUBSCRIPTION_CHECKPOINT_S,
    SUBSCRIPTION_HEARTBEAT_S,
)
from eventfold_server.storage.log import LogStorage, Pages
from eventfold_server.storage.views import WITHHELD, View

# How long a subscription waits for the tail, which begins with its first subscriber.
_BEGIN_S = 1.0


class Kind(enum.IntEnum):
    """What a frame says; the numbers of the proto's FrameKind."""

    EVENTS = 1
    CHECKPOINT = 2
    CAUGHT_UP = 3
    FELL_BEHIND = 4
    HEARTBEAT = 5


@dataclass(slots=True)
class Frame:
    """A frame; see the proto."""

    kind: Kind
    position: int
    resume_token: bytes
    head: int
    events: bytes = b""


@dataclass(frozen=True)
class Wanted:
    """Which events a subscription wants. Of a list None demands nothing."""

    stream: str | None
    categories: Sequence[str] | None
    types: Sequence[str] | None
    tags: Sequence[str] | None
    where: str | None
    with_system: bool
    copies: Copies = Copies.UNSPECIFIED
    # How events come.
    view: View = WITHHELD

    def compiled(self) -> _core.Filter:
        """The filter; refuses an expression that is none."""
        return filtering.compiled(
            stream=self.stream,
            categories=self.categories or (),
            types=self.types or (),
            tags=self.tags or (),
            with_system=self.with_system,
            with_copies=self.with_copies,
            condition=self.where,
        )

    @property
    def with_copies(self) -> bool:
        """Whether copies are among the events."""
        return self.copies.included(by_name=bool(self.stream or self.categories))

    def all_of(self, page: TailPage) -> bool:
        """Whether every event of the page passes."""
        lists = (self.categories, self.types, self.tags)
        demanding = self.stream is not None or self.where is not None or any(lists)
        return self.with_system and not demanding and (self.with_copies or not page.has_copies)


class Subscription:
    """One subscription on its way."""

    def __init__(
        self,
        log: LogStorage,
        tail: Tail,
        clock: Callable[[], float],
        wanted: Wanted,
        filter_: _core.Filter,
    ) -> None:
        self._log = log
        self._tail = tail
        self._clock = clock
        self._wanted = wanted
        self._filter = filter_
        # All up to here was looked at, and sent if it is wanted; the token stands for it.
        self._position = 0
        self._token = b""
        # The position of the last frame, and when that was sent.
        self._told = 0
        self._told_at = clock()
        # Of the tail, when the token was last compared with the log.
        self._edition = 0
        # Head of the log then, which the tail may not have seen yet.
        self._seen_head = 0
        self._caught_up = False

    def begin(self, position: int, token: bytes, head: int, edition: int) -> None:
        """Places it behind a position of a log whose head is known."""
        self._position = self._told = position
        self._token = token
        self._seen_head = head
        self._edition = edition

    async def frames(self) -> AsyncGenerator[Frame]:
        """The frames, without an end."""
        while True:
            self._tail.check_open()
            if self._edition != self._tail.edition:
                edition = self._tail.edition
                self._seen_head = await self._log.head()
                await position_of_token(self._log, self._token)
                self._edition = edition
            if not self._tail.covers(self._position):
                if self._caught_up:
                    self._caught_up = False
                    yield self._frame(Kind.FELL_BEHIND)
                async with aclosing(self._stored()) as stored:
                    async for frame in stored:
                        yield frame
                if not self._tail.covers(self._position) and self._position >= self._tail.head:
                    await self._tail.moved(_BEGIN_S)
                continue
            if self._wanted.view.raw and self._tail.mapping_digest:
                # The tail has events as mappings make them.
                if self._position < self._tail.head:
                    async with aclosing(self._stored()) as stored:
                        async for frame in stored:
                            yield frame
                    continue
                events, failure = b"", None
            else:
                events, failure = await self._from_tail()
            if events:
                yield self._frame(Kind.EVENTS, events)
                opened.sent()
            if failure is not None:
                raise failure
            if events:
                continue
            if (news := self._news()) is not None:
                yield news
                continue
            await self._tail.moved(self._pause_s())

    def _frame(self, kind: Kind, events: bytes = b"") -> Frame:
        self._told = self._position
        self._told_at = self._clock()
        head = max(self._head(), self._position)
        return Frame(kind, self._position, self._token, head, events)

    def _head(self) -> int:
        """The head of the log, as far as it is known."""
        return max(self._tail.head, self._seen_head)

    def _news(self) -> Frame | None:
        """What is to be said where no event is to be sent."""
        at_head = self._position >= self._head()
        if at_head and not self._caught_up:
            self._caught_up = True
            return self._frame(Kind.CAUGHT_UP)
        if self._checkpoint_due():
            return self._frame(Kind.CHECKPOINT)
        if self._clock() - self._told_at >= SUBSCRIPTION_HEARTBEAT_S:
            return self._frame(Kind.HEARTBEAT)
        return None

    def _checkpoint_due(self) -> bool:
        if self._position == self._told:
            return False
        return self._clock() - self._told_at >= SUBSCRIPTION_CHECKPOINT_S

    def _pause_s(self) -> float:
        """How long there is nothing to be said unless an event comes."""
        moved = self._position != self._told
        limit = SUBSCRIPTION_CHECKPOINT_S if moved else SUBSCRIPTION_HEARTBEAT_S
        return max(self._told_at + limit - self._clock(), 0.0)

    async def _from_tail(self) -> tuple[bytes, Refusal | None]:
        """Takes what passes of the tail's events, up to a page of it. A refusal comes behind what
        passed before it.
        """
        parts: list[bytes] = []
        size = 0
        # No page is held while a frame is sent: those of the tail go when their room is needed.
        while (page := self._tail.page_after(self._position)) is not None:
            if size and size + page.rows.size_bytes > PAGE_BYTES:
                break
            if self._position < page.first and self._wanted.all_of(page):
                part = self._tail.encoded(page)
            else:
                part, failure = await self._select(page.rows, self._position + 1 - page.first)
                if failure is not None:
                    parts.append(part)
                    return b"".join(parts), failure
            parts.append(part)
            size += len(part)
            self._position, self._token = page.last, page.token
        return b"".join(parts), None

    async def _select(
        self, rows: _core.Batch, first: int, stream: str | None = None
    ) -> tuple[bytes, Refusal | None]:
        """What passes the filter of a page, from a row on. Up to a failure, which moves the
        subscription to the event before it.
        """
        parts: list[bytes] = []
        async with aclosing(selections(self._filter, rows, first, stream)) as selected:
            async for part in selected:
                parts.append(part.encoded)
                if part.failure is not None:
                    return b"".join(parts), await self._stopped(rows, part.next, part.failure)
        return b"".join(parts), None

    async def _stopped(self, rows: _core.Batch, at: int, failure: _core.CoreError) -> Refusal:
        """Moves to the event before the one at which the filter failed."""
        sent = None
        if at > 0:
            sent = rows.position(at - 1), UUID(rows.event_id(at - 1)).bytes
        await self._advance(rows.position(at) - 1, sent)
        return Refusal.of_core(failure)

    async def _advance(self, position: int, sent: tuple[int, bytes] | None) -> None:
        """Moves on to a position; `sent`: an event that is about to be sent."""
        if position > self._position:
            self._token = await token_after(self._log, self._token, position, sent)
            self._position = position

    async def _stored(self) -> AsyncGenerator[Frame]:
        """The frames of what is stored behind the position, up to the head of now."""
        head = await self._log.head()
        if head < self._position:
            # Lost events, if the token does not say otherwise.
            await position_of_token(self._log, self._token)
        mapping_digest = self._tail.mapping_digest
        source = await self._source(head)
        async with aclosing(source.pages) as pages:
            async for page in pages:
                self._tail.check_open()
                events, failure = page.encoded or b"", None
                if page.batch is not None:
                    events, failure = await self._select(page.batch, 0, self._wanted.stream)
                if failure is None:
                    sent = (page.last_position, page.last_id) if page.rows else None
                    await self._advance(await source.reached(page), sent)
                # What is worked on now is let go while the client takes its time.
                del page
                if events:
                    yield self._frame(Kind.EVENTS, events)
                    del events
                opened.sent()
                if failure is not None:
                    raise failure
                if self._checkpoint_due():
                    yield self._frame(Kind.CHECKPOINT)
                if mapping_digest != self._tail.mapping_digest:
                    # What follows is to be read by the mappings of now.
                    return
        # Where there is nothing to read, all was looked at too.
        await self._advance(head, None)

    async def _source(self, head: int) -> _Source:
        """The stored events behind the position up to the head, as far as SQL can tell which are
        wanted.
        """
        wanted, lower = self._wanted, self._position + 1
        encoded = wanted.where is None
        if wanted.stream is not None:
            # The statement for streams, which every read of one takes, has copies too.
            return await self._stream_source(wanted.stream, head, encoded and wanted.with_copies)
        if wanted.categories:
            pages = self._log.categories_pages(
                sorted({one for one in wanted.categories
                        if wanted.with_system or not one.startswith("$")}),
                lower,
                head,
                types=wanted.types,
                tags=wanted.tags,
                with_copies=wanted.with_copies,
                window=CATEGORY_WINDOW_POSITIONS,
                encoded=encoded,
                view=wanted.view,
            )  # fmt: skip
        else:
            pages = self._log.log_pages(
                lower,
                head,
                with_system=wanted.with_system,
                with_copies=wanted.with_copies,
                categories=None,
                types=wanted.types,
                tags=wanted.tags,
                window=LOG_WINDOW_POSITIONS,
                encoded=encoded,
                view=wanted.view,
            )
        return _Source(pages, head)

    async def _stream_source(self, name: str, head: int, encoded: bool) -> _Source:
        # After the head: all of its events up to there are among its versions.
        row = await self._log.stream(name)
        if row is None:
            return _Source(_nothing(), head)
        if row.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=name)
        lower = await self._log.version_from(row.stream_no, row.version, self._position + 1)
        if lower is None:
            raise changed()
        pages = self._log.stream_pages(
            row.stream_no,
            lower,
            row.version,
            stream=name,
            types=self._wanted.types,
            tags=self._wanted.tags,
            window=LOG_WINDOW_POSITIONS,
            encoded=encoded,
            view=self._wanted.view,
        )
        return _StreamSource(pages, head, self._log, row.stream_no)


@dataclass(frozen=True)
class _Source:
    """Stored pages up to a head, and how far each of them gets the subscription."""

    pages: Pages
    head: int

    async def reached(self, page: _core.Page) -> int:
        """The position up to which all was looked at with this page."""
        return max(self.head, page.last_position) if page.done else page.looked_at or 0


@dataclass(frozen=True)
class _StreamSource(_Source):
    """The pages of a stream, which are looked at by version."""

    log: LogStorage
    stream_no: int

    async def reached(self, page: _core.Page) -> int:
        """The position up to which all was looked at with this page."""
        if page.done or page.looked_at is None:
            return await super().reached(page)
        if page.looked_at == page.last_version:
            return page.last_position
        return await self.log.position_of(self.stream_no, page.looked_at)


async def _nothing() -> Pages:
    """The pages of a stream that has no event yet."""
    for page in list[_core.Page]():
        yield page
