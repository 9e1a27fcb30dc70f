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

import grpc
import grpc.aio

from eventfold._events import Event, EventIterator, RecordedEvent
from eventfold._settings import Settings, channel_options

ItemT = TypeVar("ItemT")

Events: TypeAlias = AsyncIterator[RecordedEvent]

EventPages: TypeAlias = AsyncGenerator[EventIterator, None]

Decide: TypeAlias = Callable[[Any], Iterable[Event] | Awaitable[Iterable[Event]]]
"""A decision: the events that follow from a state; it may be a coroutine function."""

Attempt: TypeAlias = Callable[[float], Awaitable[ItemT]]
"""One attempt of a call, given the seconds that are left."""

Items: TypeAlias = Iterable[ItemT] | AsyncIterable[ItemT]

sleep = asyncio.sleep


def open_channel(settings: Settings) -> Any:
    """A channel; nothing is sent yet."""
    credentials = settings.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(settings.target, options=channel_options())
    return grpc.aio.secure_channel(settings.target, credentials, options=channel_options())


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
