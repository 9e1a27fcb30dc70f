"""Events: as they are handed in, and as they are stored."""

import enum

from eventfold._core import CoreError, Event, EventIterator, EventPage, RecordedEvent
from eventfold._errors import UnexpectedAnswer
from eventfold._json import Numbers

__all__ = ["Event", "EventFlags", "EventIterator", "EventPage", "RecordedEvent", "event_page"]


class EventFlags(enum.IntFlag):
    """Marks of the server on a stored event."""

    VALIDATED_V1 = 1
    """Data and metadata passed the strict check of format 1 before they were stored."""
    ESCAPED_KEYS = 2
    """A key of the data is spelled with an escape."""
    SEALED = 4
    """At least one value of the data is sealed."""
    REFERS = 8
    """Its metadata names events or streams in `refs`."""
    SCHEMA_VIOLATED = 16
    """Its data did not fit the schema in force when it was stored, under the mode `warn`."""
    MAPPED = 32
    """Its data is not what is stored: the mapping of its type has changed it."""
    CLOSES = 64
    """It closes the books of its stream."""
    OPENS = 128
    """It opens its stream for the period after that of another one."""
    CANCELLED = 256
    """A later event of its stream cancels it; only in reads with `mark_cancelled=True`."""


def event_page(message: bytes, numbers: Numbers) -> EventPage:
    """The events of one message of an answer.

    Raises:
        UnexpectedAnswer: it is no such message.
    """
    try:
        return EventPage(message, numbers)
    except CoreError as error:
        raise UnexpectedAnswer(error.message) from error
