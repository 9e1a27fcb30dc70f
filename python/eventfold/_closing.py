"""Closing the books: requests and what they return. No I/O."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from eventfold._core import uuid7
from eventfold._expected import ExpectedVersion
from eventfold._fold import FoldLike, fold_ref
from eventfold._json import as_uuid_text, encode
from eventfold._requests import expected
from eventfold._time import from_timestamp
from eventfold.v1 import closing_pb2 as pb
from eventfold.v1 import follow_pb2

Follow: TypeAlias = Literal["open", "all"]
"""Which streams of a line of periods a call means: the last one, or all of them."""

_FOLLOW = {"open": follow_pb2.FOLLOW_OPEN, "all": follow_pb2.FOLLOW_ALL}


def follow_to_wire(follow: Follow | None) -> "follow_pb2.Follow.ValueType":
    """The streams of a line that a request means; None: the one that is named alone.

    Raises:
        ValueError: there is no such word.
    """
    if follow is None:
        return follow_pb2.FOLLOW_UNSPECIFIED
    if follow not in _FOLLOW:
        raise ValueError(f"follow is 'open', 'all' or None, not {follow!r}")
    return _FOLLOW[follow]


@dataclass(frozen=True, slots=True)
class CarriedState:
    """A state that a successor starts from; it stands in the opening event.

    Attributes:
        fold: name of the fold.
        digest: digest of the fold.
        exists: False: the fold has deleted the aggregate.
    """

    fold: str
    digest: str
    exists: bool


@dataclass(frozen=True, slots=True)
class ClosedStream:
    """A stream whose books are closed.

    Attributes:
        stream: its name.
        version: version of the closing event, the last one of the stream.
        position: position of the closing event.
        closing_id: id of the closing event.
        successor: name of the stream that goes on; None: none does.
        opening_position: position of the opening event, which has version 1 of the successor; 0
            without one.
        opening_id: id of the opening event; None without one.
        states: what the opening event carries.
        recorded_at: when the last of these events was recorded, in UTC.
        duplicate: the stream was closed so already, and nothing was stored now.
    """

    stream: str
    version: int
    position: int
    closing_id: str
    successor: str | None
    opening_position: int
    opening_id: str | None
    states: tuple[CarriedState, ...]
    recorded_at: dt.datetime
    duplicate: bool

    @classmethod
    def _from_wire(cls, stream: str, answer: pb.CloseStreamResponse) -> "ClosedStream":
        return cls(
            stream=stream,
            version=answer.version,
            position=answer.position,
            closing_id=answer.closing_id,
            successor=answer.successor or None,
            opening_position=answer.opening_position,
            opening_id=answer.opening_id or None,
            states=tuple(CarriedState(one.fold, one.digest, one.exists) for one in answer.states),
            recorded_at=from_timestamp(answer.recorded_at),
            duplicate=answer.duplicate,
        )


def close_request(
    stream: str,
    expected_version: ExpectedVersion,
    successor: str | None,
    folds: Iterable[FoldLike],
    types: tuple[str, str],
    data: tuple[Any, Any],
    ids: tuple[Any, Any],
    follow: Literal["all"] | None,
) -> pb.CloseStreamRequest:
    """A close; types, data and ids are those of the closing and of the opening event. Both events
    have an id, so it is safe to repeat.
    """
    if isinstance(folds, str):
        raise TypeError("folds must be several folds, not one text")
    names = [uuid7() if id_ is None else as_uuid_text(id_) for id_ in ids]
    encoded = [b"" if one is None else encode(one) for one in data]
    return pb.CloseStreamRequest(
        stream=stream,
        expected_version=expected(expected_version),
        folds=[fold_ref(fold) for fold in folds],
        successor=successor or "",
        closing_type=types[0],
        opening_type=types[1],
        closing_data=encoded[0],
        opening_data=encoded[1],
        closing_id=names[0],
        opening_id="" if successor is None and ids[1] is None else names[1],
        follow=follow_to_wire(follow),
    )
