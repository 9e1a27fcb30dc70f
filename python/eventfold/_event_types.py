"""Event types and categories, as the calls on them return them."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from eventfold._time import from_timestamp, time_of
from eventfold.v1 import event_types_pb2 as pb

SchemaMode = Literal["default", "off", "warn", "enforce", "unknown"]
"""What becomes of an event that its schema does not fit: it is not looked at; it is stored with a
mark; it is refused. `default`: of an event type, what its category says; of both, `enforce`."""

ReferenceMode = Literal["default", "off", "enforce", "unknown"]
"""Whether what an event refers to must be there. `default`: it need not."""

_SCHEMA_MODES: "dict[SchemaMode, pb.SchemaMode.ValueType]" = {
    "default": pb.SCHEMA_MODE_UNSPECIFIED,
    "off": pb.SCHEMA_MODE_OFF,
    "warn": pb.SCHEMA_MODE_WARN,
    "enforce": pb.SCHEMA_MODE_ENFORCE,
}
_REFERENCE_MODES: "dict[ReferenceMode, pb.ReferenceMode.ValueType]" = {
    "default": pb.REFERENCE_MODE_UNSPECIFIED,
    "off": pb.REFERENCE_MODE_OFF,
    "enforce": pb.REFERENCE_MODE_ENFORCE,
}
_SCHEMA_MODE_NAMES: "dict[int, SchemaMode]" = {wire: name for name, wire in _SCHEMA_MODES.items()}
_REFERENCE_MODE_NAMES: "dict[int, ReferenceMode]" = {
    wire: name for name, wire in _REFERENCE_MODES.items()
}


def schema_mode_to_wire(mode: SchemaMode) -> "pb.SchemaMode.ValueType":
    """A mode, as a request says it.

    Raises:
        ValueError: it is none of the four.
    """
    if mode not in _SCHEMA_MODES:
        raise ValueError(f"a mode is {_known(_SCHEMA_MODES)}, not {mode!r}")
    return _SCHEMA_MODES[mode]


def reference_mode_to_wire(mode: ReferenceMode) -> "pb.ReferenceMode.ValueType":
    """The same for references.

    Raises:
        ValueError: it is none of the three.
    """
    if mode not in _REFERENCE_MODES:
        raise ValueError(f"a mode of references is {_known(_REFERENCE_MODES)}, not {mode!r}")
    return _REFERENCE_MODES[mode]


def _known(modes: Iterable[str]) -> str:
    *names, last = (repr(name) for name in modes)
    return f"{', '.join(names)} or {last}"


@dataclass(frozen=True, slots=True)
class TypeWriter:
    """Who wrote events of a type.

    Attributes:
        writer: name of the token, or `anonymous`.
        events: number of events.
        last_recorded_at: when the newest was recorded, in UTC.
    """

    writer: str
    events: int
    last_recorded_at: dt.datetime

    @classmethod
    def _from_wire(cls, one: pb.TypeWriter) -> "TypeWriter":
        return cls(one.writer, one.events, from_timestamp(one.last_recorded_at))


@dataclass(frozen=True, slots=True)
class EventTypeInfo:
    """All that is known of an event type.

    Attributes:
        name: its name.
        description: what was said of it.
        replaced_by: the event type that is written instead; None: none.
        replaces: event types that say so of this one, in byte order.
        schema_mode: what was said of events that do not fit.
        references: what is demanded of references.
        schema_revision: revision of its schema in force; 0: none.
        schema_digest: digest of that schema.
        mapping_revision: revision of its mapping in force; 0: none.
        mapping_digest: digest of that mapping.
        events: stored events, deleted ones included.
        violations: those of them that did not fit the schema in force, stored under `warn`.
        first_position: position of the first; 0: none.
        last_position: position of the newest; 0: none.
        first_recorded_at: when the first was recorded, in UTC; None: none.
        last_recorded_at: when the newest was recorded, in UTC; None: none.
        writers: who wrote them: those with the most events first, at most 100.
        writers_count: number of all who did.
        personal: pointers of its personal fields; none can be declared yet.
        position: position up to which events are counted; 0: the answer has no counts.
        head: the head of the log; above `position`: what is behind that is not counted yet.
    """

    name: str
    description: str
    replaced_by: str | None
    replaces: tuple[str, ...]
    schema_mode: SchemaMode
    references: ReferenceMode
    schema_revision: int
    schema_digest: str
    mapping_revision: int
    mapping_digest: str
    events: int
    violations: int
    first_position: int
    last_position: int
    first_recorded_at: dt.datetime | None
    last_recorded_at: dt.datetime | None
    writers: tuple[TypeWriter, ...]
    writers_count: int
    personal: tuple[str, ...]
    position: int
    head: int

    @classmethod
    def _from_wire(cls, one: pb.EventType, position: int = 0, head: int = 0) -> "EventTypeInfo":
        return cls(
            name=one.name,
            description=one.description,
            replaced_by=one.replaced_by or None,
            replaces=tuple(one.replaces),
            schema_mode=_SCHEMA_MODE_NAMES.get(one.schema_mode, "unknown"),
            references=_REFERENCE_MODE_NAMES.get(one.references, "unknown"),
            schema_revision=one.schema_revision,
            schema_digest=one.schema_digest,
            mapping_revision=one.mapping_revision,
            mapping_digest=one.mapping_digest,
            events=one.events,
            violations=one.violations,
            first_position=one.first_position,
            last_position=one.last_position,
            first_recorded_at=time_of(one, "first_recorded_at"),
            last_recorded_at=time_of(one, "last_recorded_at"),
            writers=tuple(TypeWriter._from_wire(writer) for writer in one.writers),
            writers_count=one.writers_count,
            personal=tuple(one.personal),
            position=position,
            head=head,
        )


@dataclass(frozen=True, slots=True)
class CategoryInfo:
    """Something that was said of a category.

    Attributes:
        name: its name.
        schema_mode: what becomes of events that do not fit, if nothing is said of their type.
    """

    name: str
    schema_mode: SchemaMode

    @classmethod
    def _from_wire(cls, one: pb.Category) -> "CategoryInfo":
        return cls(one.name, _SCHEMA_MODE_NAMES.get(one.schema_mode, "unknown"))
