"""What the calls on keys return."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from eventfold._time import from_timestamp, time_of
from eventfold.v1 import keys_pb2 as pb

SubjectStatus = Literal["active", "fenced", "erased"]
"""What is the case with a subject."""

_STATUSES: "dict[int, SubjectStatus]" = {
    pb.SUBJECT_STATUS_ACTIVE: "active",
    pb.SUBJECT_STATUS_FENCED: "fenced",
    pb.SUBJECT_STATUS_ERASED: "erased",
}


@dataclass(frozen=True, slots=True)
class SubjectInfo:
    """Whose personal values are sealed together.

    Attributes:
        subject_id: a UUID; another one stands for the same name after a re-admission.
        name: as streams are named; None once it is erased, and of one that never had a key.
        subject_hash: keyed hash of the name: what stands in `$audit` and in the ledger of fences.
        status: `active`: it has keys; `fenced`: it is being erased; `erased`: its keys are gone.
        created_at: when its first key was made.
        erased_at: when its keys were destroyed; None: they were not.
        readmitted_at: when its name was admitted again, under another id; None: it was not.
        version: the version of its data key that seals; 0: it has none.
        versions: how many versions there are.
        versions_destroyed: how many there were when they were destroyed.
    """

    subject_id: str
    name: str | None
    subject_hash: bytes
    status: SubjectStatus
    created_at: dt.datetime
    erased_at: dt.datetime | None
    readmitted_at: dt.datetime | None
    version: int
    versions: int
    versions_destroyed: int

    @classmethod
    def _from_wire(cls, subject: pb.Subject) -> "SubjectInfo":
        return cls(
            subject.subject_id,
            subject.name or None,
            subject.subject_hash,
            _STATUSES[subject.status],
            from_timestamp(subject.created_at),
            time_of(subject, "erased_at"),
            time_of(subject, "readmitted_at"),
            subject.version,
            subject.versions,
            subject.versions_destroyed,
        )


def status_to_wire(status: SubjectStatus | None) -> pb.SubjectStatus.ValueType:
    """The number of a status; None: any."""
    if status is None:
        return pb.SUBJECT_STATUS_UNSPECIFIED
    for number, name in _STATUSES.items():
        if name == status:
            return pb.SubjectStatus.ValueType(number)
    raise ValueError(f"status is one of {', '.join(_STATUSES.values())}, not {status!r}")


@dataclass(frozen=True, slots=True)
class MasterKeyRotation:
    """What a rotation of the master key did.

    Attributes:
        master_key: the master key that wraps data keys now, as the key provider names it.
        rewrapped: data keys that were wrapped anew.
        failed: data keys that the provider does not unwrap; they stay as they are.
    """

    master_key: str
    rewrapped: int
    failed: int
