"""What differs between the two clients. Written by hand here and in `_async`."""

import inspect
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias, TypeVar

from eventfold import _core
from eventfold._events import Event, EventIterator, RecordedEvent
from eventfold._sessions import SessionLimits
from eventfold._settings import Settings

ItemT = TypeVar("ItemT")

Events: TypeAlias = Iterator[RecordedEvent]

EventPages: TypeAlias = Generator[EventIterator, None, None]

Decide: TypeAlias = Callable[[Any], Iterable[Event]]
"""A decision: the events that follow from a state."""

Attempt: TypeAlias = Callable[[float], ItemT]
"""One attempt of a call, given the seconds that are left."""

Items: TypeAlias = Iterable[ItemT]

Call: TypeAlias = _core.Call
"""A call whose answer comes in many messages, and whose request may too."""

sleep = time.sleep


class SentAppend:
    """An append of a session, on its way."""

    def __init__(self, sent: _core.SentAppend) -> None:
        self._sent = sent

    def outcome(self) -> Any:
        """What became of it; see `_core.SentAppend`.

        Raises:
            CallError: the session broke.
        """
        return self._sent.wait()


class Session:
    """One call that carries many appends."""

    def __init__(self, session: _core.AppendSession) -> None:
        self._session = session

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
        sent = self._session.put(request, timeout)
        return None if sent is None else SentAppend(sent)


class Channel:
    """A channel to the server, shared by threads; nothing is sent yet."""

    def __init__(self, settings: Settings) -> None:
        self._channel = _core.Channel(settings.channel())
        self.unary = self._channel.unary
        self.stream = self._channel.stream
        self.session = self._channel.session
        self.close = self._channel.close

    def append_session(self, path: str, limits: SessionLimits) -> Session:
        """Begins a session of appends."""
        return Session(self._channel.append_session(path, **limits))


def me() -> object:
    """Who calls: this thread."""
    return threading.get_ident()


def owner() -> object:
    """Who may use a channel that is opened here: this process."""
    return os.getpid()


def flattened(pages: EventPages) -> Events:
    """The events of all pages; no frame of Python stands between an event and its reader."""
    return chain.from_iterable(pages)


def each(items: Items[ItemT]) -> Iterator[ItemT]:
    """The items of an iterable; the asynchronous client takes asynchronous ones too."""
    return iter(items)


def to_list(events: Events) -> list[RecordedEvent]:
    """All that is still to come."""
    return list(events)


def settle(value: ItemT) -> ItemT:
    """The value itself; the asynchronous client awaits it."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError("nobody awaits here: coroutines go with the asynchronous classes")
    return value
