"""Appends on their way over a session: what waits, and what is without an answer. No I/O."""

import itertools
import time
from collections import deque
from typing import Any, Generic, Protocol, TypeVar

from eventfold._errors import ConnectionFailed, UnexpectedAnswer
from eventfold._failures import error_from_status, unanswered
from eventfold.v1 import event_store_pb2 as pb

APPENDS_MAX = 256
"""The server reads no further while it has so many appends of a session under way."""

# Nor while it has this much.
_BYTES_MAX = 8 << 20
# A message has one append, or several up to this size.
_MESSAGE_BYTES_MAX = 1 << 20

APPEND_BYTES_MAX = _MESSAGE_BYTES_MAX
"""A longer append is sent alone: it gains nothing by a session, and with its frame it might not
fit into a message."""

IDLE_S = 30.0
"""A session without appends ends after so many seconds."""


class Waiter(Protocol):
    """Where somebody waits for what becomes of an append."""

    def put(self, outcome: Any) -> None:
        """Hands over the outcome: a `SessionAnswer`, or what broke the session."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""


WaiterT = TypeVar("WaiterT", bound=Waiter)


class Sending(Generic[WaiterT]):
    """One attempt of an append."""

    __slots__ = ("deadline", "is_sent", "request", "size", "waiter")

    def __init__(self, request: pb.AppendRequest, timeout: float, waiter: WaiterT) -> None:
        self.request = request
        self.size = request.ByteSize()
        self.deadline = time.monotonic() + timeout
        self.waiter = waiter
        self.is_sent = False

    @property
    def remaining(self) -> float:
        """Seconds that are left; a little, where none are."""
        return max(0.001, self.deadline - time.monotonic())


class Outbox:
    """The appends of one session."""

    def __init__(self) -> None:
        self._waiting: deque[Sending[Any]] = deque()
        self._sent: dict[int, Sending[Any]] = {}
        self._sent_bytes = 0
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def put(self, sending: Sending[Any]) -> None:
        """Adds an append."""
        self._waiting.append(sending)

    def next_message(self) -> pb.AppendSessionRequest | None:
        """All that waits and finds room; None: nothing does."""
        message = pb.AppendSessionRequest()
        size = 0
        now = time.monotonic()
        while self._waiting:
            sending = self._waiting[0]
            if not sending.waiter.is_over:
                size += sending.size
                if size > max(_MESSAGE_BYTES_MAX, sending.size) or not self._has_room(sending):
                    break
                self._add(message, sending, now)
            self._waiting.popleft()
        return message if message.appends else None

    def _has_room(self, sending: Sending[Any]) -> bool:
        if not self._sent:
            return True
        fits = self._sent_bytes + sending.size <= _BYTES_MAX
        return fits and len(self._sent) < APPENDS_MAX

    def _add(self, message: pb.AppendSessionRequest, sending: Sending[Any], now: float) -> None:
        number = next(self._numbers)
        sending.is_sent = True
        self._sent[number] = sending
        self._sent_bytes += sending.size
        append = message.appends.add(number=number, append=sending.request)
        append.timeout.FromNanoseconds(max(1, round((sending.deadline - now) * 1e9)))

    def answer(self, message: pb.AppendSessionResponse) -> None:
        """Hands each answer to who waits for it."""
        for answer in message.answers:
            sending = self._sent.pop(answer.number, None)
            if sending is not None:
                self._sent_bytes -= sending.size
                sending.waiter.put(answer)

    def fail(self, failure: object) -> None:
        """Hands what broke the session to all that are without an answer."""
        for sending in (*self._sent.values(), *self._waiting):
            sending.waiter.put(failure)
        self._sent.clear()
        self._waiting.clear()


def session_ended(target: str) -> ConnectionFailed:
    """What becomes of appends without an answer when a session ends, and nobody says why."""
    return ConnectionFailed(f"{target}: the session of appends broke", {"target": target})


def appended(outcome: object, sending: Sending[Any], timeout: float) -> pb.AppendResponse:
    """The answer to an append.

    Args:
        outcome: what its waiter got, save errors of gRPC; None: nothing came in time.
        sending: the attempt.
        timeout: seconds of the whole call, for the error.

    Raises:
        EventfoldError: the append was refused, or failed.
    """
    if outcome is None:
        raise unanswered(timeout, sending.is_sent)
    if isinstance(outcome, ConnectionFailed):
        # One of its own for each who waits: it gathers the frames that it passes.
        raise ConnectionFailed(outcome.message, outcome.facts)
    assert isinstance(outcome, pb.SessionAnswer)
    kind = outcome.WhichOneof("outcome")
    if kind == "appended":
        return outcome.appended
    if kind == "refused":
        raise error_from_status(outcome.refused)
    raise UnexpectedAnswer("the answer to an append is empty")
