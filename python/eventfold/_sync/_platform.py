"""What differs between the two clients. Written by hand here and in `_async`."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import grpc

from eventfold._events import Event, EventIterator, RecordedEvent
from eventfold._settings import Settings, channel_options

ItemT = TypeVar("ItemT")

Events: TypeAlias = Iterator[RecordedEvent]

EventPages: TypeAlias = Generator[EventIterator, None, None]

Decide: TypeAlias = Callable[[Any], Iterable[Event]]
"""A decision: the events that follow from a state."""

Attempt: TypeAlias = Callable[[float], ItemT]
"""One attempt of a call, given the seconds that are left."""

Items: TypeAlias = Iterable[ItemT]

sleep = time.sleep


def open_channel(settings: Settings) -> Any:
    """A channel; nothing is sent yet."""
    credentials = settings.credentials()
    if credentials is None:
        return grpc.insecure_channel(settings.target, options=channel_options())
    return grpc.secure_channel(settings.target, credentials, options=channel_options())


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
    return value
