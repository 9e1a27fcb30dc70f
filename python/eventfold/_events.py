"""Events: as they are handed in, and as they are stored."""

import datetime as dt
import enum
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventfold._errors import InvalidValue
from eventfold._json import Numbers, as_uuid_text, check_json, decode, encode
from eventfold._time import from_timestamp, to_timestamp
from eventfold._uuid7 import uuid7
from eventfold.v1 import event_store_pb2 as pb

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    JsonObject = Mapping[str, Any] | DataclassInstance | bytes


class EventFlags(enum.IntFlag):
    """Marks of the server on a stored event."""

    VALIDATED_V1 = 1
    """Data and metadata passed the strict check of format 1 before they were stored."""
    ESCAPED_KEYS = 2
    """A key of the data is spelled with an escape."""
    SEALED = 4
    """At least one value of the data is sealed."""


@dataclass(frozen=True, slots=True, init=False)
class Event:
    """An event to be stored.

    Data and metadata are encoded when the object is made, so that a repeated append sends the
    same bytes under the same id, and later changes of the mapping change nothing.

    Attributes:
        type: name of what happened, such as `MoneyDeposited`; 1 to 128 bytes of UTF-8.
        data: a mapping or a dataclass that becomes a JSON object of at most 1 MiB, or `bytes`
            that hold one. `Decimal`, long ints, aware `datetime`, `UUID`, dataclasses may stand
            anywhere in it. Default: `{}`.
        metadata: the same, at most 64 KiB. Reserved names: `causation_id`, `correlation_id`,
            `refs`. Default: `{}`.
        tags: a set of strings of 1 to 128 bytes, at most 64. Default: none.
        id: UUID of the event, as `UUID` or text. Default: a new one of version 7. It makes an
            append idempotent: the same events again are not stored twice.
        occurred_at: when it happened; a `datetime` with a time zone. Default: the time at which
            the server records the event.

    Raises:
        InvalidValue: data or metadata have no JSON form or are no object, the id is no UUID, or
            `occurred_at` has no time zone.
        TypeError: `type` is no string, or `tags` are a single string.
    """

    type: str
    data: "JsonObject"
    metadata: "JsonObject"
    tags: tuple[str, ...]
    id: str
    occurred_at: dt.datetime | None
    _message: pb.NewEvent = field(repr=False, compare=False)

    def __init__(
        self,
        type: str,
        data: "JsonObject | None" = None,
        metadata: "JsonObject | None" = None,
        tags: Iterable[str] = (),
        id: str | uuid.UUID | None = None,
        occurred_at: dt.datetime | None = None,
    ) -> None:
        if not isinstance(type, str):
            raise TypeError(f"the event type must be a str, not {type!r}")
        if isinstance(tags, str):
            raise TypeError("tags must be several strings, not one")
        put = object.__setattr__
        put(self, "type", type)
        put(self, "data", {} if data is None else data)
        put(self, "metadata", {} if metadata is None else metadata)
        put(self, "tags", tuple(tags))
        put(self, "id", str(uuid7()) if id is None else as_uuid_text(id))
        put(self, "occurred_at", occurred_at)
        message = pb.NewEvent(
            id=self.id,
            type=_checked_text(type, "type"),
            data=_object_text(self.data, "data"),
            # Empty metadata are left out on the wire; empty data must be an object.
            metadata=_object_text(self.metadata, "metadata") if self.metadata else b"",
            tags=[_checked_text(tag, "tags") for tag in self.tags],
            occurred_at=None if occurred_at is None else to_timestamp(occurred_at, "occurred_at"),
        )
        put(self, "_message", message)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def data_json(self) -> bytes:
        """The data as it is sent."""
        return self._message.data

    @property
    def metadata_json(self) -> bytes:
        """The metadata as they are sent; empty: none."""
        return self._message.metadata


def _checked_text(value: str, name: str) -> str:
    """The text itself; protobuf would raise an error of its own at a lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"{name} holds a lone surrogate"
        raise InvalidValue(problem, {"path": name, "problem": problem}) from error
    return value


def _object_text(value: Any, name: str) -> bytes:
    text = check_json(value) if isinstance(value, bytes) else encode(value)
    if text.lstrip()[:1] != b"{":
        problem = f"{name} must be a JSON object, not {type(value).__name__}"
        raise InvalidValue(problem, {"path": name, "problem": problem})
    return text


class RecordedEvent:
    """A stored event.

    Data and metadata are decoded when they are first touched, and then kept: treat them as
    constants. Two recorded events are equal if all that is stored of them is equal.
    """

    __slots__ = ("_data", "_message", "_metadata", "_numbers")

    _UNREAD = object()

    def __init__(self, message: pb.RecordedEvent, numbers: Numbers = "decimal") -> None:
        self._message = message
        self._numbers = numbers
        self._data = self._metadata = RecordedEvent._UNREAD

    @property
    def id(self) -> str:
        """UUID in canonical lower case."""
        return self._message.id

    @property
    def stream(self) -> str:
        """Name of its stream."""
        return self._message.stream

    @property
    def type(self) -> str:
        """Name of what happened."""
        return self._message.type

    @property
    def data(self) -> Any:
        """The data, a `dict`. Numbers with fraction or exponent are `Decimal`, unless the client
        was made with `numbers="float"`. `{}` if the payload was deleted.
        """
        if self._data is RecordedEvent._UNREAD:
            self._data = decode(self._message.data, self._numbers)
        return self._data

    @property
    def data_json(self) -> bytes:
        """The data as it was sent, byte for byte."""
        return self._message.data

    @property
    def metadata(self) -> Any:
        """The metadata, a `dict`."""
        if self._metadata is RecordedEvent._UNREAD:
            self._metadata = decode(self._message.metadata, self._numbers)
        return self._metadata

    @property
    def metadata_json(self) -> bytes:
        """The metadata as they were sent, byte for byte."""
        return self._message.metadata

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, sorted bytewise."""
        return tuple(self._message.tags)

    @property
    def version(self) -> int:
        """Its place in the stream, from 1 and without gaps."""
        return self._message.version

    @property
    def position(self) -> int:
        """Its place in the log, from 1, without gaps, in the order of commits."""
        return self._message.position

    @property
    def recorded_at(self) -> dt.datetime:
        """When the server recorded it, in UTC; never decreases with the position."""
        return from_timestamp(self._message.recorded_at)

    @property
    def occurred_at(self) -> dt.datetime:
        """When it happened, as the writer said, in UTC; else `recorded_at`."""
        return from_timestamp(self._message.occurred_at)

    @property
    def writer(self) -> str:
        """Who appended it: the name of the token, or `anonymous`."""
        return self._message.writer

    @property
    def flags(self) -> EventFlags:
        """Marks of the server."""
        return EventFlags(self._message.flags)

    @property
    def copied_from(self) -> str | None:
        """Id of the event that this one is a copy of."""
        return self._message.copied_from or None

    @property
    def cancels(self) -> str | None:
        """Id of the event that this one cancels."""
        return self._message.cancels or None

    @property
    def trace_context(self) -> str | None:
        """W3C `traceparent` of the call that appended it."""
        return self._message.trace_context or None

    @property
    def deleted(self) -> bool:
        """Whether data, metadata and tags were deleted."""
        return self._message.deleted

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordedEvent):
            return NotImplemented
        return self._message == other._message

    def __hash__(self) -> int:
        return hash((self.id, self.position))

    def __repr__(self) -> str:
        return f"<RecordedEvent {self.type} {self.stream}@{self.version} #{self.position}>"
