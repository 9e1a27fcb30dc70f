"""One stream in time: its state after every version, and what each event changed."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, in_thread
from eventfold_server.domain.hydrate import version_ahead
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.domain.start import Progress, Start
from eventfold_server.domain.starts import Starts
from eventfold_server.errors import Refusal
from eventfold_server.storage.kept import Upto
from eventfold_server.storage.log import LogStorage


@dataclass(frozen=True)
class Range:
    """The versions whose states are sent; see the proto."""

    stream: str
    from_version: int
    to_version: int | None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None

    @property
    def may_go_on(self) -> bool:
        """Whether a kept state can lead there: all events before it count."""
        return self.recorded_at is None and self.occurred_at is None


# Encodes rows of a batch from an index on into a message, up to about 1 MiB; returns the message
# and the index of the next row.
Encode = Callable[[_core.Batch, int, int], tuple[bytes, int]]


class Historian:
    """Folds single streams of one store, and tells of every version."""

    def __init__(self, log: LogStorage, starts: Starts, lines: Lines) -> None:
        self._log = log
        self._starts = starts
        self._lines = lines

    async def states(self, wanted: Range, ref: FoldRef) -> AsyncGenerator[bytes]:
        """The state after each version, as serialised messages."""
        async for message in self._each(wanted, ref, lambda run: run.history):
            yield message

    async def explain(self, wanted: Range, ref: FoldRef) -> AsyncGenerator[bytes]:
        """What each event changed, as serialised messages."""
        async for message in self._each(wanted, ref, lambda run: run.explain):
            yield message

    async def _each(
        self, wanted: Range, ref: FoldRef, how: Callable[[_core.FoldRun], Encode]
    ) -> AsyncIterator[bytes]:
        readable_stream_name(wanted.stream)
        # The state from before the first version that is asked for.
        up_to = wanted.from_version - 1 if wanted.may_go_on else 0
        start = await self._starts.of(wanted.stream, ref, up_to)
        if not wanted.may_go_on:
            start = replace(start, keeps=False)
        head = start.head
        if wanted.from_version > head.version + 1:
            raise version_ahead(head, wanted.from_version)
        if start.deleted is not None:
            raise start.deleted
        last = head.version if wanted.to_version is None else min(wanted.to_version, head.version)
        # Nothing is folded for an empty range.
        if wanted.from_version <= last:
            async for message in self._fold_parts(start, wanted, last, how):
                yield message

    async def _fold_parts(
        self, start: Start, wanted: Range, last: int, how: Callable[[_core.FoldRun], Encode]
    ) -> AsyncIterator[bytes]:
        """The messages for versions up to `last`. With each cancellation that the fold skips, all
        is folded anew without what it cancels.
        """
        if not start.fold.skip_cancelled:
            async for message in self._fold_part(Progress(start), wanted, last, how):
                yield message
            return
        times = Upto(recorded_at=wanted.recorded_at, occurred_at=wanted.occurred_at)
        [informed] = await self._starts.informed([start], last, times)
        known = informed.cancellations
        cuts = [version for version in known.versions if wanted.from_version <= version <= last]
        # The states from one cut on, up to the one before the next; the first part may have none,
        # and leads to the state before.
        begins = [wanted.from_version - 1, *cuts]
        before: _core.FoldRun | None = None
        for begin, end in zip(begins, [*(cut - 1 for cut in cuts), last], strict=True):
            part = replace(start.knowing(known, begin), keeps=start.keeps and end == last)
            progress = Progress(part, before=before)
            shown = replace(wanted, from_version=max(begin, wanted.from_version))
            async for message in self._fold_part(progress, shown, end, how):
                yield message
            before = progress.run

    async def _fold_part(
        self,
        progress: Progress,
        wanted: Range,
        last: int,
        how: Callable[[_core.FoldRun], Encode],
    ) -> AsyncIterator[bytes]:
        """The messages of a run, which inherits where its stream does."""
        try:
            async for message in self._fold(progress, wanted, last, how):
                yield message
            return
        except _core.CoreError as error:
            refusal = Refusal.of_core(error)
        # The first event of the stream says so: nothing was sent yet. Before it, there is the
        # initial state all the same.
        initial = progress.start.run() if wanted.from_version <= 1 else None
        progress.begin_anew(await self._lines.inheriting(progress.start, refusal), initial)
        try:
            async for message in self._fold(progress, wanted, last, how):
                yield message
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    async def _fold(
        self, progress: Progress, wanted: Range, last: int, how: Callable[[_core.FoldRun], Encode]
    ) -> AsyncIterator[bytes]:
        """The messages of a run for versions up to `last`."""
        start = progress.start
        stream_no = start.head.stream_no
        if stream_no is None:
            return
        batches = self._log.stream_batches(
            stream_no,
            start.kept.version if start.kept else 1,
            last,
            stream=start.head.name,
            recorded_at=wanted.recorded_at,
            occurred_at=wanted.occurred_at,
            rules=start.rules,
        )
        async with aclosing(batches):
            async for page in batches:
                if not page.rows:
                    break
                assert page.batch is not None
                begun = progress.begin(page.batch)
                if begun is None:
                    # Nothing was sent yet.
                    progress.begin_anew(self._starts.drop(start))
                    async for message in self._fold(progress, wanted, last, how):
                        yield message
                    return
                row: int = begun
                encode = how(progress.run)
                while row < page.rows:
                    message, row = await in_thread(
                        progress.run, encode, page.batch, row, wanted.from_version
                    )
                    if message:
                        yield message
                progress.reached(page.batch, page.rows - 1)
        self._starts.keep(progress, progress.run.finish())
