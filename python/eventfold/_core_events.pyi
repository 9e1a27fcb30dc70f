"""The part of the Rust core that makes events of the bytes of an answer, for the SDK; not a module
of its own: `eventfold._core` has all of it.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Self, TypeAlias, final

from _typeshed import DataclassInstance

from eventfold._events import EventFlags
from eventfold._references import Leads, References, Resolved

JsonObject: TypeAlias = Mapping[str, Any] | DataclassInstance | bytes

@final
class Event:
    """An event to be stored.

    Data and metadata are encoded when the object is made, so that a repeated append sends the
    same bytes under the same id, and later changes of the mapping change nothing.

    Args:
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
        refs: what it refers to. Becomes `refs` of the metadata, which must be a mapping without it.
            Default: nothing.

    Raises:
        InvalidValue: data or metadata have no JSON form or are no object, the id is no UUID,
            `occurred_at` has no time zone, or the metadata hold `refs` already.
        TypeError: `type` is no string, `tags` are a single string, or `refs` come with metadata
            that are no mapping.
    """

    __match_args__: Final = ("type", "data", "metadata", "tags", "id", "occurred_at")

    type: Final[str]
    data: Final[JsonObject]
    metadata: Final[JsonObject]
    tags: Final[tuple[str, ...]]
    id: Final[str]
    occurred_at: Final[dt.datetime | None]
    data_json: Final[bytes]
    """The data as they are sent."""
    metadata_json: Final[bytes]
    """The metadata as they are sent; empty: none."""
    _occurred_us: Final[int | None]

    def __new__(
        cls,
        type: str,
        data: JsonObject | None = None,
        metadata: JsonObject | None = None,
        tags: Iterable[str] | None = None,
        id: str | uuid.UUID | None = None,
        occurred_at: dt.datetime | None = None,
        *,
        refs: References | None = None,
    ) -> Self: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def restore_event(
    fields: tuple[str, Any, Any, tuple[str, ...], str, dt.datetime | None],
    data_json: bytes,
    metadata_json: bytes,
) -> Event:
    """Make an event of what `copy` and `pickle` took along."""

def encode_append(
    stream: str, expected: int | None, must_exist: bool, events: Iterable[Event]
) -> bytes:
    """Serialise an `AppendRequest`, which is a `StreamAppend` too.

    Args:
        stream: Name of the stream.
        expected: The version that it is expected at; None: any.
        must_exist: Whether it has to have an event; only without `expected`.
        events: The events.

    Raises:
        TypeError: One of them is no event, or they are one event instead of several.
    """

def uuid7() -> str:
    """Make a UUID of version 7 in canonical form; those of a process increase strictly."""

@final
class EventPage:
    """One message of an answer, held as the bytes that came; immutable."""

    def __new__(cls, message: bytes, numbers: Literal["decimal", "float"] = "decimal") -> EventPage:
        """Index a serialised answer that has its events in field 1, such as a `ReadResponse`; the
        data of its events are decoded with `numbers`, as by `decode_json`.

        Raises:
            CoreError: INVALID_REQUEST if the bytes are no such message.
        """
    def __len__(self) -> int: ...
    @property
    def rest(self) -> bytes:
        """The message without its events, serialised."""
    def resolve(self, leads: Leads) -> None:
        """Note what the references of its events lead to; once."""
    def __getitem__(self, index: int, /) -> RecordedEvent:
        """Return the event at an index from 0; IndexError if there is none."""
    def events(self, first: int = 0) -> EventIterator:
        """Go through the events in order, from an index on; each object is made in its turn."""

@final
class EventIterator:
    """The events of a page that are still to come."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> RecordedEvent: ...
    @property
    def next_index(self) -> int:
        """Index in the page of the event that comes next: how many were taken from its start."""
    def close(self) -> None:
        """Give no event any more."""

@final
class RecordedEvent:
    """A stored event.

    Its fields are made of the bytes of the answer when they are touched; data and metadata are
    decoded when they are first touched, and then kept: treat them as constants. An event keeps the
    message that it came in, about 1 MiB; `copy.copy(event)` has bytes of its own. Two recorded
    events are equal if all that is stored of them is equal.

    Attributes:
        id: UUID in canonical lower case.
        stream: Name of its stream.
        type: Name of what happened.
        data: The data, a `dict`. Numbers with fraction or exponent are `Decimal`, unless the client
            was made with `numbers="float"`. `{}` if the payload was deleted. InvalidValue if a
            number is beyond what its class can hold.
        data_json: The data as it was sent, byte for byte.
        metadata: The metadata, a `dict`.
        metadata_json: The metadata as they were sent, byte for byte.
        tags: Its tags, sorted bytewise.
        version: Its place in the stream, from 1 and without gaps.
        position: Its place in the log, from 1, without gaps, in the order of commits.
        recorded_at: When the server recorded it, in UTC; never decreases with the position.
        occurred_at: When it happened, as the writer said, in UTC; else `recorded_at`.
        writer: Who appended it: the name of the token, or `anonymous`.
        flags: Marks of the server.
        mapped: Whether the mapping of its type has changed its data: they are not what is stored.
        copied_from: Id of the event that this one is a copy of.
        cancels: Id of the event that this one cancels.
        cancelled: Whether a later event cancels it, if it was read with `mark_cancelled=True`; else
            False.
        trace_context: W3C `traceparent` of the call that appended it.
        deleted: Whether data, metadata and tags were deleted.
        erased_paths: Pointers (RFC 6901) to the values of its data that were personal and whose
            subject was erased; None stands there.
        withheld_paths: Pointers to the personal values that the caller may not see; None stands
            there.
        references: What it refers to; nothing once the payload was deleted.
        resolved: What that leads to, if it was read with `resolve=True`; else RuntimeError. Copies
            have it not.
    """

    id: Final[str]
    stream: Final[str]
    type: Final[str]
    data: Final[Any]
    data_json: Final[bytes]
    metadata: Final[Any]
    metadata_json: Final[bytes]
    tags: Final[tuple[str, ...]]
    version: Final[int]
    position: Final[int]
    recorded_at: Final[dt.datetime]
    occurred_at: Final[dt.datetime]
    writer: Final[str]
    flags: Final[EventFlags]
    mapped: Final[bool]
    copied_from: Final[str | None]
    cancels: Final[str | None]
    cancelled: Final[bool]
    trace_context: Final[str | None]
    deleted: Final[bool]
    erased_paths: Final[tuple[str, ...]]
    withheld_paths: Final[tuple[str, ...]]
    references: Final[References]
    resolved: Final[Resolved]

    def __new__(cls, message: bytes, numbers: Literal["decimal", "float"] = "decimal") -> Self:
        """Read a serialised `eventfold.v1.RecordedEvent`; INVALID_REQUEST if it is none."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def decode_json(text: bytes, numbers: Literal["decimal", "float"] = "decimal") -> Any:
    """Decode a JSON text that the strict check would pass, up to 256 levels deep.

    Args:
        text: UTF-8.
        numbers: `decimal`: a number with fraction or exponent, and an integer of more than 4,000
            digits, becomes a `Decimal` with all of its digits, other integers `int`. `float`:
            such numbers, and integers beyond 64 bits, become `float`.

    Raises:
        CoreError: INVALID_JSON with the fact `offset`: no JSON, a key that stands twice, half of a
            surrogate pair, nested too deep, a number that the class cannot hold. INVALID_REQUEST
            for other `numbers`.
    """
