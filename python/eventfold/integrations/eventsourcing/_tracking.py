"""How far an application has processed the notifications of another one."""

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import (
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)

from eventfold import Client, Event, StreamAppend
from eventfold.integrations.eventsourcing import _states as states
from eventfold.integrations.eventsourcing._applications import EventfoldApplicationRecorder
from eventfold.integrations.eventsourcing._errors import translated
from eventfold.integrations.eventsourcing._snapshots import backwards
from eventfold.integrations.eventsourcing._writing import store

TRACKED = "Tracked"
_ID = "notification_id"


def tracking_category(category: str) -> str:
    """Category of the trackings of a recorder."""
    return f"{category}_tracking"


class Trackings:
    """The trackings of one recorder: for each application that it follows a stream, whose last
    event has the highest notification id.
    """

    def __init__(self, client: Client, category: str) -> None:
        self._client = client
        self._names = states.Names(tracking_category(category))
        # Version of the stream and highest id, as last seen: what another process wrote since is
        # noticed by the version.
        self._seen: dict[str, tuple[int, int | None]] = {}

    def stream(self, application_name: str) -> str:
        """Name of the stream for an application.

        Raises:
            DataError: the application's name cannot be the id of a stream.
        """
        return self._names.stream(application_name)

    def look(self, stream: str) -> tuple[int, int | None]:
        """Version of the stream, and the highest notification id; None: nothing was tracked."""
        head = next(backwards(self._client, stream, 1), None)
        seen = (0, None) if head is None else (head.version, int(head.data[_ID]))
        self._seen[stream] = seen
        return seen

    def seen(self, stream: str) -> tuple[int, int | None]:
        """The same as it was last seen."""
        return self._seen.get(stream) or self.look(stream)

    def note(self, stream: str, version: int, notification_id: int) -> None:
        """Notes what was stored."""
        self._seen[stream] = version, notification_id


class TrackingPart:
    """A tracking, to be stored if its notification id is above all before."""

    def __init__(self, trackings: Trackings, tracking: Tracking) -> None:
        self._trackings = trackings
        self._id = tracking.notification_id
        self._stream = trackings.stream(tracking.application_name)
        self._version, highest = trackings.seen(self._stream)
        if highest is not None and highest >= self._id:
            self._look()

    def _look(self) -> None:
        self._version, highest = self._trackings.look(self._stream)
        if highest is not None and highest >= self._id:
            raise IntegrityError(f"notification {self._id} is not above {highest}, tracked before")

    def planned(self) -> StreamAppend:
        """See `Part`."""
        return StreamAppend(self._stream, [Event(TRACKED, {_ID: self._id})], self._version)

    def plan_again(self) -> None:
        """See `Part`."""
        self._look()

    def confirm(self) -> None:
        """Notes that it is stored."""
        self._trackings.note(self._stream, self._version + 1, self._id)


class EventfoldTrackingRecorder(TrackingRecorder):
    """Trackings alone. A view in another database keeps its trackings there, by a recorder of that
    database: only so are they stored with what the view stores.

    Args:
        client: the connection; it stays open when the recorder goes.
        category: of the recorder; the streams have `category_tracking`: 1 to 55 ASCII letters,
            digits and `_`.

    Raises:
        ValueError: the category is none.
    """

    def __init__(self, client: Client, category: str = "aggregate") -> None:
        self.client = client
        self.trackings = Trackings(client, category)

    def insert_tracking(self, tracking: Tracking) -> None:
        """Stores a tracking.

        Raises:
            IntegrityError: its notification id is not above all of that application before.
            PersistenceError: see `persistence_error`.
        """
        with translated():
            part = TrackingPart(self.trackings, tracking)
            store(self.client, [part])
            part.confirm()

    def max_tracking_id(self, application_name: str) -> int | None:
        """The highest notification id of an application that was tracked; None: there is none.

        Raises:
            PersistenceError: see `persistence_error`.
        """
        with translated():
            return self.trackings.look(self.trackings.stream(application_name))[1]


class EventfoldProcessRecorder(
    EventfoldTrackingRecorder, EventfoldApplicationRecorder, ProcessRecorder
):
    """Events of an application that follows others, each stored with the tracking of what it was
    processed from: both or neither.

    Args:
        client: the connection; it stays open when the recorder goes.
        category: as that of `EventfoldApplicationRecorder`, and of `EventfoldTrackingRecorder`.

    Raises:
        ValueError: the category is none.
    """

    def __init__(self, client: Client, category: str = "aggregate") -> None:
        EventfoldApplicationRecorder.__init__(self, client, category)
        EventfoldTrackingRecorder.__init__(self, client, category)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Stores events, and with them the `Tracking` that is named by `tracking`, if any; returns
        the notification ids of the events. Without events the tracking is stored alone. It counts
        as one of the 1,000 events of an insertion.

        Raises:
            IntegrityError: a version is stored already or is not the next one, or the tracking is
                not above all before.
            PersistenceError: see `persistence_error`.
        """
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is None:
            return self._insert(stored_events, [])
        with translated():
            part = TrackingPart(self.trackings, tracking)
        positions = self._insert(stored_events, [part])
        part.confirm()
        return positions
