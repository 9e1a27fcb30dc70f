"""Reading events: an iterator that survives broken connections."""

from typing import Any, Self

from eventfold._async import _platform
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._cursor import Cursor
from eventfold._errors import UnexpectedAnswer
from eventfold._events import RecordedEvent, event_page
from eventfold._methods import Method, Safety
from eventfold._references import Leads
from eventfold._results import ReadEnd
from eventfold.v1 import event_store_pb2 as pb


class AsyncEventReader:
    """The events of a read, in order; an asynchronous iterator that is used once.

    The call begins with the first event that is asked for. When the connection breaks, the read
    goes on behind the last event that came, without gap or repetition; it then sees the stream or
    the log as it stands at that moment. The timeout bounds the time in which nothing new comes,
    not the whole read.

    Leaving the loop early ends the call; `aclose` does so at once, and so does leaving
    `async with`.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        method: Method[Any, Any],
        cursor: Cursor[Any],
        timeout: float | None,
        resolves: bool = False,
    ) -> None:
        self._connection = connection
        self._method = method
        self._cursor = cursor
        self._timeout = connection.timeout(timeout)
        self._resolves = resolves
        self._end: ReadEnd | None = None
        self._pages = self._read()
        self._events = _platform.flattened(self._pages)

    @property
    def end(self) -> ReadEnd:
        """Where the read ended: version, position, resume token, whether the end was reached.

        Raises:
            RuntimeError: not all events of the read were taken yet.
        """
        if self._end is None:
            raise RuntimeError("the end of a read is known when all of its events were taken")
        return self._end

    def __aiter__(self) -> _platform.Events:
        return self._events

    async def __anext__(self) -> RecordedEvent:
        return await self._events.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the read."""
        await self._pages.aclose()

    async def to_list(self) -> list[RecordedEvent]:
        """All events that are still to come."""
        return await _platform.to_list(self._events)

    async def _read(self) -> _platform.EventPages:
        numbers = self._connection.settings.numbers
        failures = 0
        while True:
            has_progress = False
            leads = Leads(numbers)
            call = self._connection.stream(self._method, self._cursor.request(), self._timeout)
            try:
                while (message := await call.next()) is not None:
                    page = event_page(message, numbers)
                    rest = pb.ReadResponse.FromString(page.rest)
                    leads.extend(rest.references)
                    first = self._cursor.accept(page)
                    if self._resolves and page:
                        # What its events refer to has come with them, or before.
                        page.resolve(leads)
                        leads = Leads(numbers)
                    has_progress = has_progress or len(page) > first
                    events = page.events(first)
                    try:
                        yield events
                    finally:
                        # Whoever iterates over it sees the end of a read that was closed.
                        events.close()
                    if rest.HasField("end"):
                        self._cursor.finish()
                        self._end = ReadEnd._from_wire(rest.end, self._cursor.stream)
                if self._end is None:
                    raise UnexpectedAnswer("the answer stopped without its last message")
                return
            except CallError as error:
                if self._end is not None:
                    # All has been read; only the status of the call got lost.
                    return
                failure = self._connection.failure(error, self._timeout, Safety.READ)
            finally:
                call.cancel()
            failures = 0 if has_progress else failures + 1
            await self._connection.pause_or_raise(failure, failures)
