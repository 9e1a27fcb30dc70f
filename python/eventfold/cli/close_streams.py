"""Closing the books of a whole category, several streams at once, each once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from eventfold import (
    AsyncClient,
    EventfoldError,
    FoldLike,
    Lifecycle,
    StreamClosed,
    StreamInfo,
    VersionConflict,
)

# Beyond what the server tries by itself while a stream moves.
_ATTEMPTS_MAX = 10
# Errors that concern one stream; with any other there is no use in going on.
_OF_STREAM = {"FAILED_PRECONDITION", "ABORTED", "ALREADY_EXISTS", "INVALID_ARGUMENT", "NOT_FOUND"}
# Of these the request is to blame, which is the same for all streams.
_OF_ALL = {"FOLD_NOT_FOUND", "INVALID_FOLD", "FOLD_TOO_LARGE", "INVALID_EVENT_TYPE"}
FAILURES_REPORTED_MAX = 100


@dataclass(frozen=True)
class Plan:
    """What becomes of every open stream of a category."""

    category: str
    # What the name of the successor has behind that of the first stream of its line.
    suffix: str
    folds: Sequence[FoldLike]
    closing_type: str = ""
    opening_type: str = ""
    # Whether folds that a stream was not opened with are folded through all periods.
    through: bool = False

    def successor(self, stream: StreamInfo) -> str:
        """The stream that goes on."""
        return stream.root + self.suffix


@dataclass
class Counts:
    """How far it has come."""

    closed: int = 0
    # Closed by somebody else meanwhile.
    already: int = 0
    # Of the new period, or begun in it.
    left_open: int = 0
    failed: int = 0
    # Of the first ones: the stream and why.
    failures: list[tuple[str, EventfoldError]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Streams that were looked at."""
        return self.closed + self.already + self.left_open + self.failed


class Closer:
    """Closes the streams of a category that are open and not themselves of the new period.

    What is closed already is not even listed, so a run that was stopped is gone on with by another.
    """

    def __init__(
        self, store: AsyncClient, plan: Plan, in_flight: int, advance: Callable[[int], None]
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._plan = plan
        self._in_flight = in_flight
        self._advance = advance

    async def close_all(self) -> None:
        """Closes all of them; raises what concerns more than one stream, once those under way have
        ended.
        """
        streams = self._store.list_streams(
            category=self._plan.category, lifecycle=Lifecycle.OPEN, page_size=1000
        )
        listing = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._in_flight):
                    group.create_task(self._work(streams, listing))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _work(self, streams: AsyncIterator[StreamInfo], listing: asyncio.Lock) -> None:
        while True:
            async with listing:
                stream = await anext(streams, None)
            if stream is None:
                return
            if stream.name.endswith(self._plan.suffix):
                self.counts.left_open += 1
            else:
                await self._close(stream)
            self._advance(1)

    async def _close(self, stream: StreamInfo) -> None:
        counts = self.counts
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            try:
                closed = await self._store.close_stream(
                    stream.name,
                    successor=self._plan.successor(stream),
                    folds=self._plan.folds,
                    closing_type=self._plan.closing_type,
                    opening_type=self._plan.opening_type,
                    follow="all" if self._plan.through else None,
                )
            except VersionConflict as error:
                if attempt == _ATTEMPTS_MAX:
                    self._failed(stream, error)
            except StreamClosed:
                # It was open when it was listed.
                counts.already += 1
                return
            except EventfoldError as error:
                if error.code not in _OF_STREAM or error.reason in _OF_ALL:
                    raise
                self._failed(stream, error)
                return
            else:
                counts.closed += not closed.duplicate
                counts.already += closed.duplicate
                return

    def _failed(self, stream: StreamInfo, error: EventfoldError) -> None:
        self.counts.failed += 1
        if len(self.counts.failures) < FAILURES_REPORTED_MAX:
            self.counts.failures.append((stream.name, error))
