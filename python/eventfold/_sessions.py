"""Appends that travel in sessions: the limits of a session, and what becomes of an append."""

from typing import Any, TypeAlias, TypedDict

from eventfold._core import CoreError, decode_appended
from eventfold._errors import UnexpectedAnswer
from eventfold._failures import error_from_status, unanswered
from eventfold._violations import violations_of
from eventfold.v1 import appends_pb2 as pb

Appended: TypeAlias = tuple[Any, ...]
"""The fields of an `AppendResult`."""

_MESSAGE_BYTES_MAX = 1 << 20


class SessionLimits(TypedDict):
    """What a session of appends holds itself to."""

    appends_max: int
    """Most appends without an answer."""
    bytes_max: int
    """Most bytes of them, unless it is one alone."""
    message_bytes_max: int
    """A message has one append, or several up to this size."""
    idle_s: float
    """A session without appends ends after so many seconds."""


LIMITS: SessionLimits = {
    # The server reads no further while it has so many appends of a session under way,
    "appends_max": 256,
    # nor while it has this much.
    "bytes_max": 8 << 20,
    # A message has one append, or several up to this size.
    "message_bytes_max": _MESSAGE_BYTES_MAX,
    # A session without appends ends after so many seconds.
    "idle_s": 30.0,
}

APPEND_BYTES_MAX = _MESSAGE_BYTES_MAX
"""A longer append is sent alone: it gains nothing by a session, and with its frame it might not
fit into a message."""


def appended(outcome: object, timeout: float) -> Appended:
    """The answer to an append.

    Args:
        outcome: what `_core.SentAppend` came to.
        timeout: seconds of the whole call, for the error.

    Raises:
        EventfoldError: the append was refused, or was not answered in time.
    """
    if isinstance(outcome, tuple):
        return outcome
    if isinstance(outcome, bytes):
        answer = pb.SessionAnswer.FromString(outcome)
        raise error_from_status(answer.refused, violations_of(answer.violations))
    raise unanswered(timeout, is_sent=outcome is True)


def appended_alone(message: bytes) -> Appended:
    """What an `AppendResponse` says.

    Raises:
        UnexpectedAnswer: it is no such message.
    """
    try:
        return decode_appended(message)
    except CoreError as error:
        raise UnexpectedAnswer(error.message) from error
