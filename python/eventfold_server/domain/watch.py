"""Watching one stream: its state, and then the state after each further event.

As a subscription does, a watch reads stored pages until the tail has what comes next, and falls
back to pages where it is too slow for the tail. Whichever way events come, one run folds each of
them once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, in_thread
from eventfold_server.domain.hydrate import version_ahead
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.log_start import changed
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.domain.start import Progress, Start
from eventfold_server.domain.starts import Starts
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_INLINE_STEPS_MAX, TAIL_POLL_S, WATCH_SIGN_OF_LIFE_S
from eventfold_server.storage.log import LogStorage, StreamRow

# A message without a state: it only says that the watch is alive.
NOTHING = b""


class Watcher:
    """Watches over streams of one store."""

    def __init__(
        self,
        log: LogStorage,
        tail: Tail,
        starts: Starts,
        lines: Lines,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._tail = tail
        self._starts = starts
        self._lines = lines
        self._clock = clock

    async def states(
        self, stream: str, from_version: int, ref: FoldRef
    ) -> AsyncGenerator[bytes | _core.FoldResult]:
        """The states from a version on, as serialised messages without an end; 0: from that of the
        head. The initial state of a stream without events comes as it is.
        """
        readable_stream_name(stream)
        with self._tail.following():
            first = from_version
            if not first:
                row = await self._log.stream(stream)
                first = max(row.version, 1) if row else 1
            start = await self._starts.of(stream, ref, first - 1)
            if first > start.head.version + 1:
                raise version_ahead(start.head, first)
            if start.deleted is not None:
                raise start.deleted
            watch = _Watch(self._log, self._tail, self._starts, start, first)
            # Whoever waits for the first event hears at once that the call is under way.
            told_at = self._clock() - WATCH_SIGN_OF_LIFE_S
            while True:
                try:
                    if not from_version and not start.head.version:
                        yield Progress(start).run.finish()
                        told_at = self._clock()
                    while True:
                        async with aclosing(watch.news()) as news:
                            async for message in news:
                                if message or self._clock() - told_at >= WATCH_SIGN_OF_LIFE_S:
                                    yield message
                                    told_at = self._clock()
                        left = told_at + WATCH_SIGN_OF_LIFE_S - self._clock()
                        if left <= 0:
                            yield NOTHING
                            told_at = self._clock()
                        else:
                            await watch.wait(left)
                except _core.CoreError as error:
                    refusal = Refusal.of_core(error)
                start, first = watch.at
                start = await self._lines.inheriting(start, refusal)
                watch = _Watch(self._log, self._tail, self._starts, start, first)


class _Watch:
    """One stream on its way."""

    def __init__(
        self, log: LogStorage, tail: Tail, starts: Starts, start: Start, from_version: int
    ) -> None:
        self._log = log
        self._tail = tail
        self._starts = starts
        self._start = start
        self._stream = start.head.name
        self._from_version = from_version
        # From the start to the head, where a state may be kept. None: it was there.
        self._progress: Progress | None = Progress(start)
        self._run = self._progress.run
        # The event that was folded last: a log that is read again must have the same one there.
        self._version = start.kept.version if start.kept else 0
        self._event_id: str | None = None
        # All events of the stream up to this position of the log were folded.
        self._position = 0
        # Of the tail, when the last event was compared with the log; None: it is to be.
        self._edition: int | None = None
        # Whether all is to be folded once more; and up to which cancellation it is to be known then
        # what is cancelled, if that has changed.
        self._anew = False
        self._cancelled_to: int | None = None

    @property
    def at(self) -> tuple[Start, int]:
        """Where it starts, and the first version whose state is still to be told."""
        return self._start, self._from_version

    async def news(self) -> AsyncGenerator[bytes]:
        """What is to be told until all that is known of the stream was folded."""
        while True:
            self._tail.check_open()
            if self._is_remapped():
                self._begin_anew()
            if self._edition != self._tail.edition or not self._tail.covers(self._position):
                async with aclosing(self._stored()) as stored:
                    async for message in stored:
                        yield message
                if self._is_remapped():
                    continue
            page = self._tail.page_after(self._position)
            if page is None:
                return
            rows = page.rows.of_stream(self._stream, max(self._position + 1 - page.first, 0))
            self._position = page.last
            # Pages of the tail go when their room is needed, also while a message is sent.
            del page
            if not len(rows):
                continue
            if rows.first_version != self._version + 1 or self._start.head.stream_no is None:
                # Not the log that was folded, or a stream of which nothing is known yet: what is
                # stored tells.
                self._edition = None
                continue
            async with aclosing(self._fold(rows, 0)) as folded:
                async for message in folded:
                    yield message

    async def wait(self, seconds: float) -> None:
        """Returns when there may be news, or the time is over."""
        if not self._tail.covers(self._position):
            # The tail begins with its first follower.
            seconds = min(seconds, TAIL_POLL_S)
        await self._tail.moved(seconds)

    def _is_remapped(self) -> bool:
        """Whether events that were folded are read by other mappings by now."""
        rules = self._log.known_rules(self._start.fold)
        return rules.mapping_digest != self._start.rules.mapping_digest

    def _begin_anew(self) -> None:
        """Folds all by the mappings of now; what was sent is not sent again."""
        rules = self._log.known_rules(self._start.fold)
        self._start = replace(self._start.from_zero(), rules=rules, inherited=None)
        self._from_version = max(self._from_version, self._version + 1)
        self._progress = Progress(self._start)
        self._run = self._progress.run
        self._version, self._event_id = 0, None
        self._position, self._edition = 0, None
        self._anew = True

    def _begin(self, row: StreamRow) -> None:
        """Takes up a stream that had no event before: it may go on from another one."""
        head = replace(self._start.head, stream_no=row.stream_no, root=row.root)
        self._start = replace(self._start, head=head)
        self._progress = Progress(self._start)
        self._run = self._progress.run

    async def _look_up_cancelled(self, stream_no: int, version: int) -> None:
        """Has the run that begins know what is cancelled, if there was more than it knew."""
        if self._cancelled_to is None:
            return
        head = replace(self._start.head, stream_no=stream_no, version=version)
        start = replace(self._start, head=head)
        [self._start] = await self._starts.informed([start], self._cancelled_to)
        self._progress = Progress(self._start)
        self._run = self._progress.run
        self._cancelled_to = None

    async def _stored(self) -> AsyncGenerator[bytes]:
        """Folds what is stored behind the last event."""
        edition = self._tail.edition
        head = await self._log.head()
        # After the head: all of its events up to there are among its versions.
        row = await self._log.stream(self._stream)
        if row is not None and row.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=self._stream)
        version = 0 if row is None else row.version
        if row is not None and self._start.head.stream_no is None:
            self._begin(row)
        if row is not None and version >= self._version:
            await self._look_up_cancelled(row.stream_no, version)
            self._anew = True
            while self._anew:
                self._anew = False
                async with aclosing(self._fold_up_to(row.stream_no, version)) as folded:
                    async for message in folded:
                        yield message
                await self._look_up_cancelled(row.stream_no, version)
        if self._version != version:
            raise changed()
        self._position = max(head, self._position)
        self._edition = edition
        self._keep()

    async def _fold_up_to(self, stream_no: int, version: int) -> AsyncGenerator[bytes]:
        """Folds stored events up to a version, from the last one on, which is only compared."""
        pages = self._log.stream_batches(
            stream_no,
            max(self._version, 1),
            version,
            stream=self._stream,
            recorded_at=None,
            occurred_at=None,
            rules=self._start.rules,
        )
        compared = self._version == 0
        async with aclosing(pages):
            async for page in pages:
                self._tail.check_open()
                rows = page.batch
                # What is worked on now is let go while the client takes its time.
                del page
                if rows is None or not len(rows):
                    return
                first = 0
                if not compared:
                    if not self._is_last(rows):
                        return
                    compared, first = True, 1
                async with aclosing(self._fold(rows, first)) as folded:
                    async for message in folded:
                        yield message
                if self._anew:
                    return
                self._position = max(self._position, rows.last_position)
                if self._progress is not None:
                    self._progress.reached(rows, len(rows) - 1)

    def _is_last(self, rows: _core.Batch) -> bool:
        """Whether the first row is the last event; False: it is not that of the kept state, and
        folding begins anew.
        """
        if self._progress is None or self._event_id is not None:
            if (rows.first_version, rows.event_id(0)) != (self._version, self._event_id):
                raise changed()
            return True
        if self._progress.begin(rows) is None:
            self._progress = Progress(self._starts.drop(self._progress.start))
            self._version, self._anew = 0, True
        else:
            self._event_id = rows.event_id(0)
        self._run = self._progress.run
        return self._version > 0

    async def _fold(self, rows: _core.Batch, row: int) -> AsyncGenerator[bytes]:
        """Folds rows from one on: what is cheap at once, and the rest in a thread. A message may
        be empty.
        """
        run, begun = self._run, False
        while row < len(rows):
            if run.stops_at(rows, row):
                # What this one cancels may have been folded.
                self._cancelled_to = rows.version(row)
                self._begin_anew()
                return
            if begun:
                message, row = await in_thread(run, run.history, rows, row, self._from_version)
            else:
                begun = True
                message, row = run.history(rows, row, self._from_version, FOLD_INLINE_STEPS_MAX)
            if row:
                self._version, self._event_id = rows.version(row - 1), rows.event_id(row - 1)
            yield message

    def _keep(self) -> None:
        """Keeps the state at the head, as a hydration would. What comes from now on is folded as
        it comes, and leaves nothing behind.
        """
        if self._progress is not None:
            if self._progress.start.keeps:
                self._starts.keep(self._progress, self._run.finish())
            self._progress = None
