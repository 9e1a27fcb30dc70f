"""Appending events of many streams, several appends at once, each event at most once."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from eventfold import (
    ANY,
    AppendResult,
    AsyncClient,
    Event,
    EventfoldError,
    EventIdReused,
    ExpectedVersion,
    StreamAppend,
    StreamNotFound,
    VersionConflict,
)

_APPEND_EVENTS_MAX = 1_000
# Below the limit of 3 MiB, which also counts types, tags and names.
_APPEND_BYTES_MAX = 2 << 20
# A stream that moves while it is written to is looked at again; others write to it too.
_ATTEMPTS_MAX = 5


@dataclass(frozen=True)
class StreamEvents:
    """Events for one stream, and the lines where they stand."""

    stream: str
    events: list[Event]
    lines: list[int]


@dataclass
class Counts:
    """What an import did."""

    stored: int = 0
    duplicates: int = 0
    # The version at which each stream was left, which the next part of the file goes on from.
    streams: dict[str, int] = field(default_factory=dict)


class StreamRefused(Exception):
    """The server refused events of a stream."""

    def __init__(self, stream: str, lines: str, error: EventfoldError) -> None:
        super().__init__(f"{stream}: {error}")
        self.stream = stream
        self.lines = lines
        self.error = error


def _size(event: Event) -> int:
    tags = sum(len(tag.encode()) for tag in event.tags)
    return len(event.data_json) + len(event.metadata_json) + len(event.type.encode()) + tags


def parts(group: StreamEvents) -> Iterator[StreamEvents]:
    """Cuts the events of a stream into parts that fit into an append each."""
    first = size = 0
    for index, event in enumerate(group.events):
        size += _size(event)
        is_full = size > _APPEND_BYTES_MAX or index - first == _APPEND_EVENTS_MAX
        if is_full and index > first:
            yield _part(group, first, index)
            first, size = index, _size(event)
    yield _part(group, first, len(group.events))


def _part(group: StreamEvents, first: int, last: int) -> StreamEvents:
    return StreamEvents(group.stream, group.events[first:last], group.lines[first:last])


class Importer:
    """Appends to many streams; what is stored already is found by its ids."""

    def __init__(
        self,
        store: AsyncClient,
        counts: Counts,
        in_flight: int,
        on_events: Callable[[int], None],
    ) -> None:
        self._store = store
        self._counts = counts
        self._in_flight = in_flight
        self._on_events = on_events
        self._refused: StreamRefused | None = None
        # Parts of streams that hold other events too, or only the first of a part.
        self._moved: dict[str, list[StreamEvents]] = {}

    async def append_all(self, groups: list[StreamEvents]) -> None:
        """Appends the events of each stream in their order.

        Raises:
            StreamRefused: the first refusal; appends under way are finished before.
        """
        self._moved = {}
        under_way: deque[StreamEvents] = deque()
        results = self._store.append_batch(
            self._appends(groups, under_way), return_errors=True, in_flight=self._in_flight
        )
        async for result in results:
            part = under_way.popleft()
            if isinstance(result, AppendResult):
                self._count(part.stream, len(part.events), result)
                self._on_events(len(part.events))
            elif isinstance(result, VersionConflict | EventIdReused):
                self._moved.setdefault(part.stream, []).append(part)
            else:
                self._refuse(part, result)
        await self._append_moved()
        if self._refused is not None:
            raise self._refused

    def _appends(
        self, groups: list[StreamEvents], under_way: deque[StreamEvents]
    ) -> Iterator[StreamAppend]:
        """The usual case in one call: all events of a part are new, or all are stored."""
        for group in groups:
            version = self._counts.streams.get(group.stream, 0)
            for part in parts(group):
                if self._refused is not None:
                    return
                if part.stream in self._moved:
                    self._moved[part.stream].append(part)
                    continue
                under_way.append(part)
                yield StreamAppend(part.stream, part.events, version)
                version += len(part.events)

    async def _append_moved(self) -> None:
        waiting = iter(self._moved.values())

        async def work() -> None:
            for stream_parts in waiting:
                for part in sorted(stream_parts, key=lambda part: part.lines[0]):
                    if self._refused is not None:
                        return
                    try:
                        await self._append_rest(part.stream, part.events)
                    except EventfoldError as error:
                        self._refuse(part, error)
                        return
                    self._on_events(len(part.events))

        # None is cut off, since the outcome of its append would be unknown.
        await asyncio.gather(*(work() for _ in range(min(self._in_flight, len(self._moved)))))

    def _refuse(self, part: StreamEvents, error: EventfoldError) -> None:
        lines = part.lines
        span = f"{lines[0]} to {lines[-1]}" if len(lines) > 1 else str(lines[0])
        refused = StreamRefused(part.stream, span, error)
        refused.__cause__ = error
        self._refused = self._refused or refused

    async def _append_rest(self, stream: str, events: list[Event]) -> None:
        """The stream holds other events too, or only the first of these."""
        for attempt in range(_ATTEMPTS_MAX):
            stored, version = await self._stored(stream)
            known = 0
            while known < len(events) and events[known].id in stored:
                known += 1
            try:
                if known:
                    # The server compares what is stored with what stands in the file.
                    await self._send(stream, events[:known], ANY)
                if known < len(events):
                    await self._send(stream, events[known:], version)
            except VersionConflict:
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
            else:
                return

    async def _stored(self, stream: str) -> tuple[set[str], int]:
        ids = set()
        version = 0
        try:
            async for event in self._store.read(stream):
                ids.add(event.id)
                version = event.version
        except StreamNotFound:
            pass
        return ids, version

    async def _send(self, stream: str, events: list[Event], expected: ExpectedVersion) -> None:
        result = await self._store.append(stream, events, expected_version=expected)
        self._count(stream, len(events), result)

    def _count(self, stream: str, events: int, result: AppendResult) -> None:
        self._counts.streams[stream] = result.last_version
        if result.duplicate:
            self._counts.duplicates += events
        else:
            self._counts.stored += events
