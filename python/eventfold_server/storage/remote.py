"""Stores of other servers, to which transforms copy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from eventfold import EventfoldError
from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._failures import error_from_call
from eventfold._methods import Method
from eventfold._settings import Settings, is_loopback
from eventfold.v1 import appends_pb2, folds_pb2
from eventfold.v1 import transforms_pb2 as pb
from eventfold_server.config import ConfigError
from eventfold_server.limits import TRANSFORM_CALL_S
from eventfold_server.targets import TargetAddress

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message)
# By stream: the number of copies, and their digest.
Digests = Mapping[str, tuple[int, bytes]]

# Why a call on another server failed.
RemoteError = EventfoldError

# Of the columns of an append, those that a request has too.
_IDS, _TYPES, _DATA, _METADATA, _TAGS, _TAG_ENDS, _TIMES = range(3, 10)
_CANCELS, _COPIED_FROM = 16, 17


@dataclass(frozen=True)
class Found:
    """What another store says of streams."""

    store_id: UUID
    digests: Digests
    versions: Mapping[str, int]


class RemoteStore:
    """The store of another server. Its calls are single attempts, and raise RemoteError."""

    def __init__(self, address: TargetAddress) -> None:
        """Nothing is opened yet; raises ConfigError if it cannot be."""
        exposed = address.tls is False and not is_loopback(address.address)
        if exposed and not address.insecure:
            raise ConfigError(
                f"--transform-targets: {address.address} is not a loopback address: it needs tls, "
                "tls_ca or insecure"
            )
        try:
            settings = Settings(
                address.address,
                token=address.token,
                tls=address.tls,
                timeout=TRANSFORM_CALL_S,
                insecure=address.insecure,
            )
            self._connection = AsyncConnection(settings)
        except (RemoteError, OSError) as error:
            raise ConfigError(f"--transform-targets: {address.address}: {error}") from None

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()

    async def append(self, store_id: UUID, appends: Iterable[pb.StreamCopies]) -> None:
        """Stores copies, each append of them all or nothing."""
        request = pb.AppendCopiesRequest(store_id=str(store_id), appends=appends)
        await self._call(methods.APPEND_COPIES, request)

    async def digests(
        self, streams: Digests, ids: Sequence[str] = (), names: Iterable[str] = ()
    ) -> Found:
        """Digests of streams with the next copies of them; and the versions of these and of
        others.
        """
        request = pb.DigestCopiesRequest(event_ids=ids)
        for name, (events, digest) in streams.items():
            request.streams.add(stream=name, events=events, digest=digest)
        for name in names:
            request.streams.add(stream=name)
        answer = await self._call(methods.DIGEST_COPIES, request)
        return Found(
            UUID(answer.store_id),
            {one.stream: (one.events, one.digest) for one in answer.streams if one.events},
            {one.stream: one.version for one in answer.streams},
        )

    async def state(self, stream: str, version: int, fold: str) -> tuple[bool, bytes]:
        """Whether an aggregate exists, and its state, JSON."""
        request = folds_pb2.HydrateRequest(
            stream=stream, fold=folds_pb2.FoldRef(name=fold), version=version
        )
        answer = await self._call(methods.HYDRATE, request)
        return answer.exists, answer.state

    async def _call(self, method: Method[RequestT, AnswerT], request: RequestT) -> AnswerT:
        try:
            return await self._connection.call(method, request, TRANSFORM_CALL_S)
        except CallError as error:
            target = self._connection.settings.target
            raise error_from_call(error, target, TRANSFORM_CALL_S, method.safety) from None


def copies(
    stream: str, columns: Sequence[Any], expected: int, first: int, end: int
) -> pb.StreamCopies:
    """Some of the copies for a stream as an append, which expects it at a version."""
    message = pb.StreamCopies(
        append=appends_pb2.AppendRequest(
            stream=stream, expected_version=appends_pb2.ExpectedVersion(exact=expected)
        ),
        copied_from=[str(id_) for id_ in columns[_COPIED_FROM][first:end]],
    )
    cancels = columns[_CANCELS]
    if cancels:
        message.cancels.extend("" if id_ is None else str(id_) for id_ in cancels[first:end])
    ends = [0, *columns[_TAG_ENDS]]
    for row in range(first, end):
        occurred_at = Timestamp()
        occurred_at.FromJsonString(columns[_TIMES][row])
        message.append.events.add(
            id=str(columns[_IDS][row]),
            type=columns[_TYPES][row],
            data=columns[_DATA][row],
            metadata=columns[_METADATA][row],
            tags=columns[_TAGS][ends[row] : ends[row + 1]],
            occurred_at=occurred_at,
        )
    return message
