"""What the calls on subjects return."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eventfold._keys import SubjectInfo
from eventfold._time import from_timestamp, time_of
from eventfold.v1 import subjects_pb2 as pb


@dataclass(frozen=True, slots=True)
class SubjectEvents:
    """Events of one type in one stream that hold sealed values of a subject.

    Attributes:
        stream: name of the stream.
        event_type: their type.
        events: how many there are.
        first_position: position of the first.
        last_position: position of the last.
        first_at: when the first was recorded.
        last_at: when the last was recorded.
    """

    stream: str
    event_type: str
    events: int
    first_position: int
    last_position: int
    first_at: dt.datetime
    last_at: dt.datetime

    @classmethod
    def _from_wire(cls, found: pb.SubjectEvents) -> "SubjectEvents":
        return cls(
            found.stream,
            found.event_type,
            found.events,
            found.first_position,
            found.last_position,
            from_timestamp(found.first_at),
            from_timestamp(found.last_at),
        )


@dataclass(frozen=True, slots=True)
class FoundSubject:
    """Where a subject is.

    Attributes:
        subject: the subject, as the key store has it.
        events: by stream and type, in byte order.
        position: exact up to this position.
    """

    subject: SubjectInfo
    events: Sequence[SubjectEvents]
    position: int


@dataclass(frozen=True, slots=True)
class ExportedSchema:
    """The schema of an event type that is in an export.

    Attributes:
        event_type: the event type.
        revision: revision of the schema in force.
        source: the document as it came in, JSON Schema.
        resources: documents of all that it refers to, by their `$id`.
    """

    event_type: str
    revision: int
    source: str
    resources: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def _from_wire(cls, schema: pb.ExportedSchema) -> "ExportedSchema":
        return cls(schema.event_type, schema.revision, schema.source, dict(schema.resources))


@dataclass(frozen=True, slots=True)
class PrivacyStatus:
    """How personal data fares in a store.

    Attributes:
        subjects_active: subjects that have keys.
        subjects_fenced: subjects that are being erased.
        subjects_erased: subjects whose keys are gone.
        key_versions: active subjects by the newest version of their keys.
        master_keys: data keys by the master key that wraps them.
        erasures_open: erasures that are under way.
        erasures_done: erasures that are done.
        oldest_open_at: when the oldest of those under way was asked for; None: there is none.
        failed_openings: events that could not be opened although they should, on any server.
        exports: exports of subjects that were begun.
        indexed_position: the subject index knows all events up to this position.
        head: position of the newest event.
        servers: server processes with a lease to use keys.
    """

    subjects_active: int
    subjects_fenced: int
    subjects_erased: int
    key_versions: Mapping[int, int] = field(hash=False)
    master_keys: Mapping[str, int] = field(hash=False)
    erasures_open: int
    erasures_done: int
    oldest_open_at: dt.datetime | None
    failed_openings: int
    exports: int
    indexed_position: int
    head: int
    servers: int

    @classmethod
    def _from_wire(cls, status: pb.GetPrivacyStatusResponse) -> "PrivacyStatus":
        return cls(
            status.subjects_active,
            status.subjects_fenced,
            status.subjects_erased,
            {one.version: one.subjects for one in status.key_versions},
            {one.master_key: one.data_keys for one in status.master_keys},
            status.erasures_open,
            status.erasures_done,
            time_of(status, "oldest_open_at"),
            status.failed_openings,
            status.exports,
            status.indexed_position,
            status.head,
            status.servers,
        )
