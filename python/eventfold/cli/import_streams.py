"""Appending events of many streams, several appends at once, each event at most once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from eventfold import (
    ANY,
    AsyncClient,
    Event,
    EventfoldError,
    EventIdReused,
    ExpectedVersion,
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


def chunks(events: list[Event]) -> list[list[Event]]:
    """Cuts events into parts that fit into an append each."""
    parts: list[list[Event]] = []
    size = _APPEND_BYTES_MAX
    for event in events:
        size += _size(event)
        if size > _APPEND_BYTES_MAX or len(parts[-1]) == _APPEND_EVENTS_MAX:
            parts.append([])
            size = _size(event)
        parts[-1].append(event)
    return parts


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

    async def append_all(self, groups: list[StreamEvents]) -> None:
        """Appends the events of each stream in their order.

        Raises:
            StreamRefused: the first refusal; appends under way are finished before.
        """
        waiting = iter(groups)
        is_stopped = False

        async def work() -> None:
            nonlocal is_stopped
            for group in waiting:
                if is_stopped:
                    return
                try:
                    await self._append_group(group)
                except BaseException:
                    is_stopped = True
                    raise

        workers = [asyncio.create_task(work()) for _ in range(min(self._in_flight, len(groups)))]
        try:
            # With all results, so that no append is cut off whose outcome would be unknown.
            results = await asyncio.gather(*workers, return_exceptions=True)
        finally:
            for worker in workers:
                worker.cancel()
        for result in results:
            if result is not None:
                raise result

    async def _append_group(self, group: StreamEvents) -> None:
        done = 0
        for chunk in chunks(group.events):
            try:
                await self._append(group.stream, chunk)
            except EventfoldError as error:
                lines = group.lines[done : done + len(chunk)]
                span = f"{lines[0]} to {lines[-1]}" if len(lines) > 1 else str(lines[0])
                raise StreamRefused(group.stream, span, error) from error
            done += len(chunk)
            self._on_events(len(chunk))

    async def _append(self, stream: str, events: list[Event]) -> None:
        """The usual case in one call: all of the events are new, or all are stored."""
        version = self._counts.streams.get(stream, 0)
        try:
            await self._send(stream, events, version)
        except (VersionConflict, EventIdReused):
            await self._append_rest(stream, events)

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
        self._counts.streams[stream] = result.last_version
        if result.duplicate:
            self._counts.duplicates += len(events)
        else:
            self._counts.stored += len(events)
