"""How a stored event of the library becomes an event of eventfold, and back."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from eventsourcing.persistence import DataError

from eventfold import Event, InvalidValue, RecordedEvent, _core

# What the server takes; see docs/limits.md.
_JSON_DEPTH_MAX = 64
_TYPE_BYTES_MAX = 128
_DIGEST_CHARS = 16

_BYTES_NAME = "bytes"
_MAYBE_BYTES = re.compile(rb'\s*\{\s*"bytes"\s*:')

# Names of our metadata. Each event tells all of itself, so that whoever reads the log needs no
# other event to know what it was in the library.
FIRST_VERSION = "first_version"
VERSION = "version"
HIGHEST_BEFORE = "highest_before"
TOPIC = "topic"
ORIGINATOR = "originator"
SOURCE_ID = "source_notification_id"
_TEXT = "text"


def _depth(value: Any) -> int:
    """Levels of objects and lists; found level by level, as deep values would break a recursion."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _is_json_object(state: bytes) -> bool:
    """Whether the server would store it as it is, and it cannot be taken for base64 of ours."""
    # No text of the store holds a NUL. A backslash before `u0000` makes it another text; then it
    # is packed without need.
    if not state.lstrip(b" \t\r\n").startswith(b"{") or b"\\u0000" in state:
        return False
    try:
        value = _core.decode_json(state)
    except _core.CoreError:
        return False
    if value.keys() == {_BYTES_NAME}:
        return False
    brackets = state.count(b"{") + state.count(b"[")
    return brackets <= _JSON_DEPTH_MAX or _depth(value) <= _JSON_DEPTH_MAX


def data_of(state: bytes) -> bytes:
    """The data of an event: the state itself where it is a JSON object, else
    `{"bytes": base64}`.

    So is an object whose only name is `bytes`: whatever comes back in that form was put into it
    here.
    """
    if _is_json_object(state):
        return state
    return b'{"bytes":"%s"}' % base64.b64encode(state)


def state_of(data: bytes) -> bytes:
    """The state that `data_of` was given.

    Raises:
        DataError: `{"bytes": ..}` holds no base64.
    """
    if not _MAYBE_BYTES.match(data):
        return data
    value = _core.decode_json(data)
    if value.keys() != {_BYTES_NAME}:
        return data
    try:
        return base64.b64decode(value[_BYTES_NAME], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        problem = f"an event's data have the name `bytes` alone, and no base64: {error}"
        raise DataError(problem) from error


def type_of(topic: str) -> str:
    """The event type of a topic: the topic, where it can be one.

    A longer one keeps its end, which names the class, and gets the beginning of its SHA-256; so
    does one with characters that no event type may have. The topic itself is in the metadata then.
    """
    try:
        _core.check_event_type(topic)
    except _core.CoreError:
        digest = hashlib.sha256(topic.encode()).hexdigest()[:_DIGEST_CHARS]
        shown = "".join(char for char in topic if char.isprintable()).encode()
        tail = shown[-(_TYPE_BYTES_MAX - 1 - _DIGEST_CHARS) :].decode(errors="ignore")
        return f"{tail.lstrip('$')}~{digest}"
    return topic


def new_event(
    originator_id: UUID | str, topic: str, state: bytes, metadata: Mapping[str, Any]
) -> Event:
    """An event with an id of its own, so that the SDK can repeat its append.

    Raises:
        InvalidValue: the topic or the id have no JSON form.
    """
    extra = dict(metadata)
    event_type = type_of(topic)
    if event_type != topic:
        extra[TOPIC] = topic
    if isinstance(originator_id, str) and isinstance(originator_of(originator_id, {}), UUID):
        extra[ORIGINATOR] = _TEXT
    try:
        return Event(event_type, data_of(state), extra)
    except InvalidValue:
        # JSON, but with numbers that the SDK does not take: those beyond any double.
        packed = b'{"bytes":"%s"}' % base64.b64encode(state)
        return Event(event_type, packed, extra)


def topic_of(event: RecordedEvent) -> str:
    """The topic of a stored event; of one that another program appended its type."""
    return str(event.metadata.get(TOPIC, event.type))


def originator_of(stream_id: str, metadata: Mapping[str, Any]) -> UUID | str:
    """The id of the aggregate: a UUID where the text is one in canonical form, unless the
    metadata say that it was a text.
    """
    if len(stream_id) == 36 and metadata.get(ORIGINATOR) != _TEXT:
        try:
            found = UUID(stream_id)
        except ValueError:
            return stream_id
        return found if str(found) == stream_id else stream_id
    return stream_id


class Names:
    """Names of the streams of one recorder.

    Args:
        category: category of its events: 1 to 64 ASCII letters, digits and `_`.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, category: str) -> None:
        try:
            found = _core.check_stream_name(f"{category}-1")
        except _core.CoreError as error:
            raise ValueError(f"{category!r} is no category: {error}") from None
        if found != category:
            raise ValueError(f"{category!r} is no category: it holds a `-`")
        self.category = category

    def stream(self, originator_id: UUID | str) -> str:
        """Name of the stream of an aggregate.

        Raises:
            DataError: the id is empty, too long or holds control characters.
        """
        name = f"{self.category}-{originator_id}"
        try:
            _core.check_stream_name(name)
        except (_core.CoreError, UnicodeError) as error:
            raise DataError(f"{originator_id!r} cannot be the id of a stream: {error}") from error
        return name
