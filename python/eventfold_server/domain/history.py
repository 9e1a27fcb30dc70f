"""States beyond one at a time: many streams, every version, explanations, checks of folds."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from eventfold import _core
from eventfold_server.domain.folding import (
    FoldRef,
    FoldRegistry,
    decode,
    feed,
    in_thread,
)
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import invalid, readable_stream_name
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    FOLD_FAILURES_REPORTED_MAX,
    HYDRATE_MANY_STREAMS_MAX,
    LIST_PAGE_SIZE_MAX,
)
from eventfold_server.storage.log import LogStorage, Page, StreamHead


@dataclass(frozen=True)
class OfStream:
    """The state of one stream, or why it has none."""

    stream: str
    result: _core.FoldResult | None
    fold_digest: str
    error: Refusal | None


@dataclass(frozen=True)
class Range:
    """The versions whose states are sent; see the proto."""

    stream: str
    from_version: int
    to_version: int | None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None


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


# Encodes rows of a batch from an index on into a message, up to about 1 MiB; returns the message
# and the index of the next row.
Encode = Callable[[_core.Batch, int, int], tuple[bytes, int]]


class Historian:
    """Folds the streams of one store in every way but the plain one."""

    def __init__(self, log: LogStorage, registry: FoldRegistry) -> None:
        self._log = log
        self._registry = registry

    async def many(self, streams: Sequence[str], ref: FoldRef) -> AsyncIterator[OfStream]:
        """The states of many streams, as they become known."""
        if not 1 <= len(streams) <= HYDRATE_MANY_STREAMS_MAX:
            raise invalid(
                "streams", f"1 to {HYDRATE_MANY_STREAMS_MAX} names", HYDRATE_MANY_STREAMS_MAX
            )
        if len(set(streams)) != len(streams):
            raise invalid("streams", "a name stands there twice")
        for stream in streams:
            readable_stream_name(stream)
        fold = await self._registry.find(ref)
        heads = await self._log.streams_named(streams)
        known = {head.name for head in heads}
        for stream in streams:
            if stream not in known:
                yield OfStream(stream, fold.run(stream, stream).finish(), fold.digest, None)
        live = []
        for head in heads:
            if head.lifecycle == LIFECYCLE_DELETED:
                gone = Refusal("STREAM_DELETED", "the stream was deleted", stream=head.name)
                yield OfStream(head.name, None, fold.digest, gone)
            else:
                live.append(head)
        async for done in self._fold_all(fold, live, None):
            yield done

    async def states(self, wanted: Range, ref: FoldRef) -> AsyncIterator[bytes]:
        """The state after each version, as serialised messages."""
        async for message in self._each(wanted, ref, lambda run: run.history):
            yield message

    async def explain(self, wanted: Range, ref: FoldRef) -> AsyncIterator[bytes]:
        """What each event changed, as serialised messages."""
        async for message in self._each(wanted, ref, lambda run: run.explain):
            yield message

    async def check(self, category: str, ref: FoldRef) -> AsyncIterator[FoldReport]:
        """Folds all streams of a category; reports after each page of streams, and at the end."""
        if not category:
            raise invalid("category", "is required")
        fold = await self._registry.find(ref)
        coverage = fold.coverage()
        report = FoldReport(0, 0, False, 0, [], [], [], [])
        after = ""
        while True:
            rows = await self._log.streams(
                after, f"{category}-", f"{category}.", None, False, LIST_PAGE_SIZE_MAX
            )
            heads = [
                StreamHead(row.stream_no, row.name, row.version, row.lifecycle, row.root)
                for row in rows
                if row.lifecycle != LIFECYCLE_DELETED
            ]
            async for one in self._fold_all(fold, heads, coverage):
                report.streams += 1
                if one.error is not None:
                    report.failed_streams += 1
                    if len(report.failures) < FOLD_FAILURES_REPORTED_MAX:
                        report.failures.append((one.stream, one.error))
                elif one.result is not None:
                    report.events += one.result.events_read
            if len(rows) < LIST_PAGE_SIZE_MAX:
                break
            after = rows[-1].name
            yield report
        handled = set(fold.event_types)
        report.done = True
        report.unused_handlers = coverage.unused_handlers()
        report.unseen_fields = coverage.unseen_fields()
        report.unhandled_types = [
            type_ for type_ in await self._log.types_of(category) if type_ not in handled
        ]
        yield report

    async def _fold_all(
        self, fold: _core.Fold, heads: Sequence[StreamHead], coverage: _core.Coverage | None
    ) -> AsyncIterator[OfStream]:
        """Folds streams up to the versions of their heads, page by page over all of them."""
        by_name = {head.name: head for head in heads}
        numbers = sorted(head.stream_no for head in heads)
        run: _core.FoldRun | None = None
        current = ""
        at = (0, 0)
        while numbers:
            page = await self._log.streams_page(numbers, *at)
            if not page.rows:
                break
            batch = decode(page)
            for name, first, end in batch.streams():
                if name != current:
                    if run is not None:
                        yield _finished(current, fold, run)
                    head = by_name[name]
                    run, current = fold.run(name, head.root, coverage=coverage), name
                assert run is not None
                # What was appended after the heads were read waits for the next hydration.
                end = min(end, first + by_name[name].version - batch.version(first) + 1)
                await _feed_part(run, batch, page, first, end)
            at = (by_name[current].stream_no, batch.last_version + 1)
            if not page.full:
                break
        if run is not None:
            yield _finished(current, fold, run)

    async def _each(
        self, wanted: Range, ref: FoldRef, how: Callable[[_core.FoldRun], Encode]
    ) -> AsyncIterator[bytes]:
        readable_stream_name(wanted.stream)
        fold = await self._registry.find(ref)
        row = await self._log.stream(wanted.stream)
        head = 0 if row is None else row.version
        if wanted.from_version > head + 1:
            raise Refusal(
                "VERSION_AHEAD",
                f"version {wanted.from_version} lies beyond the head {head}",
                stream=wanted.stream,
                requested=wanted.from_version,
                head=head,
            )
        if row is None:
            return
        if row.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=wanted.stream)
        run = fold.run(wanted.stream, row.root)
        encode = how(run)
        last = head if wanted.to_version is None else min(wanted.to_version, head)
        if wanted.from_version > last:
            return
        first = 1
        while first <= last:
            page = await self._log.stream_page_until(
                row.stream_no,
                first,
                last,
                position=None,
                recorded_at=wanted.recorded_at,
                occurred_at=wanted.occurred_at,
            )
            if not page.rows:
                return
            batch = decode(page)
            index = 0
            try:
                while index < page.rows:
                    message, index = await in_thread(run, encode, batch, index, wanted.from_version)
                    if message:
                        yield message
            except _core.CoreError as error:
                raise Refusal.of_core(error) from None
            if not page.full:
                return
            first = batch.last_version + 1


async def _feed_part(
    run: _core.FoldRun, batch: _core.Batch, page: Page, first: int, end: int
) -> None:
    """Feeds rows of a page; a run that failed stays failed, and tells so when it is finished."""
    try:
        await feed(run, batch, page.size_bytes * (end - first) // page.rows, first, end)
    except _core.CoreError:
        return


def _finished(stream: str, fold: _core.Fold, run: _core.FoldRun) -> OfStream:
    try:
        return OfStream(stream, run.finish(), fold.digest, None)
    except _core.CoreError as error:
        return OfStream(stream, None, fold.digest, Refusal.of_core(error))
