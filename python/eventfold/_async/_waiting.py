"""Waits that somebody else can end. Written by hand here and in `_sync`."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from eventfold._async import _platform
from eventfold._reconnects import SILENCE_S


class SilenceError(Exception):
    """Nothing came for too long."""


class Closing:
    """What `close` sets, from any task."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def is_set(self) -> bool:
        """Whether it is to end."""
        return self._event.is_set()

    def set(self) -> None:
        """Ends all waits."""
        self._event.set()

    async def pause(self, seconds: float) -> None:
        """Waits so many seconds, or until it is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


async def messages(call: _platform.Call) -> AsyncGenerator[bytes]:
    """The messages of a call.

    Raises:
        SilenceError: none came for `SILENCE_S` while one was waited for.
        CallError: the call was refused, failed, or was cancelled.
    """
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await call.next()
        except TimeoutError:
            raise SilenceError from None
        if message is None:
            return
        yield message


async def close_source(source: AsyncGenerator[Any]) -> None:
    """Closes a generator, unless another task is in it: that one ends by itself."""
    try:
        await source.aclose()
    except RuntimeError:
        return
