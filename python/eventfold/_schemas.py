"""Schemas, and what stored events say of them, as the calls return them."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from eventfold._errors import EventfoldError
from eventfold._failures import error_from_status
from eventfold._generated.errors import InvalidRequest
from eventfold._privacy import PrivacyRules, PrivacyWarning
from eventfold._time import from_timestamp
from eventfold._violations import Violation, violations_of
from eventfold.v1 import schemas_pb2 as pb

SchemaDraft = Literal["draft-07", "2019-09", "2020-12", "unknown"]
"""The dialect of a schema."""

SchemaChange = Literal["wider", "narrower", "undecided", "annotation", "unknown"]
"""What a difference between two schemas means for events that the old one fits: the new one fits
all of them; it does not fit some that can be; the schemas alone do not tell; it says nothing of
what fits."""

_DRAFTS: "dict[int, SchemaDraft]" = {
    pb.SCHEMA_DRAFT_7: "draft-07",
    pb.SCHEMA_DRAFT_2019_09: "2019-09",
    pb.SCHEMA_DRAFT_2020_12: "2020-12",
}
_CHANGES: "dict[int, SchemaChange]" = {
    pb.SCHEMA_CHANGE_WIDER: "wider",
    pb.SCHEMA_CHANGE_NARROWER: "narrower",
    pb.SCHEMA_CHANGE_UNDECIDED: "undecided",
    pb.SCHEMA_CHANGE_ANNOTATION: "annotation",
}


@dataclass(frozen=True, slots=True)
class SchemaInfo:
    """A registered schema.

    Attributes:
        event_type: the event type that it describes; None: it is shared, and others refer to it.
        id: its `$id`; empty: none.
        revision: counts from 1 for each event type, or each `id` of a shared one.
        digest: SHA-256 of its canonical JSON and of all that it refers to.
        source: the document as it came in, JSON.
        draft: its dialect.
        formats: whether `format` is checked; else it is an annotation.
        refers_to: `$id` of all other schemas that it refers to, as they were when it was put.
        put_at: when it was put, in UTC.
        put_by: who put it.
        accepted_misfits: stored events that did not fit when it was put, if that was accepted.
        resources: the documents of `refers_to` by their `$id`, as they were when it was put; only
            `get_schema` fetches them, else it is empty.
    """

    event_type: str | None
    id: str
    revision: int
    digest: str
    source: str
    draft: SchemaDraft
    formats: bool
    refers_to: tuple[str, ...]
    put_at: dt.datetime
    put_by: str
    accepted_misfits: int
    resources: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def _from_wire(
        cls, one: pb.Schema, resources: Iterable[pb.SchemaResource] = ()
    ) -> "SchemaInfo":
        return cls(
            event_type=one.event_type or None,
            id=one.id,
            revision=one.revision,
            digest=one.digest,
            source=one.source,
            draft=_DRAFTS.get(one.draft, "unknown"),
            formats=one.formats,
            refers_to=tuple(one.refers_to),
            put_at=from_timestamp(one.put_at),
            put_by=one.put_by,
            accepted_misfits=one.accepted_misfits,
            resources={resource.id: resource.source for resource in resources},
        )


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """A difference between the schema in force and a new one.

    Attributes:
        pointer: JSON Pointer into events, with `*` for every element or every other member.
        keyword: the keyword that differs, such as `required`.
        change: what it means for events.
        message: it in words.
    """

    pointer: str
    keyword: str
    change: SchemaChange
    message: str

    @classmethod
    def _from_wire(cls, one: pb.SchemaDifference) -> "SchemaDifference":
        return cls(one.pointer, one.keyword, _CHANGES.get(one.change, "unknown"), one.message)


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """How far a trial of stored events has come.

    Attributes:
        events: stored events of the type that were tried so far.
        misfits: those of them that did not fit, or on which the mapping failed, or that hold
            plaintext of what is to be personal. A put with misfits
            is refused at its end, when they are counted; who does not want to know leaves.
        changed: those that the mapping changes; 0 for schemas.
        position: position up to which the log was looked at.
        head: the head of the log when the call came.
    """

    events: int
    misfits: int
    changed: int
    position: int
    head: int

    @classmethod
    def _from_wire(cls, one: Any) -> "TrialProgress":
        # Not every one of the answers counts all of these.
        return cls(
            events=one.events,
            misfits=getattr(one, "misfits", getattr(one, "plaintext", 0)),
            changed=getattr(one, "changed", 0),
            position=one.position,
            head=one.head,
        )


def described(event_type: str | None) -> str:
    """The event type of a request that puts or checks a schema; None: the schema is shared.

    Raises:
        InvalidRequest: it is empty, which would register a shared schema.
    """
    if event_type is None:
        return ""
    if not event_type:
        problem = "is empty; None stands for a shared schema"
        raise InvalidRequest(f"event_type: {problem}", {"field": "event_type", "problem": problem})
    return event_type


def telling(
    on_progress: Callable[[TrialProgress], object] | None,
) -> Callable[[Any], object] | None:
    """The callback for messages of an answer; None: nobody wants to know."""
    if on_progress is None:
        return None
    return lambda message: on_progress(TrialProgress._from_wire(message))


@dataclass(frozen=True, slots=True)
class Misfit:
    """A stored event that does not fit a schema, or on which a mapping fails.

    Attributes:
        stream: its stream.
        version: its version.
        position: its position.
        event_id: its id.
        violations: why it does not fit the schema: the first 10.
        error: why the mapping fails; None: it did not.
    """

    stream: str
    version: int
    position: int
    event_id: str
    violations: tuple[Violation, ...]
    error: EventfoldError | None

    @classmethod
    def _from_wire(cls, one: pb.Misfit) -> "Misfit":
        return cls(
            stream=one.stream,
            version=one.version,
            position=one.position,
            event_id=one.event_id,
            violations=violations_of(one.violations),
            error=error_from_status(one.error) if one.HasField("error") else None,
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """What stored events said.

    Attributes:
        events: stored events of the type that were tried; deleted ones are left out.
        misfits: those that did not fit.
        first: the first of them in order of position, up to the number that was asked for.
        position: position up to which the log was looked at.
    """

    events: int
    misfits: int
    first: tuple[Misfit, ...]
    position: int

    @classmethod
    def _from_wire(cls, one: pb.Trial) -> "Trial":
        first = tuple(Misfit._from_wire(misfit) for misfit in one.first)
        return cls(one.events, one.misfits, first, one.position)


@dataclass(frozen=True, slots=True)
class SchemaPut:
    """What `put_schema` came to.

    Attributes:
        schema: the schema in force.
        created: whether it is a new revision; False: it was in force already.
        differences: what differs from the one that was in force before.
        privacy: the privacy rules that it declares; None: none.
        warnings: what these do not protect, or change.
    """

    schema: SchemaInfo
    created: bool
    differences: tuple[SchemaDifference, ...]
    privacy: PrivacyRules | None = None
    warnings: tuple[PrivacyWarning, ...] = ()

    @classmethod
    def _from_wire(cls, one: pb.PutSchemaResponse) -> "SchemaPut":
        return cls(
            schema=SchemaInfo._from_wire(one.schema),
            created=one.created,
            differences=_differences(one),
            privacy=PrivacyRules._from_wire(one.privacy) if one.HasField("privacy") else None,
            warnings=tuple(map(PrivacyWarning._from_wire, one.warnings)),
        )


@dataclass(frozen=True, slots=True)
class SchemaCheck:
    """What `put_schema` would come to.

    Attributes:
        differences: what differs from the schema in force.
        trial: what the stored events say; None: of a shared schema there are none to be tried.
        refused: the error that `put_schema` would raise now; None: it would be put.
    """

    differences: tuple[SchemaDifference, ...]
    trial: Trial | None
    refused: EventfoldError | None

    @classmethod
    def _from_wire(cls, one: pb.CheckSchemaResponse) -> "SchemaCheck":
        refused = error_from_status(one.refused) if one.HasField("refused") else None
        trial = Trial._from_wire(one.trial) if one.HasField("trial") else None
        return cls(_differences(one), trial, refused)


def _differences(
    answer: pb.PutSchemaResponse | pb.CheckSchemaResponse,
) -> tuple[SchemaDifference, ...]:
    return tuple(SchemaDifference._from_wire(one) for one in answer.differences)
