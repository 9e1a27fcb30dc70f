"""Times: aware `datetime` here, whole microseconds since 1970 on the wire."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from google.protobuf import timestamp_pb2

from eventfold._errors import InvalidValue

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def micros(value: object, name: str) -> int:
    """An aware time in whole microseconds since 1970.

    Raises:
        InvalidValue: it is no `datetime`, or has no time zone.
    """
    if not isinstance(value, dt.datetime) or value.utcoffset() is None:
        problem = f"{name} must be a datetime with a time zone, not {value!r}"
        raise InvalidValue(problem, {"path": name, "problem": problem})
    return (value - _EPOCH) // _MICROSECOND


def to_timestamp(value: object, name: str) -> "Timestamp":
    """Converts an aware time.

    Raises:
        InvalidValue: it is no `datetime`, or has no time zone.
    """
    seconds, rest = divmod(micros(value, name), 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest * 1000)


def from_timestamp(value: "Timestamp") -> dt.datetime:
    """Converts a time of the wire; always in UTC."""
    return _EPOCH + dt.timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)


def time_of(message: Any, name: str) -> dt.datetime | None:
    """The time in a field of a message; None: it is not set."""
    value: Timestamp = getattr(message, name)
    return from_timestamp(value) if message.HasField(name) else None
