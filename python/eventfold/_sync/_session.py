"""A session of appends, shared by threads. Written by hand here and in `_async`.

Two threads serve it: gRPC's own, which takes the messages to be sent, and one that reads the
answers. Both are daemons, begin with the session, and end with it.
"""

import threading
from collections.abc import Iterator
from typing import Any

import grpc

from eventfold._outbox import IDLE_S, Outbox, Sending, session_ended
from eventfold.v1 import event_store_pb2 as pb


class Waiter:
    """Where one thread waits for what becomes of an append."""

    def __init__(self) -> None:
        self._outcome: Any = None
        self._left = False
        # Held until there is an outcome.
        self._lock = threading.Lock()
        self._lock.acquire()

    def put(self, outcome: Any) -> None:
        """Hands over the outcome."""
        if self._outcome is None:
            self._outcome = outcome
            self._lock.release()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""
        return self._left or self._outcome is not None

    def wait(self, seconds: float) -> Any:
        """The outcome; None if it does not come within so many seconds."""
        if self._lock.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX))):
            return self._outcome
        self._left = True
        # It may have come in between.
        return self._outcome


class Session:
    """One call that carries many appends. It begins at once, and ends when it breaks or idles.

    Args:
        begin: begins the call, given the messages to be sent.
        target: address of the server, for errors.
    """

    def __init__(self, begin: Any, target: str) -> None:
        self.is_over = False
        self._target = target
        self._outbox = Outbox()
        self._changed = threading.Condition()
        self._call = begin(self._messages())
        threading.Thread(target=self._receive, name="eventfold-appends", daemon=True).start()

    def __len__(self) -> int:
        return len(self._outbox)

    def put(self, sending: Sending[Waiter]) -> bool:
        """Sends an append with the next message; False: the session is over, and takes none."""
        with self._changed:
            if self.is_over:
                return False
            self._outbox.put(sending)
            self._changed.notify()
            return True

    def _messages(self) -> Iterator[pb.AppendSessionRequest]:
        while True:
            with self._changed:
                # What is put while a message is on its way goes into the next one.
                while (message := self._outbox.next_message()) is None:
                    if self.is_over:
                        return
                    if not self._changed.wait(IDLE_S) and not self._outbox:
                        self.is_over = True
            yield message

    def _receive(self) -> None:
        failure: BaseException = session_ended(self._target)
        try:
            for message in self._call:
                with self._changed:
                    self._outbox.answer(message)
                    self._changed.notify()
        except grpc.RpcError as error:
            failure = error
        finally:
            with self._changed:
                self.is_over = True
                self._outbox.fail(failure)
                self._changed.notify()
            self._call.cancel()
