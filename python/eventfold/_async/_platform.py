"""What differs between the two clients. Written by hand here and in `_sync`."""

import asyncio
import inspect
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from typing import Any, TypeAlias, TypeVar

from eventfold import _core
from eventfold._events import Event, EventIterator, RecordedEvent
from eventfold._sessions import SessionLimits
from eventfold._settings import Settings

ItemT = TypeVar("ItemT")

Events: TypeAlias = AsyncIterator[RecordedEvent]

EventPages: TypeAlias = AsyncGenerator[EventIterator, None]

Decide: TypeAlias = Callable[[Any], Iterable[Event] | Awaitable[Iterable[Event]]]
"""A decision: the events that follow from a state; it may be a coroutine function."""

Attempt: TypeAlias = Callable[[float], Awaitable[ItemT]]
"""One attempt of a call, given the seconds that are left."""

Items: TypeAlias = Iterable[ItemT] | AsyncIterable[ItemT]

sleep = asyncio.sleep


class Call:
    """A call whose answer comes in many messages, and whose request may too."""

    def __init__(self, call: _core.Call) -> None:
        self._call = call

    async def next(self) -> bytes | None:
        """The next message; None: the call ended well.

        Raises:
            CallError: the call was refused or failed.
        """
        future = asyncio.get_running_loop().create_future()
        self._call.begin_next(future)
        message: bytes | None = await future
        return message

    async def send(self, message: bytes) -> None:
        """Sends a message of a session, and waits while the server reads no further.

        Raises:
            CallError: the call is over; `next` says why.
        """
        future = asyncio.get_running_loop().create_future()
        self._call.begin_send(future, message)
        await future

    def done_sending(self) -> None:
        """Says that no more messages will come."""
        self._call.done_sending()

    def cancel(self) -> None:
        """Ends the call."""
        self._call.cancel()


class SentAppend:
    """An append of a session, on its way."""

    def __init__(self, sent: _core.SentAppend, future: "asyncio.Future[Any]") -> None:
        self._sent = sent
        self._future = future

    async def outcome(self) -> Any:
        """What became of it; see `_core.SentAppend`.

        Raises:
            CallError: the session broke.
        """
        try:
            return await self._future
        except asyncio.CancelledError:
            self._sent.leave()
            raise


class Session:
    """One call that carries many appends."""

    def __init__(self, session: _core.AppendSession) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._is_flushing = False

    def __len__(self) -> int:
        """The number of appends without an answer."""
        return len(self._session)

    @property
    def is_over(self) -> bool:
        """Whether it takes no more appends."""
        return self._session.is_over

    @property
    def sent(self) -> int:
        """The number of appends that were sent and are without an answer."""
        return self._session.sent

    def put(self, request: bytes, timeout: float) -> SentAppend | None:
        """Sends an append with the next message; None: the session is over, and takes none."""
        future = self._loop.create_future()
        sent = self._session.begin_put(future, request, timeout)
        if sent is None:
            return None
        if not self._is_flushing:
            # After all tasks that can go on now: what they append travels in one message, and the
            # server stores it with one flush to the disk.
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        return SentAppend(sent, future)

    def _flush(self) -> None:
        self._is_flushing = False
        self._session.flush()


class Channel:
    """A channel to the server, on the event loop that is running; nothing is sent yet."""

    def __init__(self, settings: Settings) -> None:
        self._channel = _core.Channel(settings.channel())
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel.fileno(), self._channel.tell)

    async def unary(self, path: str, request: bytes, timeout: float) -> bytes:
        """Makes a call of one message and one answer.

        Raises:
            CallError: the call was refused or failed.
        """
        future = self._loop.create_future()
        job = self._channel.begin_unary(future, path, request, timeout)
        try:
            answer: bytes = await future
        except asyncio.CancelledError:
            job.cancel()
            raise
        return answer

    def stream(self, path: str, request: bytes, timeout: float | None) -> Call:
        """Begins a call with many messages in answer."""
        return Call(self._channel.stream(path, request, timeout))

    def session(self, path: str) -> Call:
        """Begins a call without a deadline of many messages both ways."""
        return Call(self._channel.session(path))

    def append_session(self, path: str, limits: SessionLimits) -> Session:
        """Begins a session of appends."""
        return Session(self._channel.append_session(path, **limits))

    async def close(self) -> None:
        """Ends the connection, and waits until calls under way have been told."""
        future = self._loop.create_future()
        self._channel.begin_close(future)
        await future
        self._loop.remove_reader(self._channel.fileno())


def me() -> object:
    """Who calls: this task."""
    return asyncio.current_task()


def owner() -> object:
    """Who may use a channel that is opened here: this process and this event loop."""
    return os.getpid(), asyncio.get_running_loop()


async def flattened(pages: EventPages) -> Events:
    """The events of all pages."""
    async for page in pages:
        for event in page:
            yield event


async def each(items: Items[ItemT]) -> AsyncIterator[ItemT]:
    """The items of an iterable of either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def to_list(events: Events) -> list[RecordedEvent]:
    """All that is still to come."""
    return [event async for event in events]


async def settle(value: ItemT | Awaitable[ItemT]) -> ItemT:
    """The value, awaited if it has to be."""
    if inspect.isawaitable(value):
        return await value
    return value
