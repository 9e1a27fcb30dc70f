"""A session of a consumer, shared by threads. Written by hand here and in `_async`.

Two threads serve it: gRPC's own, which takes the messages to be sent, and one that reads what
comes. Both are daemons, begin with the session, and end with it.
"""

import threading
from collections.abc import Iterator
from typing import Any

import grpc

from eventfold._desk import Desk, Item, Lost
from eventfold._errors import EventfoldError
from eventfold._events import event_page
from eventfold._json import Numbers
from eventfold._reconnects import ended, silent
from eventfold._sync._session import Waiter
from eventfold.v1 import consumer_groups_pb2 as pb


class ConsumeSession:
    """One call on a group. It begins at once.

    Args:
        begin: begins the call, given the messages to be sent.
        desk: what it has.
        target: address of the server, for errors.
        numbers: how numbers in data are decoded.
    """

    def __init__(self, begin: Any, desk: Desk, target: str, numbers: Numbers) -> None:
        self.desk = desk
        self.was_useful = False
        self.is_over = False
        self._target = target
        self._numbers = numbers
        self._failure: BaseException | None = None
        self._is_ending = False
        # One lock for the desk, and two reasons to wait: for what comes, and for what to send.
        lock = threading.RLock()
        self._came = threading.Condition(lock)
        self._wake = threading.Condition(lock)
        self._call = begin(self._messages())
        threading.Thread(target=self._receive, name="eventfold-consume", daemon=True).start()

    def next(self) -> Item | Lost | None:
        """The next delivery, or one that was lost; None: the session was ended here.

        Raises:
            grpc.RpcError, EventfoldError: what broke it.
        """
        with self._came:
            while True:
                found = self.desk.next()
                if found is not None:
                    return found
                if self.is_over:
                    if self._is_ending:
                        return None
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
        waiter = Waiter()
        with self._wake:
            item.waiters.append(waiter)
            if item.error is not None or item.was_settled:
                item.tell()
            self.desk.flush()
            self._wake.notify()
        return waiter.wait(seconds)

    def end(self, seconds: float) -> None:
        """Sends what is settled, gives back the rest, and waits for the answers."""
        with self._came:
            self._is_ending = True
            self.desk.finish()
            self._came.notify_all()
            self._wake.notify()
            if not self._came.wait_for(lambda: self.is_over, seconds):
                self._call.cancel()

    def cancel(self) -> None:
        """Breaks it off."""
        self._call.cancel()

    def _messages(self) -> Iterator[pb.ConsumeRequest]:
        while True:
            with self._wake:
                while (message := self.desk.next_message()) is None:
                    if self.is_over or self.desk.is_finished:
                        return
                    if self.desk.is_stuck:
                        self._failure = silent(self._target)
                        self._call.cancel()
                        return
                    self._wake.wait(self.desk.wait_s())
            yield message

    def _receive(self) -> None:
        failure: BaseException | None = None
        try:
            for message in self._call:
                page = event_page(message, self._numbers)
                with self._came:
                    self.was_useful = self.desk.receive(page) or self.was_useful
                    self._came.notify_all()
                    self._wake.notify()
        except (grpc.RpcError, EventfoldError) as error:
            failure = error
        finally:
            self._call.cancel()
            with self._came:
                self._failure = self._failure or failure
                self.is_over = True
                self.desk.fail()
                self._came.notify_all()
                self._wake.notify_all()
