"""Where events do not fit their schema, as answers tell it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eventfold.v1 import schemas_pb2 as pb


@dataclass(frozen=True, slots=True)
class Violation:
    """Where an event does not fit its schema. It never holds a value of the event.

    Attributes:
        event_type: type of the event.
        pointer: JSON Pointer to the place in the event's data; empty: the whole.
        rule: the keyword of the schema that it breaks, such as `minimum`.
        schema_pointer: JSON Pointer to that keyword in the schema.
        message: what the schema says, in words.
        event_index: index of the event in its append, from 0; of stored events 0.
    """

    event_type: str
    pointer: str
    rule: str
    schema_pointer: str
    message: str
    event_index: int = 0


_FIELDS = ("event_type", "pointer", "rule", "schema_pointer", "message", "event_index")


def violations_of(messages: Iterable[pb.SchemaViolation]) -> tuple[Violation, ...]:
    """Violations of an answer."""
    return tuple(Violation(*(getattr(one, name) for name in _FIELDS)) for one in messages)


def violations_of_fact(text: str | None) -> tuple[Violation, ...]:
    """Violations of an error, which has them as JSON; none from a server that writes others."""
    try:
        found: list[dict[str, Any]] = json.loads(text or "[]")
        return tuple(Violation(**{name: one[name] for name in _FIELDS}) for one in found)
    except (ValueError, TypeError, KeyError):
        return ()
