"""Where a subscription stands, so that a broken one goes on without gap or repetition. No I/O."""

import enum
from collections.abc import Iterator
from functools import cached_property

from eventfold._events import EventIterator, EventPage, RecordedEvent
from eventfold._generated.errors import StoreIncarnationChanged
from eventfold._place import Place
from eventfold.v1 import subscriptions_pb2 as pb


class FrameKind(enum.Enum):
    """What a frame of a subscription says."""

    EVENTS = "events"
    """Here are events."""
    CHECKPOINT = "checkpoint"
    """The filter hid everything up to `position`: it is worth to keep the place."""
    CAUGHT_UP = "caught up"
    """The head was reached: from here on events come as they are appended."""
    FELL_BEHIND = "fell behind"
    """The reader was slower than the writers; stored pages come until the next CAUGHT_UP."""
    HEARTBEAT = "heartbeat"
    """Nothing happened for 10 s."""


_KINDS = {
    pb.FRAME_KIND_EVENTS: FrameKind.EVENTS,
    pb.FRAME_KIND_CAUGHT_UP: FrameKind.CAUGHT_UP,
    pb.FRAME_KIND_FELL_BEHIND: FrameKind.FELL_BEHIND,
    pb.FRAME_KIND_HEARTBEAT: FrameKind.HEARTBEAT,
}


class Frame:
    """A part of a subscription: some events, or news of how far it is.

    Iterating over it gives its events, each made in its turn.

    Attributes:
        kind: what it says.
        position: everything up to here was looked at, and what passed the filter was delivered, in
            this frame or before.
        resume_token: stands for `position` on this very log.
        head: head of the log as the server knew it.
    """

    __slots__ = ("__dict__", "_first", "_page", "head", "kind", "position", "resume_token")

    def __init__(self, page: EventPage, first: int, message: pb.SubscribeResponse) -> None:
        self._page = page
        self._first = first
        # All of a kind that this version does not know is true of a checkpoint, and a frame whose
        # events were taken before is one.
        kind = _KINDS.get(message.kind, FrameKind.CHECKPOINT)
        is_empty = kind is FrameKind.EVENTS and first >= len(page)
        self.kind = FrameKind.CHECKPOINT if is_empty else kind
        self.position = message.position
        self.resume_token = message.resume_token
        self.head = message.head

    def __len__(self) -> int:
        return len(self._page) - self._first

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[RecordedEvent]:
        return self._page.events(self._first)

    @cached_property
    def events(self) -> tuple[RecordedEvent, ...]:
        """Its events."""
        return tuple(self)

    def __repr__(self) -> str:
        return f"<Frame {self.kind.value}, {len(self)} events, position {self.position}>"


class Following:
    """Follows a subscription: what was taken, and what to ask for when the call breaks.

    The server gives a token for each frame. Inside of a frame, the place is the token of the frame
    before with the id of the last event that was taken: a broken call begins again at that token,
    what was taken already is passed by, and the id is compared in passing. So every place proves
    that the log is the same, also one in the middle of a frame.
    """

    def __init__(self, request: pb.SubscribeRequest, place: Place) -> None:
        self._request = request
        # All before the frame under way.
        self._base = place
        self._frame: Frame | None = None
        self._events: EventIterator | None = None
        # Whether the event that the place names has to be seen yet.
        self._unproven = False
        self._is_doubtful = False
        self.head = 0
        self.is_caught_up = False

    @property
    def place(self) -> Place:
        """How far the reader is; an event is taken as soon as it was handed out."""
        frame, events = self._frame, self._events
        if frame is None:
            return self._base
        if events is not None:
            taken = events.next_index
            if taken < len(frame._page):
                if taken == frame._first:
                    return self._base
                last = frame._page[taken - 1]
                base = self._base
                return Place(last.position, base.resume_token, base.token_position, last.id)
        if not frame.resume_token:
            return self._base
        return Place(frame.position, frame.resume_token, frame.position)

    def request(self) -> pb.SubscribeRequest:
        """The request for what is still to come."""
        self._settle()
        self.is_caught_up = False
        base = self._base
        self._unproven = base.event_id is not None
        request = pb.SubscribeRequest()
        request.CopyFrom(self._request)
        if base.resume_token:
            request.resume_token = base.resume_token
        elif base.event_id is not None:
            # With the event itself, to compare it.
            request.from_position = base.position
        elif base.position:
            request.from_position = base.position + 1
        return request

    def _settle(self) -> None:
        self._base = self.place
        self._frame = self._events = None

    def accept(self, page: EventPage) -> Frame | None:
        """The frame that came; None: all of it was taken before.

        Raises:
            StoreIncarnationChanged: the event that was taken last is another one than before.
        """
        self._settle()
        message = pb.SubscribeResponse.FromString(page.rest)
        base = self._base
        first = 0
        while first < len(page) and (event := page[first]).position <= base.position:
            if self._unproven and event.position == base.position:
                self.prove(event)
            first += 1
        self.head = max(self.head, message.head)
        is_old = message.position < base.position and first == len(page)
        # At the head, what did not come by does not come any more.
        self._is_doubtful = self._unproven and (
            not is_old or message.kind == pb.FRAME_KIND_CAUGHT_UP
        )
        if is_old:
            return None
        frame = Frame(page, first, message)
        if frame.kind is FrameKind.CAUGHT_UP:
            self.is_caught_up = True
        elif frame.kind is FrameKind.FELL_BEHIND:
            self.is_caught_up = False
        return frame

    @property
    def doubtful(self) -> Place | None:
        """The place whose event did not come by, though it should have: it has to be looked up, for
        the filter may hide what it let pass before.
        """
        return self._base if self._is_doubtful else None

    def prove(self, event: RecordedEvent | None) -> None:
        """Compares the event at the place with what is stored now; None: no such event.

        Raises:
            StoreIncarnationChanged: it is another one.
        """
        base = self._base
        if event is None or (event.id, event.position) != (base.event_id, base.position):
            raise self.changed()
        self._unproven = self._is_doubtful = False

    def changed(self) -> StoreIncarnationChanged:
        """The error of a log that lost what was taken."""
        base = self._base
        return StoreIncarnationChanged(
            f"the event at position {base.position} was read, and is now missing or another one",
            {"common_position": base.token_position, "token_position": base.position},
        )

    def take(self, frame: Frame) -> EventIterator:
        """Hands out the events of a frame one by one."""
        self._frame = frame
        self._events = frame._page.events(frame._first)
        return self._events

    def take_whole(self, frame: Frame) -> None:
        """Hands out a frame as a whole."""
        self._frame = frame
