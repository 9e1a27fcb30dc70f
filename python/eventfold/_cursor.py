"""Where a read stands, so that a broken one goes on without gap or repetition. No I/O."""

import copy
from typing import Generic, TypeVar

from eventfold._events import EventPage, RecordedEvent
from eventfold._generated.errors import StoreIncarnationChanged
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import follow_pb2

ReadT = TypeVar("ReadT", pb.ReadRequest, pb.ReadAllRequest)


class Cursor(Generic[ReadT]):
    """Follows a read of a stream or of the log.

    A broken read begins again at the last event that came, inclusive, and compares its id: a
    store that lost its tail in between (a restore, a fail-over) is noticed, and no special case
    is needed at the ends of the stream.
    """

    def __init__(self, request: ReadT) -> None:
        self._request: ReadT = request
        self._last: RecordedEvent | None = None
        self._count = 0
        self._repeats = False

    @property
    def stream(self) -> str | None:
        """The stream that is read, or the last one that was; None: the log is."""
        if not isinstance(self._request, pb.ReadRequest):
            return None
        return self._request.stream if self._last is None else self._last.stream

    def request(self) -> ReadT:
        """The request for what is still to come."""
        last = self._last
        if last is None:
            return self._request
        request = type(self._request)()
        request.CopyFrom(self._request)
        if isinstance(request, pb.ReadRequest):
            request.from_version = last.version
            if request.follow:
                # On from that very event: through all streams behind it, or in the open one.
                request.stream = last.stream
                if request.follow == follow_pb2.FOLLOW_OPEN:
                    request.follow = follow_pb2.FOLLOW_UNSPECIFIED
        else:
            request.from_position = last.position
        if request.limit:
            request.limit = request.limit - self._count + 1
        self._repeats = True
        return request

    def accept(self, page: EventPage) -> int:
        """The index of the first event of a page that is new.

        Raises:
            StoreIncarnationChanged: the event to begin with is another one than before.
        """
        first = 0
        if page and self._repeats:
            if self._last is None or page[0].id != self._last.id:
                raise self._changed()
            self._repeats = False
            first = 1
        if len(page) > first:
            # With bytes of its own: the page would be kept for the sake of its last event.
            self._last = copy.copy(page[len(page) - 1])
            self._count += len(page) - first
        return first

    def finish(self) -> None:
        """Called at the end of the read.

        Raises:
            StoreIncarnationChanged: the event to begin with never came.
        """
        if self._repeats:
            raise self._changed()

    def _changed(self) -> StoreIncarnationChanged:
        position = self._last.position if self._last else 0
        return StoreIncarnationChanged(
            f"the event at position {position} was read, and is now missing or another one",
            {"token_position": position},
        )
