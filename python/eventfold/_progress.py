"""How far streamed answers on states have come, so that a broken call goes on. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from eventfold._errors import EventfoldError
from eventfold._failures import error_from_status
from eventfold._generated.errors import StoreIncarnationChanged
from eventfold.v1 import folds_pb2 as pb
from eventfold.v1 import mappings_pb2, privacy_pb2, schemas_pb2
from eventfold.v1 import projections_pb2 as projections_pb

_STREAMS_MAX = 1_000

RequestT = TypeVar("RequestT")
MessageT_contra = TypeVar("MessageT_contra", contravariant=True)
ItemT_co = TypeVar("ItemT_co", covariant=True)
RangeT = TypeVar("RangeT", pb.HydrateHistoryRequest, pb.ExplainRequest)
ReportT = TypeVar(
    "ReportT",
    pb.CheckFoldResponse,
    projections_pb.VerifyProjectionResponse,
    schemas_pb2.PutSchemaResponse,
    schemas_pb2.CheckSchemaResponse,
    mappings_pb2.PutMappingResponse,
    mappings_pb2.CheckMappingResponse,
    privacy_pb2.PutPrivacyRulesResponse,
    privacy_pb2.CheckPrivacyRulesResponse,
)
"""A message that tells how far a long work is; `done` says that it is the last."""


class Progress(Protocol[MessageT_contra, ItemT_co]):
    """What `_async.streaming.batches` asks of a streamed answer."""

    def request(self) -> Any:
        """The request for what is still to come."""

    def accept(self, message: MessageT_contra) -> Sequence[ItemT_co]:
        """The items of a message that are new."""

    def finish(self) -> bool:
        """Called at the end of a call: whether nothing is still to come."""


class ManyStreams:
    """Follows a hydration of many streams, in calls of at most 1,000."""

    def __init__(self, streams: Iterable[str], fold: pb.FoldRef, position: int) -> None:
        self._fold = fold
        self._position = position
        # A dict, for its order.
        self._missing = dict.fromkeys(streams)

    def request(self) -> pb.HydrateManyRequest:
        """The next streams without an answer."""
        return pb.HydrateManyRequest(
            streams=[name for name, _ in zip(self._missing, range(_STREAMS_MAX), strict=False)],
            fold=self._fold,
            at_least_position=self._position,
        )

    def accept(
        self, message: pb.HydrateManyResponse
    ) -> Sequence[tuple[str, pb.HydrateResponse | EventfoldError]]:
        """Name and answer of each stream of a message."""
        found: list[tuple[str, pb.HydrateResponse | EventfoldError]] = []
        for one in message.streams:
            if one.stream not in self._missing:
                continue
            del self._missing[one.stream]
            failed = one.HasField("error")
            found.append((one.stream, error_from_status(one.error) if failed else one.hydrated))
        return found

    def finish(self) -> bool:
        """Whether every stream has its answer."""
        return not self._missing


class Versions(Generic[RangeT]):
    """Follows an answer of one item for each version.

    A broken call begins again at the last version that came, inclusive, and compares the id of
    its event: a store that lost its tail in between is noticed.
    """

    def __init__(self, request: RangeT) -> None:
        self._request: RangeT = request
        # Name of the field that the answer has them in.
        self._items = "states" if isinstance(request, pb.HydrateHistoryRequest) else "events"
        self._last: Any = None
        self._repeats = False

    def request(self) -> RangeT:
        """The request from the last version that came."""
        if self._last is None:
            return self._request
        request = type(self._request)()
        request.CopyFrom(self._request)
        request.from_version = self._last.version
        self._repeats = True
        return request

    def accept(self, message: pb.HydrateHistoryResponse | pb.ExplainResponse) -> Sequence[Any]:
        """The items of a message that are new.

        Raises:
            StoreIncarnationChanged: the event to begin with is another one than before.
        """
        items: Sequence[Any] = getattr(message, self._items)
        if items and self._repeats:
            if items[0].event_id != self._last.event_id:
                raise self._changed()
            self._repeats = False
            items = items[1:]
        if items:
            self._last = items[-1]
        return items

    def finish(self) -> bool:
        """True: a call that ends has sent all.

        Raises:
            StoreIncarnationChanged: the event to begin with never came.
        """
        if self._repeats:
            raise self._changed()
        return True

    def _changed(self) -> StoreIncarnationChanged:
        position = self._last.position
        return StoreIncarnationChanged(
            f"the event at position {position} was read, and is now missing or another one",
            {"token_position": position},
        )


class Report(Generic[ReportT]):
    """Follows an answer whose last message has `done`, and which begins anew when it breaks."""

    def __init__(self, request: Message) -> None:
        self._request = request
        self._done = False

    def request(self) -> Any:
        """The whole request."""
        return self._request

    def accept(self, message: ReportT) -> Sequence[ReportT]:
        """The message."""
        self._done = message.done
        return [message]

    def finish(self) -> bool:
        """Whether the report has come."""
        return self._done
