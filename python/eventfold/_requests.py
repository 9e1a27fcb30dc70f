"""Requests, made of the parameters of the calls. No I/O."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from google.protobuf import empty_pb2

from eventfold._core import encode_append
from eventfold._errors import InvalidValue
from eventfold._events import Event
from eventfold._expected import Expect, ExpectedVersion
from eventfold._fold import FoldLike, fold_ref
from eventfold._generated.errors import AppendTooLarge
from eventfold._results import Copies, Direction
from eventfold._time import to_timestamp
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import compensation_pb2 as compensation_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2

RangeT = TypeVar("RangeT", folds_pb2.HydrateHistoryRequest, folds_pb2.ExplainRequest)

_INT64_MAX = (1 << 63) - 1
_APPEND_BYTES_MAX = 3 << 20
_SENT_BYTES_MAX = 8 << 20


def whole(value: object, name: str) -> int:
    """An int that fits the wire.

    Raises:
        TypeError: it is no int.
        InvalidValue: it has more than 64 bits.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if abs(value) > _INT64_MAX:
        raise InvalidValue(f"{name} has more than 64 bits", {"path": name})
    return value


def texts(values: Iterable[str], name: str) -> list[str]:
    """Several strings; a single string is a likely mistake."""
    if isinstance(values, str):
        raise TypeError(f"{name} must be several strings, not one")
    return list(values)


def expected(version: ExpectedVersion) -> appends_pb.ExpectedVersion:
    """What a request expects of a stream."""
    if version is Expect.EXISTS:
        return appends_pb.ExpectedVersion(exists=empty_pb2.Empty())
    if version is Expect.ANY:
        return appends_pb.ExpectedVersion(any=empty_pb2.Empty())
    return appends_pb.ExpectedVersion(exact=whole(version, "expected_version"))


def _check_size(size: int) -> None:
    if size > _SENT_BYTES_MAX:
        # The server's gRPC layer would refuse it before the server could name the reason.
        problem = f"the append has {size} bytes; 3 MiB are the most"
        raise AppendTooLarge(problem, {"limit": _APPEND_BYTES_MAX, "actual": size})


def append_request(
    stream: str, events: Iterable[Event], expected_version: ExpectedVersion
) -> bytes:
    """A serialised `AppendRequest`; every event names its id, so it is safe to repeat."""
    exact = None
    if not isinstance(expected_version, Expect):
        exact = whole(expected_version, "expected_version")
    request = encode_append(stream, exact, expected_version is Expect.EXISTS, events)
    _check_size(len(request))
    return request


class StreamAppend(NamedTuple):
    """An append to one stream, for `append_many` and `append_batch`; a plain tuple will do too.

    Attributes:
        stream: name of the stream.
        events: 1 to 1,000 events.
        expected_version: as in `append`.
    """

    stream: str
    events: Iterable[Event]
    expected_version: ExpectedVersion


StreamAppendLike: TypeAlias = StreamAppend | tuple[str, Iterable[Event], ExpectedVersion]
"""A `StreamAppend`, or a tuple of its fields."""

Checks: TypeAlias = Mapping[str, ExpectedVersion]
"""Streams that are only looked at, and the version that each is expected at."""


def append_many_request(
    appends: Iterable[StreamAppendLike], checks: Checks
) -> appends_pb.AppendManyRequest:
    """An append to several streams; every event names its id, so it is safe to repeat."""
    request = appends_pb.AppendManyRequest()
    for stream, events, expected_version in appends:
        # Its fields are those of an `AppendRequest`.
        request.appends.add().MergeFromString(append_request(stream, events, expected_version))
    for stream, version in checks.items():
        request.checks.add(stream=stream, expected_version=expected(version))
    _check_size(request.ByteSize())
    return request


def compensate_request(
    stream: str,
    event_id: str,
    reason: str,
    cancellation: Event,
    correction: Event | None,
    expected_version: ExpectedVersion,
) -> compensation_pb.CompensateRequest:
    """A compensation; both events name their ids, so it is safe to repeat. The server writes the
    data of the cancellation.
    """
    events = [cancellation] if correction is None else [cancellation, correction]
    append = appends_pb.AppendRequest.FromString(append_request(stream, events, expected_version))
    own = append.events[0]
    return compensation_pb.CompensateRequest(
        stream=stream,
        expected_version=append.expected_version,
        event_id=event_id,
        reason=reason,
        cancellation=compensation_pb.Cancellation(
            id=own.id,
            type=own.type,
            metadata=own.metadata,
            tags=own.tags,
            occurred_at=own.occurred_at if own.HasField("occurred_at") else None,
        ),
        correction=None if correction is None else append.events[1],
    )


def hydrate_request(
    stream: str,
    fold: FoldLike,
    version: int | None,
    position: int | None,
    recorded_at: dt.datetime | None,
    occurred_at: dt.datetime | None,
) -> folds_pb2.HydrateRequest:
    """A hydration at one point at the most."""
    points = {
        "version": version,
        "position": position,
        "recorded_at": recorded_at,
        "occurred_at": occurred_at,
    }
    named = [name for name, value in points.items() if value is not None]
    if len(named) > 1:
        raise TypeError(f"a state has one point in time, not {' and '.join(named)}")
    request = folds_pb2.HydrateRequest(stream=stream, fold=fold_ref(fold))
    if version is not None:
        request.version = whole(version, "version")
    if position is not None:
        request.position = whole(position, "position")
    if recorded_at is not None:
        request.recorded_at.CopyFrom(to_timestamp(recorded_at, "recorded_at"))
    if occurred_at is not None:
        request.occurred_at.CopyFrom(to_timestamp(occurred_at, "occurred_at"))
    return request


def _direction(direction: Direction) -> "pb.Direction.ValueType":
    if direction not in ("forwards", "backwards"):
        raise ValueError(f"direction is 'forwards' or 'backwards', not {direction!r}")
    return pb.DIRECTION_BACKWARDS if direction == "backwards" else pb.DIRECTION_FORWARDS


def copies_of(copies: Copies | None) -> "pb.Copies.ValueType":
    """What a reader says of copies; None: nothing."""
    match copies:
        case None:
            return pb.COPIES_UNSPECIFIED
        case "include":
            return pb.COPIES_INCLUDE
        case "exclude":
            return pb.COPIES_EXCLUDE
    raise ValueError(f"copies is 'include', 'exclude' or None, not {copies!r}")


def read_request(
    stream: str,
    from_version: int | None,
    to_version: int | None,
    direction: Direction,
    limit: int,
    types: Iterable[str],
) -> pb.ReadRequest:
    """A read of one stream."""
    request = pb.ReadRequest(
        stream=stream,
        direction=_direction(direction),
        limit=whole(limit, "limit"),
        types=texts(types, "types"),
    )
    if from_version is not None:
        request.from_version = whole(from_version, "from_version")
    if to_version is not None:
        request.to_version = whole(to_version, "to_version")
    return request


def read_all_request(
    from_position: int | None,
    resume_token: bytes | None,
    to_position: int | None,
    direction: Direction,
    limit: int,
    filters: Sequence[Iterable[str]],
    include_system_events: bool,
    copies: Copies | None,
) -> pb.ReadAllRequest:
    """A read of the log; `filters` are categories, types and tags."""
    if from_position is not None and resume_token is not None:
        raise TypeError("a read begins at from_position or at resume_token, not at both")
    categories, types, tags = filters
    request = pb.ReadAllRequest(
        direction=_direction(direction),
        limit=whole(limit, "limit"),
        categories=texts(categories, "categories"),
        types=texts(types, "types"),
        tags=texts(tags, "tags"),
        include_system_events=include_system_events,
        copies=copies_of(copies),
    )
    if from_position is not None:
        request.from_position = whole(from_position, "from_position")
    # Empty: a reader that has no place yet begins at the beginning.
    if resume_token:
        request.resume_token = resume_token
    if to_position is not None:
        request.to_position = whole(to_position, "to_position")
    return request


def versions_request(
    request: RangeT,
    stream: str,
    fold: FoldLike,
    from_version: int | None,
    to_version: int | None,
) -> RangeT:
    """Fills in the range of a history or an explanation."""
    request.stream = stream
    request.fold.CopyFrom(fold_ref(fold))
    if from_version is not None:
        request.from_version = whole(from_version, "from_version")
    if to_version is not None:
        request.to_version = whole(to_version, "to_version")
    return request


def explain_request(
    stream: str,
    fold: FoldLike,
    from_version: int | None,
    to_version: int | None,
    recorded_at: dt.datetime | None,
    occurred_at: dt.datetime | None,
) -> folds_pb2.ExplainRequest:
    """An explanation."""
    empty = folds_pb2.ExplainRequest()
    request = versions_request(empty, stream, fold, from_version, to_version)
    if recorded_at is not None:
        request.recorded_at.CopyFrom(to_timestamp(recorded_at, "recorded_at"))
    if occurred_at is not None:
        request.occurred_at.CopyFrom(to_timestamp(occurred_at, "occurred_at"))
    return request
