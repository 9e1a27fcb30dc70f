"""Privacy rules, and what stored events say of them, as the calls return them."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from eventfold._errors import EventfoldError
from eventfold._failures import error_from_status
from eventfold._time import from_timestamp
from eventfold.v1 import privacy_pb2 as pb

ExistingValues = Literal["refuse", "plaintext"]
"""What becomes of rules of which stored events hold plaintext: they are refused; or it is known,
and these events stay as they are."""

PrivacyOrigin = Literal["document", "schema", "unknown"]
"""What declares rules: a privacy document, or annotations of the schema of the event type."""

PrivacyWarningKind = Literal[
    "tags",
    "metadata",
    "subject_names",
    "no_subject",
    "projection_key",
    "projection_field",
    "group_condition",
    "unknown",
]
"""What a warning is about: stored events have tags, or metadata, which are never sealed; names of
subjects look personal; it cannot be told whose a value is; the key or the fold of a projection, or
the condition of a group, reads a personal field."""

EXISTING: "dict[str, pb.ExistingValues.ValueType]" = {
    "refuse": pb.EXISTING_VALUES_UNSPECIFIED,
    "plaintext": pb.EXISTING_VALUES_PLAINTEXT,
}
_ORIGINS: "dict[int, PrivacyOrigin]" = {
    pb.PRIVACY_ORIGIN_DOCUMENT: "document",
    pb.PRIVACY_ORIGIN_SCHEMA: "schema",
}
_KINDS: "dict[int, PrivacyWarningKind]" = {
    pb.PRIVACY_WARNING_KIND_TAGS: "tags",
    pb.PRIVACY_WARNING_KIND_METADATA: "metadata",
    pb.PRIVACY_WARNING_KIND_SUBJECT_NAMES: "subject_names",
    pb.PRIVACY_WARNING_KIND_NO_SUBJECT: "no_subject",
    pb.PRIVACY_WARNING_KIND_PROJECTION_KEY: "projection_key",
    pb.PRIVACY_WARNING_KIND_PROJECTION_FIELD: "projection_field",
    pb.PRIVACY_WARNING_KIND_GROUP_CONDITION: "group_condition",
}


@dataclass(frozen=True, slots=True)
class PersonalField:
    """A personal field.

    Attributes:
        pointer: JSON Pointer to its values, with `*` for every element or member.
        subject_pointer: JSON Pointer to their subject; None: the root of the stream.
        subject_category: the subject is `category-` and the value there; None: the value is its
            whole name.
        erased: JSON text that readers get once a value is erased; None: it is absent.
    """

    pointer: str
    subject_pointer: str | None
    subject_category: str | None
    erased: str | None

    @classmethod
    def _from_wire(cls, one: pb.PersonalField) -> "PersonalField":
        return cls(
            pointer=one.pointer,
            subject_pointer=one.subject_pointer or None,
            subject_category=one.subject_category or None,
            erased=one.erased or None,
        )


@dataclass(frozen=True, slots=True)
class PrivacyRules:
    """Which values of an event type or category are personal.

    Attributes:
        event_type: the event type; None: they are rules of a category.
        category: the category, all of whose values are personal; None: of an event type.
        revision: counts from 1 for each event type and each category.
        digest: SHA-256 of what is personal in canonical JSON.
        source: the document as it came in; of rules of a schema their normal form.
        origin: what declares them.
        fields: the fields, in byte order of their pointers.
        plaintext_events: stored events that held plaintext when the rules were put.
        plaintext_until: position at or before which these are; 0: there are none.
        put_at: when they were put, in UTC.
        put_by: who put them.
        in_force: False: others took their place, or they were dropped.
    """

    event_type: str | None
    category: str | None
    revision: int
    digest: str
    source: str
    origin: PrivacyOrigin
    fields: tuple[PersonalField, ...]
    plaintext_events: int
    plaintext_until: int
    put_at: dt.datetime
    put_by: str
    in_force: bool

    @classmethod
    def _from_wire(cls, one: pb.PrivacyRules) -> "PrivacyRules":
        return cls(
            event_type=one.event_type or None,
            category=one.category or None,
            revision=one.revision,
            digest=one.digest,
            source=one.source,
            origin=_ORIGINS.get(one.origin, "unknown"),
            fields=tuple(PersonalField._from_wire(field) for field in one.fields),
            plaintext_events=one.plaintext_events,
            plaintext_until=one.plaintext_until,
            put_at=from_timestamp(one.put_at),
            put_by=one.put_by,
            in_force=one.in_force,
        )


@dataclass(frozen=True, slots=True)
class PrivacyWarning:
    """Something that rules do not protect, or that they change; never with a personal value.

    Attributes:
        kind: what it is about.
        name: name of the projection or group; empty: it is about stored events.
        field: name of the field at the top of the data; `*`: whichever it reads; empty: none.
        events: stored events that it is about; 0: it is not about these.
        message: it in words.
    """

    kind: PrivacyWarningKind
    name: str
    field: str
    events: int
    message: str

    @classmethod
    def _from_wire(cls, one: pb.PrivacyWarning) -> "PrivacyWarning":
        kind = _KINDS.get(one.kind, "unknown")
        return cls(kind, one.name, one.field, one.events, one.message)


@dataclass(frozen=True, slots=True)
class PlaintextEvent:
    """A stored event that holds plaintext of a personal field.

    Attributes:
        stream: its stream.
        version: its version.
        position: its position.
        event_id: its id.
    """

    stream: str
    version: int
    position: int
    event_id: str


@dataclass(frozen=True, slots=True)
class PrivacyRulesPut:
    """What `put_privacy_rules` came to.

    Attributes:
        rules: the rules in force.
        created: whether they are a new revision; False: they were in force already.
        warnings: what they do not protect, or change.
    """

    rules: PrivacyRules
    created: bool
    warnings: tuple[PrivacyWarning, ...]

    @classmethod
    def _from_wire(cls, one: pb.PutPrivacyRulesResponse) -> "PrivacyRulesPut":
        rules = PrivacyRules._from_wire(one.rules)
        return cls(rules, one.created, tuple(map(PrivacyWarning._from_wire, one.warnings)))


@dataclass(frozen=True, slots=True)
class PrivacyRulesCheck:
    """What `put_privacy_rules` would come to.

    Attributes:
        events: stored events that were tried; deleted ones are left out.
        plaintext: those that hold plaintext of a field that is not declared yet.
        first: the first of them, up to the number that was asked for.
        position: position up to which the log was looked at.
        warnings: what the rules do not protect, or change.
        refused: what `put_privacy_rules` would raise now; None: they would be put.
    """

    events: int
    plaintext: int
    first: tuple[PlaintextEvent, ...]
    position: int
    warnings: tuple[PrivacyWarning, ...]
    refused: EventfoldError | None

    @classmethod
    def _from_wire(cls, one: pb.CheckPrivacyRulesResponse) -> "PrivacyRulesCheck":
        return cls(
            events=one.events,
            plaintext=one.plaintext,
            first=tuple(
                PlaintextEvent(event.stream, event.version, event.position, event.event_id)
                for event in one.first
            ),
            position=one.position,
            warnings=tuple(map(PrivacyWarning._from_wire, one.warnings)),
            refused=error_from_status(one.refused) if one.HasField("refused") else None,
        )


def existing_of(existing: ExistingValues) -> "pb.ExistingValues.ValueType":
    """The wire's number.

    Raises:
        ValueError: it is none of the known ones.
    """
    if existing not in EXISTING:
        raise ValueError(f"existing is `refuse` or `plaintext`, not {existing!r}")
    return EXISTING[existing]
