"""Snapshots: sequences whose versions have gaps, and may come in any order."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import AggregateRecorder, IntegrityError, StoredEvent

from eventfold import (
    Client,
    Event,
    RecordedEvent,
    StreamAppend,
    StreamDeleted,
    StreamNotFound,
)
from eventfold.integrations.eventsourcing import _states as states
from eventfold.integrations.eventsourcing._errors import translated
from eventfold.integrations.eventsourcing._writing import store


def backwards(client: Client, stream: str, count: int) -> Iterator[RecordedEvent]:
    """Events of a stream from the newest on; none if there is no such stream.

    They are fetched `count` at first, then in growing portions: who looks for the newest snapshot
    does not want a whole page of them.
    """
    version: int | None = None
    while version != 0:
        try:
            reader = client.read(stream, from_version=version, direction="backwards", limit=count)
            for event in reader:
                version = event.version - 1
                yield event
            if reader.end.end_reached:
                return
        except (StreamNotFound, StreamDeleted):
            return
        count *= 4


def version_of(event: RecordedEvent) -> int:
    """The version of the library that a snapshot is of."""
    return int(event.metadata.get(states.VERSION, event.version))


def highest_before(event: RecordedEvent) -> int | None:
    """The highest version of the snapshots stored before; None: there are none."""
    found = event.metadata.get(states.HIGHEST_BEFORE)
    return None if found is None else int(found)


class SnapshotPart:
    """Further snapshots of one aggregate."""

    def __init__(self, client: Client, stream: str, stored: Sequence[StoredEvent]) -> None:
        self._client = client
        self._stream = stream
        self._stored = stored
        self._versions = [one.originator_version for one in stored]
        if len(set(self._versions)) < len(self._versions):
            raise IntegrityError(f"a version stands twice: {self._versions[:10]}")
        self._version, self._highest = self._head()

    def _head(self) -> tuple[int, int | None]:
        """The stream's own version, and the highest version among its snapshots.

        Raises:
            IntegrityError: one of the versions is stored already.
        """
        head = next(backwards(self._client, self._stream, 1), None)
        if head is None:
            return 0, None
        own, before = version_of(head), highest_before(head)
        highest = own if before is None else max(own, before)
        if min(self._versions) <= highest:
            # Of an older version than one before, which is rare: all are looked at.
            stored = {version_of(event) for event in self._client.read(self._stream)}
            if found := stored & set(self._versions):
                raise IntegrityError(f"snapshots of versions {sorted(found)} are stored already")
        return head.version, highest

    def planned(self) -> StreamAppend:
        """See `Part`."""
        events: list[Event] = []
        highest = self._highest
        for one in self._stored:
            metadata = {states.VERSION: one.originator_version}
            if highest is not None:
                metadata[states.HIGHEST_BEFORE] = highest
            events.append(states.new_event(one.originator_id, one.topic, one.state, metadata))
            version = one.originator_version
            highest = version if highest is None else max(highest, version)
        return StreamAppend(self._stream, events, self._version)

    def plan_again(self) -> None:
        """See `Part`."""
        self._version, self._highest = self._head()


class EventfoldSnapshotRecorder(AggregateRecorder):
    """Snapshots of aggregates, those of each in a stream `category-id`.

    An event's metadata tell the version that the snapshot is of, and the highest of those stored
    before it: so the newest one is found by reading one event, whatever the order was in which
    they were taken.

    Args:
        client: the connection; it stays open when the recorder goes.
        category: category of the streams: 1 to 64 ASCII letters, digits and `_`.

    Raises:
        ValueError: the category is none.
    """

    def __init__(self, client: Client, category: str = "aggregate_snapshots") -> None:
        super().__init__()
        self.client = client
        self.names = states.Names(category)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Stores snapshots, all or none: at most 1,000, and 3 MiB.

        Raises:
            IntegrityError: a snapshot of the version is stored already, or stands twice.
            PersistenceError: it was refused or failed; see `persistence_error`.
        """
        with translated():
            by_stream: dict[str, list[StoredEvent]] = {}
            for one in stored_events:
                by_stream.setdefault(self.names.stream(one.originator_id), []).append(one)
            if by_stream:
                parts = [SnapshotPart(self.client, name, of) for name, of in by_stream.items()]
                store(self.client, parts)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Snapshots of an aggregate by their versions; parameters as those of
        `EventfoldAggregateRecorder.select_events`.

        Raises:
            PersistenceError: see `persistence_error`.
        """
        stream = self.names.stream(originator_id)
        if limit is not None and limit <= 0:
            return []
        count = limit if desc and limit is not None else 100
        found: list[StoredEvent] = []
        with translated():
            for event in backwards(self.client, stream, count):
                version = version_of(event)
                if (gt is None or version > gt) and (lte is None or version <= lte):
                    found.append(
                        StoredEvent(
                            originator_id=originator_id,
                            originator_version=version,
                            topic=states.topic_of(event),
                            state=states.state_of(event.data_json),
                        )
                    )
                before = highest_before(event)
                if before is None or (gt is not None and before <= gt):
                    break
                if desc and limit is not None and _are_newest(found, limit, before):
                    break
        found.sort(key=lambda one: one.originator_version, reverse=desc)
        return found if limit is None else found[:limit]


def _are_newest(found: list[StoredEvent], limit: int, before: int) -> bool:
    """Whether nothing stored before could be among the `limit` newest."""
    if len(found) < limit:
        return False
    versions = sorted((one.originator_version for one in found), reverse=True)
    return versions[limit - 1] > before
