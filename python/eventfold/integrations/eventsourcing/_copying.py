"""Moves the events of an application into a store: what any recorder of the library holds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    Tracking,
    TrackingRecorder,
)

from eventfold import Event, PositionAhead, StreamAppend
from eventfold.integrations.eventsourcing import _states as states
from eventfold.integrations.eventsourcing._aggregates import SequencePart
from eventfold.integrations.eventsourcing._applications import EventfoldApplicationRecorder
from eventfold.integrations.eventsourcing._errors import translated
from eventfold.integrations.eventsourcing._writing import Part, store

FILLER = "Filler"

# Events of one append, and a guess at their bytes that stays clear of 3 MiB.
_EVENTS_MAX = 1_000
_BYTES_MAX = 2 << 20
_EVENT_BYTES = 512
_PORTION = 500


@dataclass(frozen=True)
class CopiedStore:
    """What `copy_store` has done.

    Attributes:
        events: number of events that this call has copied.
        fillers: number of events that this call has put in the place of missing notification ids.
        max_notification_id: id of the newest event in the target; None: there is none.
    """

    events: int
    fillers: int
    max_notification_id: int | None


class _FillerPart:
    """Events that mean nothing, in the place of notification ids that the source left out."""

    def __init__(self, stream: str, count: int) -> None:
        self._stream = stream
        self._count = count

    def planned(self) -> StreamAppend:
        """See `Part`."""
        return StreamAppend(self._stream, [Event(FILLER) for _ in range(self._count)], 0)

    def plan_again(self) -> None:
        """See `Part`."""
        raise IntegrityError("the target has another writer")


class _Copying:
    """One run of `copy_store`."""

    def __init__(
        self,
        target: EventfoldApplicationRecorder,
        keep_ids: bool,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self._target = target
        self._keep_ids = keep_ids
        self._on_progress = on_progress
        self._head = _head(target)
        # The events of the next append, by sequence; those of a sequence follow each other.
        self._waiting: dict[str, list[Notification]] = {}
        self._newest = ""
        self._count = self._bytes = 0
        self.events = self.fillers = 0

    def take(self, notification: Notification) -> None:
        """Takes the next event of the source."""
        missing = notification.id - 1 - self._head - self._count
        if self._keep_ids and missing:
            self.flush()
            self._fill(missing, notification.id)
        stream = self._target.names.stream(notification.originator_id)
        size = _EVENT_BYTES + 2 * len(notification.topic) + 4 * len(notification.state) // 3
        is_full = self._count >= _EVENTS_MAX or self._bytes + size > _BYTES_MAX
        # In one append a stream stands once, so its events there are neighbours in the log.
        if is_full or (stream in self._waiting and stream != self._newest):
            self.flush()
        self._waiting.setdefault(stream, []).append(notification)
        self._newest = stream
        self._count += 1
        self._bytes += size

    def flush(self) -> None:
        """Stores what waits."""
        parts: list[Part] = []
        for stream, taken in self._waiting.items():
            ids = [{} if self._keep_ids else {states.SOURCE_ID: one.id} for one in taken]
            parts.append(SequencePart(stream, self._target.first_versions, taken, ids))
        copied = [one.id for taken in self._waiting.values() for one in taken]
        positions = self._store(parts)
        if self._keep_ids and positions != copied:
            raise IntegrityError(
                "the target has another writer: events got other positions than their notification "
                "ids; begin again with an empty store"
            )
        for part in parts:
            if isinstance(part, SequencePart):
                part.confirm()
        self.events += len(copied)
        self._waiting, self._newest, self._count, self._bytes = {}, "", 0, 0
        if copied and self._on_progress is not None:
            self._on_progress(copied[-1])

    def _fill(self, missing: int, notification_id: int) -> None:
        if missing < 0:
            raise IntegrityError(
                f"notification {notification_id} cannot keep its id: the target has {self._head} "
                "events already; copy into an empty store, or with keep_ids=False"
            )
        while missing > 0:
            count = min(missing, _EVENTS_MAX)
            stream = f"{self._target.names.category}_fillers-{self._head + 1}"
            self._store([_FillerPart(stream, count)])
            self.fillers += count
            missing -= count

    def _store(self, parts: list[Part]) -> list[int]:
        if not parts:
            return []
        results = store(self._target.client, parts)
        positions = [position for result in results for position in result.positions]
        self._head = positions[-1]
        return positions


def copy_store(
    source: ApplicationRecorder,
    target: EventfoldApplicationRecorder,
    *,
    keep_ids: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> CopiedStore:
    """Copies all events of an application, in the order of their notification ids.

    Called again, it goes on behind what is copied: so the bulk can be copied while the application
    runs, and the rest when it is stopped. During a call nothing else may write to the target, and
    not before the last one is done: neither the application, nor `copy_snapshots`, nor
    `copy_tracking`.

    Args:
        source: what the application recorded with so far.
        target: what it is to record with.
        keep_ids: True, the default: an event has its notification id as its position in the target,
            so that trackings of other applications stay valid. Where ids are missing in the source,
            events of the type `Filler` stand, in streams of the category `category_fillers`. The
            target has to be empty at first. False: positions follow each other from wherever the
            target is, and the metadata of each event has `source_notification_id`.
        on_progress: called after each append with the notification id up to which all is copied.

    Raises:
        IntegrityError: a position would differ from the notification id, versions of a sequence
            have gaps, or the target holds other events than the source.
        PersistenceError: it failed; call it again.
    """
    with translated():
        last = _copied_up_to(source, target, keep_ids)
        copying = _Copying(target, keep_ids, on_progress)
        for notification in _behind(source, last):
            copying.take(notification)
        copying.flush()
    return CopiedStore(copying.events, copying.fillers, target.max_notification_id())


def copy_snapshots(
    events: ApplicationRecorder, source: AggregateRecorder, target: AggregateRecorder
) -> int:
    """Copies the snapshots of all aggregates, those that are copied already apart; returns their
    number. They may as well be left behind, and be taken anew.

    Args:
        events: of which application.
        source: its snapshots so far, as `factory.aggregate_recorder("snapshots")` gives them.
        target: where they go.

    Raises:
        PersistenceError: it failed; call it again.
    """
    copied = 0
    for originator_id in dict.fromkeys(one.originator_id for one in _behind(events, 0)):
        known = {one.originator_version for one in target.select_events(originator_id)}
        for snapshot in source.select_events(originator_id):
            if snapshot.originator_version not in known:
                target.insert_events([snapshot])
                copied += 1
    return copied


def copy_tracking(
    source: TrackingRecorder, target: TrackingRecorder, application_names: Iterable[str]
) -> None:
    """Copies how far the notifications of other applications are processed. These must have kept
    their notification ids.

    Args:
        source: the recorder so far.
        target: the recorder from now on.
        application_names: the applications that are followed.

    Raises:
        PersistenceError: it failed; call it again.
    """
    for name in application_names:
        notification_id = source.max_tracking_id(name)
        if notification_id is not None and not target.has_tracking_id(name, notification_id):
            target.insert_tracking(Tracking(name, notification_id))


def _behind(source: ApplicationRecorder, last: int) -> Iterator[Notification]:
    """The notifications of a recorder behind an id."""
    while True:
        found = source.select_notifications(last, _PORTION, inclusive_of_start=False)
        yield from found
        if len(found) < _PORTION:
            return
        last = found[-1].id


def _head(target: EventfoldApplicationRecorder) -> int:
    """The newest position of the log, whatever stands there."""
    newest = target.client.read_all(
        direction="backwards", limit=1, include_system_events=True, copies="include"
    ).to_list()
    return newest[0].position if newest else 0


def _copied_up_to(
    source: ApplicationRecorder, target: EventfoldApplicationRecorder, keep_ids: bool
) -> int:
    """The notification id of the source up to which its events are in the target.

    Raises:
        IntegrityError: the newest event of the target is none of the source.
    """
    position = target.max_notification_id()
    if position is None:
        return 0
    try:
        [event] = target.client.read_all(
            from_position=position, limit=1, categories=[target.names.category]
        ).to_list()
    except PositionAhead as error:
        raise IntegrityError("the target has another writer") from error
    notification_id = position if keep_ids else event.metadata.get(states.SOURCE_ID, 0)
    copied = target.select_notifications(position, 1)
    original = source.select_notifications(notification_id, 1)
    # One may have its ids as texts where the other has UUIDs.
    facts = [(str(one.originator_id), one.originator_version, one.topic, one.state)
             for one in (*copied, *original)]  # fmt: skip
    if len(facts) < 2 or facts[0] != facts[1] or original[0].id != notification_id:
        raise IntegrityError(
            f"the newest event of the target, at position {position}, is none of the source"
        )
    return int(notification_id)
