"""The part of the Rust core that makes events of the bytes of an answer, for the SDK; not a module
of its own: `eventfold._core` has all of it.
"""

import datetime as dt
from typing import Any, Final, Literal, Self, final

from eventfold._events import EventFlags

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
        copied_from: Id of the event that this one is a copy of.
        cancels: Id of the event that this one cancels.
        trace_context: W3C `traceparent` of the call that appended it.
        deleted: Whether data, metadata and tags were deleted.
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
    copied_from: Final[str | None]
    cancels: Final[str | None]
    trace_context: Final[str | None]
    deleted: Final[bool]

    def __new__(cls, message: bytes, numbers: Literal["decimal", "float"] = "decimal") -> Self:
        """Read a serialised `eventfold.v1.RecordedEvent`; INVALID_REQUEST if it is none."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
