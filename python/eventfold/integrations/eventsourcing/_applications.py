"""Events of an application: its aggregates, and all of them in the order of the log."""

from collections.abc import Iterator, Sequence
from typing import Any

from eventsourcing.persistence import (
    ApplicationRecorder,
    Notification,
    StoredEvent,
    Subscription,
)

from eventfold import PositionAhead, RecordedEvent
from eventfold.integrations.eventsourcing import _states as states
from eventfold.integrations.eventsourcing._aggregates import (
    EventfoldAggregateRecorder,
    originator_version,
)
from eventfold.integrations.eventsourcing._errors import translated

# Event types that one filter of the server may name.
_TYPES_MAX = 100
# What is read at least, where the server does not filter as narrowly as the caller.
_PORTION = 500


class EventfoldApplicationRecorder(EventfoldAggregateRecorder, ApplicationRecorder):
    """Events of an application. Notification ids are positions of the log: they grow in the order
    of commits, and are without gaps where the store holds nothing but these events.

    Args:
        client: the connection; it stays open when the recorder goes.
        category: category of the streams: 1 to 64 ASCII letters, digits and `_`.

    Raises:
        ValueError: the category is none.
    """

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Stores events, as `EventfoldAggregateRecorder` does; returns their notification ids."""
        return self._insert(stored_events, [])

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events in the order of the log, but for those of deleted aggregates.

        Args:
            start: notification id to begin with; None: the first. It may lie beyond the head.
            limit: most events to return.
            stop: notification id to end with, inclusive. Default: the head.
            topics: only events of these topics. Default: all.
            inclusive_of_start: False: begin behind `start`.

        Raises:
            PersistenceError: see `persistence_error`.
        """
        begin = 1 if start is None else max(1, start if inclusive_of_start else start + 1)
        found: list[Notification] = []
        with translated():
            for event in self._log(begin, stop, topics, limit):
                if len(found) >= limit:
                    break
                found.append(notification(event))
        return found

    def _log(
        self, begin: int, stop: int | None, topics: Sequence[str], limit: int
    ) -> Iterator[RecordedEvent]:
        """Events from a position on, in portions that suit `limit`."""
        types = _types(topics)
        portion = limit if not topics or types else max(limit, _PORTION)
        while portion > 0 and (stop is None or begin <= stop):
            reader = self.client.read_all(
                from_position=begin,
                to_position=stop,
                limit=portion,
                categories=[self.names.category],
                types=types,
            )
            try:
                for event in reader:
                    if _is_wanted(event, topics):
                        yield event
            except PositionAhead:
                return
            if reader.end.end_reached:
                return
            begin = reader.end.position + 1

    def max_notification_id(self) -> int | None:
        """Id of the newest event; None: there is none.

        Raises:
            PersistenceError: see `persistence_error`.
        """
        with translated():
            newest = self.client.read_all(
                direction="backwards", limit=1, categories=[self.names.category]
            ).to_list()
        return newest[0].position if newest else None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> "EventfoldSubscription":
        """Follows the application: first what is stored, then what is inserted.

        Args:
            gt: begin behind this notification id, at most that of the newest event of the log.
                Default: at the beginning.
            topics: only events of these topics. Default: all.

        Returns:
            An iterator without an end; see `EventfoldSubscription`.
        """
        return EventfoldSubscription(self, gt, topics)


class EventfoldSubscription(Subscription[EventfoldApplicationRecorder]):
    """The notifications of an application, without an end, until `stop` is called, from whichever
    thread.

    A broken connection is mended, without gap or repetition and for as long as it takes; the
    logger `eventfold` tells of it.
    """

    def __init__(
        self,
        recorder: EventfoldApplicationRecorder,
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        with translated():
            self._events = recorder.client.subscribe(
                categories=[recorder.names.category],
                types=_types(topics),
                from_position=max(0, gt or 0) + 1,
            )

    def stop(self) -> None:
        """Ends the iteration, also one that waits in another thread; may be called again."""
        super().stop()
        self._events.close()

    def __next__(self) -> Notification:
        """Waits for the next one.

        Raises:
            StopIteration: it was stopped.
            OperationalError: the log is another one than before, or never came to `gt`.
            PersistenceError: see `persistence_error`.
        """
        with translated():
            while not self._has_been_stopped:
                event = next(self._events, None)
                if event is None:
                    break
                if _is_wanted(event, self._topics):
                    found = notification(event)
                    self._last_notification_id = found.id
                    return found
        raise StopIteration


def notification(event: RecordedEvent) -> Notification:
    """An event of the log in the form of the library.

    Raises:
        DataError: its data have the form of packed bytes, and hold none.
    """
    return Notification(
        id=event.position,
        originator_id=states.originator_of(event.stream.partition("-")[2], event.metadata),
        originator_version=originator_version(event),
        topic=states.topic_of(event),
        state=states.state_of(event.data_json),
    )


def _types(topics: Sequence[str]) -> list[str]:
    """The event types that the server filters by; none: too many, so that only we filter."""
    types = sorted({states.type_of(topic) for topic in topics})
    return types if len(types) <= _TYPES_MAX else []


def _is_wanted(event: RecordedEvent, topics: Sequence[str]) -> bool:
    # Of a deleted aggregate only tombstones are left, of which nobody could make an event.
    return not event.deleted and (not topics or states.topic_of(event) in topics)
