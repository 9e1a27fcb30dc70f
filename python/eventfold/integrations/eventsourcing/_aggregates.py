"""Events of aggregates: sequences without gaps, one stream for each."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import AggregateRecorder, IntegrityError, StoredEvent

from eventfold import (
    Client,
    RecordedEvent,
    StreamAppend,
    StreamDeleted,
    StreamNotFound,
    VersionAhead,
)
from eventfold.integrations.eventsourcing import _states as states
from eventfold.integrations.eventsourcing._errors import translated
from eventfold.integrations.eventsourcing._writing import Part, store

# First versions never change, so that they are known to be right; this only bounds the memory.
_FIRST_VERSIONS_MAX = 65_536


class FirstVersions:
    """The version of the library that the first event of each stream has.

    Version `v` of a stream is version `first + v - 1` of the library's sequence.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, int] = {}

    def known(self, stream: str) -> int | None:
        """That of a stream, if it was seen before."""
        return self._known.get(stream)

    def remember(self, stream: str, first: int) -> None:
        """Notes that of a stream."""
        if len(self._known) >= _FIRST_VERSIONS_MAX:
            self._known.clear()
        self._known[stream] = first

    def find(self, stream: str, *, fresh: bool = False) -> int | None:
        """That of a stream, looked up if it is not known; None: the stream has no event.

        Args:
            stream: name of the stream.
            fresh: look it up in any case.
        """
        if not fresh and (first := self.known(stream)) is not None:
            return first
        try:
            events = self._client.read(stream, limit=1).to_list()
        except (StreamNotFound, StreamDeleted):
            events = []
        if not events:
            return None
        first = first_version(events[0])
        self.remember(stream, first)
        return first


def first_version(event: RecordedEvent) -> int:
    """The first version of its sequence; 1 for events that another program appended."""
    return int(event.metadata.get(states.FIRST_VERSION, 1))


def originator_version(event: RecordedEvent) -> int:
    """Its version in the library."""
    return first_version(event) + event.version - 1


class SequencePart:
    """The next events of one sequence; its versions have no gaps."""

    def __init__(
        self,
        stream: str,
        first_versions: FirstVersions,
        stored: Sequence[StoredEvent],
        extra: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._stream = stream
        self._first_versions = first_versions
        self._stored = stored
        # More metadata for each event.
        self._extra = extra or [{}] * len(stored)
        self._begin = stored[0].originator_version
        versions = [one.originator_version for one in stored]
        if versions != list(range(self._begin, self._begin + len(stored))):
            raise IntegrityError(
                f"versions of a sequence have no gaps and no repetitions: {versions[:10]}"
            )
        self._is_sure = False
        first = first_versions.known(stream)
        if first is None and self._begin in (0, 1):
            # Nearly always the beginning of a sequence: a conflict tells where it is not.
            first = self._begin
        elif first is None:
            first = self._find()
        self._first = first

    def _find(self) -> int:
        self._is_sure = True
        first = self._first_versions.find(self._stream, fresh=True)
        return self._begin if first is None else first

    def planned(self) -> StreamAppend:
        """See `Part`."""
        expected = self._begin - self._first
        if expected < 0:
            raise IntegrityError(f"the sequence begins with version {self._first}")
        metadata = {states.FIRST_VERSION: self._first}
        events = [
            states.new_event(one.originator_id, one.topic, one.state, metadata | dict(extra))
            for one, extra in zip(self._stored, self._extra, strict=True)
        ]
        return StreamAppend(self._stream, events, expected)

    def plan_again(self) -> None:
        """See `Part`."""
        first = self._first
        if not self._is_sure:
            self._first = self._find()
        if self._first == first:
            problem = f"version {self._begin} is not the next one of its sequence"
            raise IntegrityError(problem)

    def confirm(self) -> None:
        """Notes what the stored events have proved."""
        self._first_versions.remember(self._stream, self._first)


class EventfoldAggregateRecorder(AggregateRecorder):
    """Events of aggregates, each in a stream `category-id`.

    Args:
        client: the connection; it stays open when the recorder goes.
        category: category of the streams: 1 to 64 ASCII letters, digits and `_`.

    Raises:
        ValueError: the category is none.
    """

    def __init__(self, client: Client, category: str = "aggregate") -> None:
        super().__init__()
        self.client = client
        self.names = states.Names(category)
        self.first_versions = FirstVersions(client)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Stores events, all or none: at most 1,000, and 3 MiB.

        Those of one aggregate follow each other in the log, also where those of others stand
        between them in the argument.

        Raises:
            IntegrityError: a version is stored already, stands twice, or is not the next one.
            PersistenceError: it was refused or failed; see `persistence_error`.
        """
        self._insert(stored_events, [])
        return None

    def _insert(self, stored_events: Sequence[StoredEvent], more: Sequence[Part]) -> list[int]:
        """Stores events and then what else belongs to them; returns the positions of the events,
        in their order.
        """
        with translated():
            places: dict[str, list[int]] = {}
            for place, one in enumerate(stored_events):
                places.setdefault(self.names.stream(one.originator_id), []).append(place)
            sequences = [
                SequencePart(stream, self.first_versions, [stored_events[place] for place in of])
                for stream, of in places.items()
            ]
            if not sequences and not more:
                return []
            results = store(self.client, [*sequences, *more])
            for sequence in sequences:
                sequence.confirm()
        positions = [0] * len(stored_events)
        for of, result in zip(places.values(), results, strict=False):
            for place, position in zip(of, result.positions, strict=True):
                positions[place] = position
        return positions

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Events of an aggregate by their versions; none if there is no such aggregate, or if it
        was deleted.

        Args:
            originator_id: the aggregate.
            gt: only versions above this one. Default: all.
            lte: only versions up to this one. Default: all.
            desc: the newest first. Default: the oldest.
            limit: most events to return. Default: all.

        Raises:
            PersistenceError: see `persistence_error`.
        """
        stream = self.names.stream(originator_id)
        if limit is not None and limit <= 0:
            return []
        with translated():
            try:
                events = self._read(stream, gt, lte, desc, limit or 0)
            except (StreamNotFound, StreamDeleted):
                return []
        if events:
            self.first_versions.remember(stream, first_version(events[0]))
        return [
            StoredEvent(
                originator_id=originator_id,
                originator_version=originator_version(event),
                topic=states.topic_of(event),
                state=states.state_of(event.data_json),
            )
            for event in events
        ]

    def _read(
        self, stream: str, gt: int | None, lte: int | None, desc: bool, limit: int
    ) -> list[RecordedEvent]:
        low, high = 1, None
        if gt is not None or lte is not None:
            first = self.first_versions.find(stream)
            if first is None:
                return []
            low = 1 if gt is None else max(1, gt - first + 2)
            high = None if lte is None else lte - first + 1
            if high is not None and high < low:
                return []
        try:
            if not desc:
                return self.client.read(
                    stream, from_version=low, to_version=high, limit=limit
                ).to_list()
            return self._read_backwards(stream, low, high, limit)
        except VersionAhead:
            return []

    def _read_backwards(
        self, stream: str, low: int, high: int | None, limit: int
    ) -> list[RecordedEvent]:
        def read(begin: int | None) -> list[RecordedEvent]:
            return self.client.read(
                stream, from_version=begin, to_version=low, direction="backwards", limit=limit
            ).to_list()

        try:
            found = [] if high is None else read(high)
        except VersionAhead:
            found = []
        if not found:
            # A bound beyond the head is no bound to begin with.
            found = read(None)
            if high is not None and found and found[0].version > high:
                # A writer took the head beyond it meanwhile.
                found = read(high)
        # To end with, a bound beyond the head means the head.
        return [event for event in found if event.version >= low]
