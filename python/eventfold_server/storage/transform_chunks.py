"""Chunks of transforms, as the statement takes them that appends one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventfold import _core

# Of the columns of an append, those that have an element for each event.
_IDS, _TYPES, _DATA, _METADATA, _TAGS, _TAG_ENDS, _TIMES, _FLAGS, _SENT, _STORED = range(3, 13)
_CANCELS, _COPIED_FROM = 16, 17
_BY_EVENT = (_IDS, _TYPES, _DATA, _METADATA, _TIMES, _FLAGS, _SENT, _STORED, _COPIED_FROM)


# What is never another one, whatever is sealed.
_AS_COPIED = (_IDS, _TYPES, _METADATA, _TIMES, _COPIED_FROM)


@dataclass(frozen=True)
class Chunk:
    """What becomes of some events of the sources, in order."""

    # Of the last event, or up to where there is none.
    position: int
    # None: there are no events.
    copies: _core.Transformed | None = None
    # The page that they come from, of which these rows.
    batch: _core.Batch | None = None
    first: int = 0
    # Version of the rules that the copies were held to.
    catalogue_version: int = 0
    # Of each append of the copies what is sealed of it; None: nothing is personal. Empty: nothing
    # of all of them is.
    sealed: Sequence[_core.Append | None] = ()

    @property
    def read(self) -> int:
        """Events of the sources."""
        return 0 if self.copies is None else self.copies.next - self.first

    @property
    def counts(self) -> Sequence[_core.TransformCount]:
        """What became of them."""
        return () if self.copies is None else self.copies.counts

    @property
    def ids(self) -> list[tuple[str, str]]:
        """Streams of the copies, and their ids."""
        return [(stream, str(id_)) for stream, columns in self.sent for id_ in columns[_IDS]]

    @property
    def sent(self) -> list[tuple[str, Sequence[Any]]]:
        """The copies as appends: stream, and the columns of their events."""
        appends = [] if self.copies is None else self.copies.appends
        return [(append.stream, append.columns(-2, "")) for append in appends]

    @property
    def is_personal(self) -> bool:
        """Whether values of the copies are personal because they were in the sources."""
        return self.copies is not None and any(one.is_personal for one in self.copies.appends)

    @property
    def failed(self) -> _core.CoreError | None:
        """Why the event behind these has no copies; None: nothing failed."""
        return None if self.copies is None else self.copies.failed

    @property
    def failed_at(self) -> int:
        """Position of the event that failed."""
        assert self.copies is not None
        assert self.batch is not None
        return self.batch.position(self.copies.next)


class Columns:
    """Arguments of the statement, from the streams on."""

    def __init__(self, chunk: Chunk, writer: str) -> None:
        self._sealed: list[str | None] = []
        # With the last version that was read.
        self.sources: dict[str, int] = {}
        # With the number of their copies, and an index from 1.
        self.targets: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        # Pairs of both by index, with the number of copies.
        self._links: Counter[tuple[int, int]] = Counter()
        # Of each copy: which target, and the how manieth there.
        self._placed: list[int] = []
        self._nth: list[int] = []
        self._by_event: dict[int, list[Any]] = {column: [] for column in _BY_EVENT}
        self._cancels: list[Any] = []
        self._tags: list[str] = []
        self._tag_ends: list[int] = []
        if chunk.copies is not None and chunk.batch is not None:
            sources = self._add_sources(chunk.batch, chunk.first, chunk.copies.next)
            for place, append in enumerate(chunk.copies.appends):
                columns = append.columns(-2, writer)
                sealed = chunk.sealed[place] if chunk.sealed else None
                self._add(append.stream, columns, sources, sealed)

    def _add_sources(self, batch: _core.Batch, first: int, end: int) -> dict[str, int]:
        """The index of the source of each event, from 1."""
        index: dict[str, int] = {}
        found: dict[str, int] = {}
        for stream, begin, behind in batch.streams():
            last = min(behind, end)
            if last <= max(begin, first):
                continue
            number = index.setdefault(stream, len(index) + 1)
            self.sources[stream] = batch.version(last - 1)
            for row in range(max(begin, first), last):
                found[batch.event_id(row)] = number
        return found

    def _add(
        self,
        target: str,
        columns: Sequence[Any],
        sources: dict[str, int],
        sealed: _core.Append | None,
    ) -> None:
        # What is sealed of the copies: their data, flags and digests, in the same places.
        stored = columns if sealed is None else sealed.columns
        number = self._numbers.setdefault(target, len(self._numbers) + 1)
        events, before = len(columns[_IDS]), self.targets.get(target, 0)
        self.targets[target] = before + events
        self._placed += [number] * events
        self._nth += range(before + 1, before + events + 1)
        for column, values in self._by_event.items():
            values.extend((columns if column in _AS_COPIED else stored)[column])
        self._sealed += (None if sealed is None else sealed.sealed_paths) or [None] * events
        self._cancels += columns[_CANCELS] or [None] * events
        tags_before = len(self._tags)
        self._tags += columns[_TAGS]
        self._tag_ends += [tags_before + end for end in columns[_TAG_ENDS]]
        self._links.update((sources[str(id_)], number) for id_ in columns[_COPIED_FROM])

    def streams(self) -> tuple[Any, ...]:
        """Sources, targets, and which went into which, in the order of `transform_sent`."""
        sources, versions, targets, _, events, *links = self.arguments()[:8]
        return (sources, versions, targets, events, *links)

    def arguments(self) -> tuple[Any, ...]:
        """In the order of the statement."""
        of = self._by_event
        return (
            list(self.sources),
            list(self.sources.values()),
            list(self.targets),
            [target.partition("-")[0] for target in self.targets],
            list(self.targets.values()),
            [source for source, _ in self._links],
            [target for _, target in self._links],
            list(self._links.values()),
            self._placed,
            self._nth,
            of[_IDS],
            of[_TYPES],
            of[_DATA],
            of[_METADATA],
            self._tags,
            self._tag_ends,
            of[_TIMES],
            of[_FLAGS],
            of[_SENT],
            of[_STORED],
            self._cancels,
            of[_COPIED_FROM],
            self._sealed,
        )
