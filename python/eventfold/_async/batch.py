"""Bulk loads: many appends under way, and their results in order."""

from collections import deque
from collections.abc import AsyncGenerator

from eventfold import _requests as requests
from eventfold._async import _platform
from eventfold._async.appends import AsyncAppends, AsyncBegun
from eventfold._errors import EventfoldError
from eventfold._results import AppendResult

# Events of appends without an answer are held for a repetition.
_BYTES_MAX = 16 << 20


class AsyncBatch:
    """Appends of one bulk load that are under way, in the order in which they were handed in."""

    def __init__(self, appends: AsyncAppends, in_flight: int, seconds: float) -> None:
        self._appends = appends
        self._in_flight = in_flight
        self._seconds = seconds
        self._window: deque[tuple[str, AsyncBegun]] = deque()
        self._bytes = 0
        # A stream has one append under way, so that a repetition never changes their order.
        self._streams: set[str] = set()

    async def results(
        self, items: _platform.Items[requests.StreamAppendLike]
    ) -> AsyncGenerator[AppendResult | EventfoldError]:
        """The result of each append, or its error, in order; pulls appends while there is room."""
        try:
            async for stream, events, expected_version in _platform.each(items):
                try:
                    request = requests.append_request(stream, events, expected_version)
                except EventfoldError as error:
                    while self._window:
                        yield await self._next_result()
                    yield error
                    continue
                size = len(request)
                while self._window and not self._has_room(stream, size):
                    yield await self._next_result()
                begun = self._appends.begin(request, self._seconds)
                self._window.append((stream, begun))
                self._streams.add(stream)
                self._bytes += size
            while self._window:
                yield await self._next_result()
        finally:
            # So that every append that was sent has an outcome when the load is over.
            for _, begun in self._window:
                await self._appends.abandon(begun)

    def _has_room(self, stream: str, size: int) -> bool:
        return (
            len(self._window) < self._in_flight
            and self._bytes + size <= _BYTES_MAX
            and stream not in self._streams
        )

    async def _next_result(self) -> AppendResult | EventfoldError:
        stream, begun = self._window.popleft()
        self._streams.discard(stream)
        self._bytes -= len(begun.request)
        try:
            return AppendResult(*await self._appends.finish(begun))
        except EventfoldError as error:
            return error
