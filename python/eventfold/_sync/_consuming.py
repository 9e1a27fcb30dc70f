"""A session of a consumer, shared by threads. Written by hand here and in `_async`.

Two threads serve it: one sends, and one reads what comes. Both are daemons, begin with the session,
and end with it.
"""

import atexit
import threading
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakSet

from eventfold._core import CallError
from eventfold._desk import Desk, Item, Lost
from eventfold._errors import EventfoldError
from eventfold._events import event_page
from eventfold._json import Numbers
from eventfold._reconnects import ended, silent
from eventfold._sync import _platform

_LIVE: "WeakSet[ConsumeSession]" = WeakSet()


@atexit.register
def _end_all() -> None:
    """A thread must not wait in the core when the interpreter goes away below it."""
    for session in list(_LIVE):
        session.abandon()


class ConsumeSession:
    """One call on a group. It begins at once.

    Args:
        call: the call.
        desk: what it has.
        target: address of the server, for errors.
        numbers: how numbers in data are decoded.
    """

    def __init__(self, call: _platform.Call, desk: Desk, target: str, numbers: Numbers) -> None:
        self.desk = desk
        self.was_useful = False
        self.is_over = False
        self._target = target
        self._numbers = numbers
        self._failure: BaseException | None = None
        self._is_stopping = False
        # One lock for the desk, and two reasons to wait: for what comes, and for what to send.
        lock = threading.RLock()
        self._came = threading.Condition(lock)
        self._wake = threading.Condition(lock)
        self._call = call
        for work in (self._receive, self._send):
            threading.Thread(target=work, name="eventfold-consume", daemon=True).start()
        _LIVE.add(self)

    def next(self) -> Item | Lost | None:
        """The next delivery, or one that was lost; None: the session was stopped here.

        Raises:
            CallError, EventfoldError: what broke it.
        """
        with self._came:
            while True:
                found = self.desk.next()
                if found is not None:
                    return found
                if self._is_stopping:
                    return None
                if self.is_over:
                    raise self._failure or ended(self._target)
                self._wake.notify()
                self._came.wait()

    def begin(self, item: Item) -> bool:
        """Notes that somebody handles it from now on; False: it was lost before."""
        with self._wake:
            begun = self.desk.begin(item)
            self._wake.notify()
            return begun

    def settle(
        self, item: Item, action: Any, reason: str = "", delay_s: float | None = None
    ) -> None:
        """Settles a delivery with the next message."""
        with self._wake:
            self.desk.settle(item, action, reason, delay_s)
            self._wake.notify()

    def outcome(self, item: Item, seconds: float) -> Any:
        """What becomes of a delivery; None: nothing within so many seconds."""
        told: SimpleQueue[Any] = SimpleQueue()
        with self._wake:
            self.desk.watch(item, told.put)
            self._wake.notify()
        try:
            return told.get(timeout=seconds)
        except Empty:
            return None

    def stop(self) -> None:
        """Hands nothing out any more."""
        with self._came:
            self._is_stopping = True
            self.desk.stop()
            self._came.notify_all()
            self._wake.notify()

    def wait(self, seconds: float) -> bool:
        """Waits until it is over, as long as that."""
        with self._came:
            return self._came.wait_for(lambda: self.is_over, seconds)

    def end(self, seconds: float) -> None:
        """Sends what is settled, gives back the rest, and waits for the answers."""
        with self._came:
            self.stop()
            self.desk.close()
            self._wake.notify()
        if not self.wait(seconds):
            self._call.cancel()

    def cancel(self) -> None:
        """Breaks it off."""
        self._call.cancel()

    def abandon(self) -> None:
        """Breaks it off, and waits until its threads are through."""
        self.stop()
        self.cancel()
        with self._came:
            self._came.wait_for(lambda: self.is_over, 1.0)

    def _send(self) -> None:
        try:
            while (message := self._next_message()) is not None:
                self._call.send(message)
            self._call.done_sending()
        except CallError:
            # Whoever reads the answers finds out why.
            return

    def _next_message(self) -> bytes | None:
        """Waits for what is due; None: there is nothing more."""
        with self._wake:
            while (message := self.desk.next_message()) is None:
                if self.is_over or self.desk.is_finished:
                    return None
                if self.desk.is_stuck:
                    self._failure = silent(self._target)
                    self._call.cancel()
                    return None
                self._wake.wait(self.desk.wait_s())
            return message.SerializeToString()

    def _receive(self) -> None:
        failure: BaseException | None = None
        try:
            while (message := self._call.next()) is not None:
                page = event_page(message, self._numbers)
                with self._came:
                    self.was_useful = self.desk.receive(page) or self.was_useful
                    self._came.notify_all()
                    self._wake.notify()
        except (CallError, EventfoldError) as error:
            failure = error
        finally:
            self._call.cancel()
            with self._came:
                self._failure = self._failure or failure
                self.is_over = True
                self.desk.fail()
                self._came.notify_all()
                self._wake.notify_all()
