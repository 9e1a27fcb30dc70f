"""One stream in time: its state after every version, and what each event changed."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, in_thread
from eventfold_server.domain.hydrate import version_ahead
from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.domain.starts import Progress, Start, Starts
from eventfold_server.errors import Refusal
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

    def __init__(self, log: LogStorage, starts: Starts) -> None:
        self._log = log
        self._starts = starts

    async def states(self, wanted: Range, ref: FoldRef) -> AsyncIterator[bytes]:
        """The state after each version, as serialised messages."""
        async for message in self._each(wanted, ref, lambda run: run.history):
            yield message

    async def explain(self, wanted: Range, ref: FoldRef) -> AsyncIterator[bytes]:
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
            try:
                async for message in self._fold(start, wanted, last, how):
                    yield message
            except _core.CoreError as error:
                raise Refusal.of_core(error) from None

    async def _fold(
        self, start: Start, wanted: Range, last: int, how: Callable[[_core.FoldRun], Encode]
    ) -> AsyncIterator[bytes]:
        """The messages for versions up to `last`."""
        progress = Progress(start)
        stream_no = start.head.stream_no
        if stream_no is None:
            return
        batches = self._log.stream_batches(
            stream_no,
            start.kept.version if start.kept else 1,
            last,
            recorded_at=wanted.recorded_at,
            occurred_at=wanted.occurred_at,
        )
        async with aclosing(batches):
            async for page in batches:
                if not page.rows:
                    break
                assert page.batch is not None
                begun = progress.begin(page.batch)
                if begun is None:
                    # Nothing was sent yet.
                    from_zero = self._starts.drop(start)
                    async for message in self._fold(from_zero, wanted, last, how):
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
