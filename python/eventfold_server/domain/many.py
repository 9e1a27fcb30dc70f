"""Many streams at once: their states, and how a fold gets on with those of a category."""

import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, FoldRegistry, in_thread
from eventfold_server.domain.hydrate import Hydrated
from eventfold_server.domain.lines import Lines, Reached, inherits
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import invalid, readable_stream_name
from eventfold_server.domain.start import Progress, Start
from eventfold_server.domain.starts import Starts
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    FOLD_FAILURES_REPORTED_MAX,
    FOLD_INLINE_STEPS_MAX,
    FOLD_MANY_INLINE_S,
    FOLD_MANY_SLICE_S,
    HYDRATE_MANY_STREAMS_MAX,
    LIST_PAGE_SIZE_MAX,
)
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.kept import HydrateHead
from eventfold_server.storage.log import LogStorage, Pages, Span

# Pages from this size on are folded by a thread, so that other calls go on meanwhile; smaller ones
# cost less than the hand-over.
THREAD_BYTES_MIN = 128 * 1024


@dataclass(frozen=True)
class OfStream:
    """The state of one stream, or why it has none."""

    stream: str
    hydrated: Hydrated | None
    error: Refusal | None = None


@dataclass
class FoldReport:
    """How a fold got on with the streams of a category."""

    streams: int
    events: int
    done: bool
    failed_streams: int
    failures: list[tuple[str, Refusal]]
    unused_handlers: list[str]
    unhandled_types: list[str]
    unseen_fields: list[tuple[str, str]]
    undeclared_fields: list[tuple[str, str]]
    personal_paths: list[str]


class Many:
    """Folds many streams of one store at once."""

    def __init__(
        self,
        log: LogStorage,
        starts: Starts,
        lines: Lines,
        registry: FoldRegistry,
        catalogue: Catalogue,
    ) -> None:
        self._log = log
        self._starts = starts
        self._lines = lines
        self._registry = registry
        self._catalogue = catalogue

    async def states(self, streams: Sequence[str], ref: FoldRef) -> AsyncIterator[OfStream]:
        """The states of the streams, as they become known."""
        if not 1 <= len(streams) <= HYDRATE_MANY_STREAMS_MAX:
            raise invalid(
                "streams", f"1 to {HYDRATE_MANY_STREAMS_MAX} names", HYDRATE_MANY_STREAMS_MAX
            )
        if len(set(streams)) != len(streams):
            raise invalid("streams", "a name stands there twice")
        for stream in streams:
            readable_stream_name(stream)
        # The same for all streams without events.
        empty: Hydrated | None = None
        async for starts in self._starts.of_many(streams, ref):
            live = []
            for start in starts:
                if start.deleted is not None:
                    yield OfStream(start.head.name, None, start.deleted)
                elif start.head.stream_no is None:
                    if empty is None:
                        empty = Hydrated(Progress(start).run.finish(), start.fold.digest, 0)
                    yield OfStream(start.head.name, empty)
                else:
                    live.append(start)
            async for one in self._fold_all(live, None):
                yield one

    async def check(self, category: str, ref: FoldRef) -> AsyncIterator[FoldReport]:
        """Folds all streams of a category; reports after each page of streams, and at the end."""
        if not category:
            raise invalid("category", "is required")
        fold = await self._registry.find(ref)
        await self._catalogue.load()
        # Before the work: a fold that cannot be told apart is refused.
        try:
            personal = await in_thread(None, self._catalogue.rules.personal_paths, fold, category)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        coverage = fold.coverage()
        rules = await self._log.newest_rules(fold)
        report = FoldReport(0, 0, False, 0, [], [], [], [], [], personal)
        after = ""
        while True:
            rows = await self._log.streams(
                after, f"{category}-", f"{category}.", None, False, LIST_PAGE_SIZE_MAX
            )
            starts = [
                Start(
                    HydrateHead(
                        row.name, row.stream_no, row.version, row.lifecycle, row.root, None
                    ),
                    fold,
                    rules,
                    keeps=False,
                    kept=None,
                )
                for row in rows
                if row.lifecycle != LIFECYCLE_DELETED
            ]
            starts = await self._starts.informed(starts)
            async for one in self._fold_all(starts, coverage):
                report.streams += 1
                if one.error is not None:
                    report.failed_streams += 1
                    if len(report.failures) < FOLD_FAILURES_REPORTED_MAX:
                        report.failures.append((one.stream, one.error))
                elif one.hydrated is not None:
                    report.events += one.hydrated.events_read
            if len(rows) < LIST_PAGE_SIZE_MAX:
                break
            after = rows[-1].name
            yield report
        handled = set(fold.event_types)
        report.done = True
        report.unused_handlers = coverage.unused_handlers()
        report.unseen_fields = coverage.unseen_fields()
        await self._catalogue.load()
        undeclared = self._catalogue.rules.undeclared_fields
        report.undeclared_fields = await in_thread(None, undeclared, fold)
        report.unhandled_types = [
            type_ for type_ in await self._log.types_of(category) if type_ not in handled
        ]
        yield report

    async def _fold_all(
        self, starts: Sequence[Start], coverage: _core.Coverage | None
    ) -> AsyncIterator[OfStream]:
        """Folds streams up to the versions of their heads, page by page over all of them. Their
        starts have the same rules.
        """
        streams = _Streams(self._starts, starts, coverage)
        while streams.waiting:
            pages = self._log.streams_batches(streams.spans(), starts[0].rules)
            async with aclosing(pages), aclosing(self._fold_pages(streams, pages)) as folded:
                async for one in folded:
                    yield one
            if not streams.begin_anew():
                break
        # One after the other, each with the state before it: in the order of the periods, so that
        # a line is folded once.
        reached = Reached()
        for start, refusal in sorted(streams.inheriting, key=_place_in_line):
            try:
                inheriting = await self._lines.inheriting(start, refusal, reached)
            except Refusal as error:
                yield OfStream(start.head.name, None, error)
                continue
            async for one in self._fold_all([inheriting], coverage):
                yield one

    async def _fold_pages(self, streams: "_Streams", pages: Pages) -> AsyncGenerator[OfStream]:
        """Folds pages until one has nothing of interest, or an event that cannot be read."""
        while True:
            try:
                page = await anext(pages, None)
            except Refusal as refusal:
                failed = streams.fail(refusal)
                if failed is None:
                    raise
                yield failed
                return
            # What follows what is of no interest may be long.
            if page is None or page.batch is None or not streams.take(page.batch):
                return
            if page.size_bytes < THREAD_BYTES_MIN:
                for one in streams.fold(FOLD_MANY_INLINE_S):
                    yield one
            while streams.parts:
                for one in await in_thread(streams, streams.fold, FOLD_MANY_SLICE_S):
                    yield one
            streams.keep()


def _place_in_line(inheriting: tuple[Start, Refusal]) -> tuple[str, int]:
    head = inheriting[0].head
    assert head.stream_no is not None
    return head.root, head.stream_no


@dataclass(frozen=True)
class _Part:
    """Rows of one stream in a page."""

    stream: str
    batch: _core.Batch
    first: int
    end: int


class _Streams:
    """Streams on their way to their heads: what is still to be read, and to be folded.

    `fold` may run in a thread, while nothing else is done with it but `stop`.
    """

    def __init__(
        self, starts: Starts, streams: Iterable[Start], coverage: _core.Coverage | None
    ) -> None:
        self._starts = starts
        self._coverage = coverage
        # Streams in the order in which they are read; the first may be read in part.
        self.waiting: deque[Start] = deque()
        self.parts: deque[_Part] = deque()
        # The first stream that waits: its run, and the version up to which it was read.
        self._progress: Progress | None = None
        self._read = 0
        self._to_keep: list[tuple[Progress, _core.FoldResult]] = []
        self._anew: list[Start] = []
        # Streams that start from what the ones before them come to, and how that showed.
        self.inheriting: list[tuple[Start, Refusal]] = []
        # Streams whose further rows are of no interest, and whether any row came at all.
        self._skipped: set[str] = set()
        self._came = False
        self._stopped = threading.Event()
        for start in streams:
            # If not, the log is shorter than the one that was folded.
            fits = start.kept is None or start.kept.version <= start.head.version
            self.waiting.append(start if fits else starts.drop(start))

    def spans(self) -> list[Span]:
        """What is to be read."""
        spans = []
        for index, start in enumerate(self.waiting):
            assert start.head.stream_no is not None
            first = start.kept.version if start.kept else 1
            if index == 0 and self._progress is not None:
                first = self._read + 1
            spans.append(Span(start.head.stream_no, first, start.head.version))
        return spans

    def take(self, batch: _core.Batch) -> bool:
        """Takes a page that was read; False if nothing in it is of interest."""
        self._came |= len(batch) > 0
        parts = [
            _Part(name, batch, first, end)
            for name, first, end in batch.streams()
            if name not in self._skipped
        ]
        self.parts.extend(parts)
        return bool(parts)

    def stop(self) -> None:
        """Ends `fold` soon."""
        self._stopped.set()
        progress = self._progress
        if progress is not None:
            progress.run.stop()

    def fold(self, seconds: float) -> list[OfStream]:
        """Folds what was read, for about so long; the streams that are done."""
        until = time.perf_counter() + seconds
        done = []
        while self.parts and not self._stopped.is_set() and time.perf_counter() < until:
            part = self.parts.popleft()
            start = self.waiting[0]
            assert start.head.name == part.stream
            if self._progress is None:
                self._progress = Progress(start, self._coverage)
            finished = self._fold_part(self._progress, part, until)
            if finished is not None:
                done.append(finished)
                self._next()
        return done

    def fail(self, refusal: Refusal) -> OfStream | None:
        """Gives up the first stream that waits if it has an event that cannot be read; None: that
        is not why something was refused.
        """
        name = self.waiting[0].head.name if self.waiting else ""
        if refusal.reason != "MAPPING_FAILED" or refusal.facts.get("stream") != name:
            return None
        self._came = True
        self._next()
        return OfStream(name, None, refusal)

    def keep(self) -> None:
        """Keeps states that were come to."""
        for progress, result in self._to_keep:
            self._starts.keep(progress, result)
        self._to_keep.clear()

    def begin_anew(self) -> bool:
        """Prepares for what is still to be read, among it the streams whose kept states were not
        the log's; False if the last time brought nothing.
        """
        came, self._came = self._came, False
        self._skipped.clear()
        self.waiting.extend(self._starts.drop(start) for start in self._anew)
        self._anew.clear()
        return came

    def _fold_part(self, progress: Progress, part: _Part, until: float) -> OfStream | None:
        """Folds rows of the first stream that waits; its answer when it is done."""
        head = progress.start.head
        batch = part.batch
        row = progress.begin(batch, part.first)
        if row is None:
            self._anew.append(progress.start)
            self._skipped.add(head.name)
            self._next()
            return None
        try:
            while row < part.end:
                row = progress.run.feed(batch, row, part.end, FOLD_INLINE_STEPS_MAX)
                if row < part.end and time.perf_counter() >= until:
                    progress.reached(batch, row - 1)
                    self.parts.appendleft(_Part(part.stream, batch, row, part.end))
                    return None
            progress.reached(batch, part.end - 1)
            self._read = batch.version(part.end - 1)
            if self._read < head.version:
                return None
            result = progress.run.finish()
        except _core.CoreError as error:
            self._skipped.add(head.name)
            refusal = Refusal.of_core(error)
            if progress.start.inherited is None and inherits(refusal):
                self.inheriting.append((progress.start, refusal))
                self._next()
                return None
            return OfStream(head.name, None, refusal)
        self._to_keep.append((progress, result))
        kept_version = progress.kept.version if progress.kept else 0
        return OfStream(head.name, Hydrated(result, progress.start.fold.digest, kept_version))

    def _next(self) -> None:
        self.waiting.popleft()
        self._progress = None
        self._read = 0
