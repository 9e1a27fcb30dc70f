"""Events: as they are handed in, and as they are stored."""

import datetime as dt
import enum
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventfold._core import CoreError, EventIterator, EventPage, RecordedEvent
from eventfold._errors import InvalidValue, UnexpectedAnswer
from eventfold._json import Numbers, as_uuid_text, check_json, encode
from eventfold._time import to_timestamp
from eventfold._uuid7 import uuid7
from eventfold.v1 import event_store_pb2 as pb

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    JsonObject = Mapping[str, Any] | DataclassInstance | bytes


__all__ = ["Event", "EventFlags", "EventIterator", "EventPage", "RecordedEvent", "event_page"]


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


def event_page(message: bytes, numbers: Numbers) -> EventPage:
    """The events of one message of an answer.

    Raises:
        UnexpectedAnswer: it is no such message.
    """
    try:
        return EventPage(message, numbers)
    except CoreError as error:
        raise UnexpectedAnswer(error.message) from error
