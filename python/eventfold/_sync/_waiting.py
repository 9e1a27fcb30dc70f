"""Waits that somebody else can end. Written by hand here and in `_async`."""

import threading
import time
from collections.abc import Generator
from typing import Any

from eventfold._core import CallError
from eventfold._reconnects import SILENCE_S
from eventfold._sync import _platform


class SilenceError(Exception):
    """Nothing came for too long."""


class Closing:
    """What `close` sets, from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def is_set(self) -> bool:
        """Whether it is to end."""
        return self._event.is_set()

    def set(self) -> None:
        """Ends all waits."""
        self._event.set()

    def pause(self, seconds: float) -> None:
        """Waits so many seconds, or until it is to end."""
        self._event.wait(seconds)


class _Watch:
    """A thread that cancels a call when nothing comes for too long while somebody waits."""

    def __init__(self, call: _platform.Call) -> None:
        self.was_silent = False
        # None: nobody waits, so that a slow reader is not taken for a dead server.
        self.waiting_since: float | None = None
        self._call = call
        self._over = threading.Event()
        threading.Thread(target=self._run, name="eventfold-watch", daemon=True).start()

    def _run(self) -> None:
        pause = SILENCE_S
        while not self._over.wait(pause):
            since = self.waiting_since
            left = SILENCE_S if since is None else since + SILENCE_S - time.monotonic()
            if left <= 0:
                self.was_silent = True
                self._call.cancel()
                return
            pause = left

    def end(self) -> None:
        self._over.set()


def messages(call: _platform.Call) -> Generator[bytes]:
    """The messages of a call.

    Raises:
        SilenceError: none came for `SILENCE_S` while one was waited for.
        CallError: the call was refused, failed, or was cancelled.
    """
    watch = _Watch(call)
    try:
        while True:
            watch.waiting_since = time.monotonic()
            message = call.next()
            watch.waiting_since = None
            if message is None:
                return
            yield message
    except CallError:
        if watch.was_silent:
            raise SilenceError from None
        raise
    finally:
        watch.end()


def close_source(source: Generator[Any]) -> None:
    """Closes a generator, unless another thread is in it: that one ends by itself."""
    try:
        source.close()
    except ValueError:
        return
