"""What the calls return."""

import datetime as dt
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from eventfold._errors import ChecksFailed, EventfoldError, FailedCheck, UnexpectedAnswer
from eventfold._events import RecordedEvent
from eventfold._failures import error_from_status
from eventfold._json import Numbers, decode
from eventfold._models import Convert, ModelT_co
from eventfold._time import from_timestamp
from eventfold._violations import Violation, violations_of
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2

StateT = TypeVar("StateT")

Handlers: TypeAlias = Mapping[str, Callable[[StateT, RecordedEvent], StateT]]
"""Python handlers: for each event type `fn(state, event) -> state`; other types are skipped."""

Direction = Literal["forwards", "backwards"]
# Whether copies are among the events of a reader.
Copies = Literal["include", "exclude"]


class Lifecycle(enum.Enum):
    """Whether a stream takes events."""

    OPEN = "open"
    """It takes events."""
    CLOSED = "closed"
    """Its books are closed: it can be read, and refuses events."""
    DELETED = "deleted"
    """Its payloads are gone."""


LIFECYCLE_TO_WIRE = {
    Lifecycle.OPEN: pb.LIFECYCLE_OPEN,
    Lifecycle.CLOSED: pb.LIFECYCLE_CLOSED,
    Lifecycle.DELETED: pb.LIFECYCLE_DELETED,
}
_LIFECYCLE_FROM_WIRE = {wire: lifecycle for lifecycle, wire in LIFECYCLE_TO_WIRE.items()}


@dataclass(frozen=True, slots=True)
class AppendResult:
    """Where the events of an append stand.

    Attributes:
        first_version: version of the first event.
        last_version: version of the last event; the version to expect in the next append.
        positions: position of each event in the log, in order.
        duplicate: the events were stored already, and nothing was stored now.
        recorded_at: when the server recorded the last event, in UTC.
        stream: the stream that has the events, where the append was to follow; else None.
    """

    first_version: int
    last_version: int
    positions: tuple[int, ...]
    duplicate: bool
    recorded_at: dt.datetime
    stream: str | None = None

    @classmethod
    def _from_wire(cls, answer: appends_pb.AppendResponse) -> "AppendResult":
        return cls(
            first_version=answer.first_version,
            last_version=answer.last_version,
            positions=tuple(answer.positions),
            duplicate=answer.duplicate,
            recorded_at=from_timestamp(answer.recorded_at),
            stream=answer.stream or None,
        )


def appended_many(answer: appends_pb.AppendManyResponse) -> tuple[AppendResult, ...]:
    """Where the events of an append to several streams stand.

    Raises:
        ChecksFailed: it was refused.
        UnexpectedAnswer: the answer is empty.
    """
    outcome = answer.WhichOneof("outcome")
    if outcome == "stored":
        return tuple(AppendResult._from_wire(append) for append in answer.stored.appends)
    if outcome == "failed":
        raise ChecksFailed._of(tuple(_failed_check(check) for check in answer.failed.checks))
    raise UnexpectedAnswer("the answer to an append is empty")


def _failed_check(check: appends_pb.FailedCheck) -> FailedCheck:
    return FailedCheck(
        stream=check.stream,
        actual_version=check.actual_version,
        error=error_from_status(check.refused, violations_of(check.violations)),
        append_index=check.append_index if check.HasField("append_index") else None,
        check_index=check.check_index if check.HasField("check_index") else None,
    )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What an append would come to now.

    Attributes:
        first_version: version that the first event would have, or has if `duplicate`; 0 if
            `refused`.
        last_version: version that the last event would have, or has if `duplicate`; 0 if `refused`.
        duplicate: the events are stored already.
        violations: where events do not fit the schemas in force, under the modes `warn` and
            `enforce`; at most 1,000.
        refused: the error that `append` would raise because of these; None: it would be stored.
    """

    first_version: int
    last_version: int
    duplicate: bool
    violations: tuple[Violation, ...] = ()
    refused: EventfoldError | None = None

    @classmethod
    def _from_wire(cls, answer: appends_pb.CheckAppendResponse) -> "CheckResult":
        violations = violations_of(answer.violations)
        refused = None
        if answer.HasField("refused"):
            refused = error_from_status(answer.refused, violations)
        return cls(answer.first_version, answer.last_version, answer.duplicate, violations, refused)


@dataclass(frozen=True)
class Hydrated(Generic[ModelT_co]):
    """A state, folded from the events of one stream: by a server, or by `Fold.apply`.

    Attributes:
        exists: False if the stream has no event up to that point, or the fold deleted the
            aggregate.
        state_json: the state as JSON text, the same byte for byte wherever it is folded.
        version: version of the last event that counted or was looked at: the version to expect
            in an append that is decided on this state. 0: no event.
        position: position of the event at `version`. 0: no event, or one that is not stored.
        events_read: number of events that were read for it.
        events_folded: number of those that were folded for it: the fold has a handler.
        fold_digest: SHA-256 of the fold's normal form, lower-case hexadecimal.
        kept_version: version of the kept state that the server went on from. 0: it folded from
            the first event.
        stream: the stream that `version` is of, where the call was to follow; else None.
        erased_paths: pointers (RFC 6901) to what is None in the state because the subject of the
            personal values that it comes from was erased; the empty one is the whole state.
        withheld_paths: pointers to what is None because the caller may not see it.
    """

    exists: bool
    state_json: bytes
    version: int
    position: int
    events_read: int
    events_folded: int
    fold_digest: str
    kept_version: int = 0
    stream: str | None = None
    erased_paths: tuple[str, ...] = ()
    withheld_paths: tuple[str, ...] = ()
    _numbers: Numbers = field(default="decimal", repr=False, compare=False)
    _convert: Convert | None = field(default=None, repr=False, compare=False)

    @cached_property
    def state(self) -> ModelT_co:
        """The state, decoded when it is first touched: an object of the class that was named by
        `into`, else of JSON's types, with `Decimal` for numbers with a fraction unless the client
        was made with `numbers="float"`. The fold's initial state for a stream without events,
        `None` after a delete.

        Raises:
            StateMismatch: the state is no such object; look at `exists` first.
        """
        if self._convert is not None:
            return cast(ModelT_co, self._convert(self.state_json))
        return cast(ModelT_co, decode(self.state_json, self._numbers))

    @classmethod
    def _from_wire(
        cls,
        answer: folds_pb2.HydrateResponse,
        numbers: Numbers,
        convert: Convert | None = None,
    ) -> "Hydrated[Any]":
        return Hydrated(
            exists=answer.exists,
            state_json=answer.state,
            version=answer.version,
            position=answer.position,
            events_read=answer.events_read,
            events_folded=answer.events_folded,
            fold_digest=answer.fold_digest,
            kept_version=answer.kept_version,
            stream=answer.stream or None,
            erased_paths=tuple(answer.erased_paths),
            withheld_paths=tuple(answer.withheld_paths),
            _numbers=numbers,
            _convert=convert,
        )


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream.

    Attributes:
        name: its name, `category-id`.
        version: the number of its events; 0 if it never had one.
        lifecycle: whether it takes events.
        root: name of the first stream of its line of periods; its own name if it is the first.
        predecessor: name of the stream of the period before, or None.
        successor: name of the stream of the next period, or None.
        created_at: when its first event was recorded, in UTC; None if it never had one.
    """

    name: str
    version: int
    lifecycle: Lifecycle
    root: str
    predecessor: str | None
    successor: str | None
    created_at: dt.datetime | None

    @property
    def category(self) -> str:
        """The text before the first `-`."""
        return self.name.partition("-")[0]

    @property
    def id(self) -> str:
        """The text after the first `-`."""
        return self.name.partition("-")[2]

    @property
    def exists(self) -> bool:
        """Whether the stream ever had an event."""
        return self.version > 0

    @classmethod
    def _from_wire(cls, stream: pb.Stream) -> "StreamInfo":
        return cls(
            name=stream.name,
            version=stream.version,
            lifecycle=_LIFECYCLE_FROM_WIRE.get(stream.lifecycle, Lifecycle.OPEN),
            root=stream.root or stream.name,
            predecessor=stream.predecessor or None,
            successor=stream.successor or None,
            created_at=from_timestamp(stream.created_at) if stream.HasField("created_at") else None,
        )

    @classmethod
    def _never_written(cls, name: str) -> "StreamInfo":
        return cls(name, 0, Lifecycle.OPEN, name, None, None, None)


@dataclass(frozen=True, slots=True)
class FoldInfo:
    """A registered fold.

    Attributes:
        name: the name that the document carries.
        revision: counts the different documents under this name, from 1.
        digest: SHA-256 of the normal form, lower-case hexadecimal.
        source: the document as it came in.
        put_at: when this revision was registered, in UTC.
        put_by: who registered it.
        created: in the answer to `put_fold`: whether the document is a new revision; else False.
    """

    name: str
    revision: int
    digest: str
    source: str
    put_at: dt.datetime
    put_by: str
    created: bool = False

    @classmethod
    def _from_wire(cls, fold: folds_pb2.Fold, created: bool = False) -> "FoldInfo":
        return cls(
            name=fold.name,
            revision=fold.revision,
            digest=fold.digest,
            source=fold.source,
            put_at=from_timestamp(fold.put_at),
            put_by=fold.put_by,
            created=created,
        )


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """Where a read ended.

    Attributes:
        version: last version that was looked at, whether or not a filter let it pass; reading on
            begins one above it. 0 for reads of the whole log.
        position: position of the event at `version`; for reads of the whole log the last position
            that was looked at. 0: none.
        resume_token: opaque; stands for `position` on this very log, see `read_all`.
        end_reached: True: the read came to its end; False: the limit ended it before.
        stream: the stream that `version` is of; None for reads of the whole log.
        opened_from: the stream that this one was opened from, when its books were closed; None: it
            was not.
    """

    version: int
    position: int
    resume_token: bytes
    end_reached: bool
    stream: str | None = None
    opened_from: str | None = None

    @classmethod
    def _from_wire(cls, end: pb.ReadEnd, stream: str | None = None) -> "ReadEnd":
        return cls(
            end.version,
            end.position,
            end.resume_token,
            end.end_reached,
            end.stream or stream,
            end.opened_from or None,
        )
