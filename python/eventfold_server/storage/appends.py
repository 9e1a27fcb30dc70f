"""Statements that append: one append by itself, or a batch of them in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventfold_server.storage.database import Database

# Records of which every append makes some are not frozen: that would cost more than their checks.


@dataclass(slots=True)
class StreamAppend:
    """Events for one stream, one list a column, and what is expected of the stream."""

    stream: str
    category: str
    # 0 or more is exact, -1 exists, -2 any.
    expected: int
    # In canonical lower case.
    ids: list[str]
    types: list[str]
    data: list[bytes]
    metadata: list[bytes]
    # Tags of all events; those of event i stand from tag_ends[i - 1] to tag_ends[i].
    tags: list[str]
    tag_ends: list[int]
    occurred_at: list[str | None]
    flags: list[int]
    sent_digests: list[bytes]
    stored_digests: list[bytes]


@dataclass(frozen=True, slots=True)
class StreamCheck:
    """What is expected of a stream that is not written to: 0 or more is exact, -1 exists."""

    stream: str
    expected: int


@dataclass(slots=True)
class Append:
    """What is stored whole or not at all: events for one stream or several, and checks."""

    parts: Sequence[StreamAppend]
    checks: Sequence[StreamCheck]
    writer: str
    trace_context: str | None
    # Of the rules that the events were checked under.
    catalogue_version: int

    @property
    def plain(self) -> bool:
        """Whether it goes to one stream and looks at no other."""
        return len(self.parts) == 1 and not self.checks


@dataclass(slots=True)
class Decision:
    """What the database decided on a part of an append, or on a check (an outcome other than
    `append` and `duplicate`); outcomes as `check_append_v1` and `append_v1` name them.
    """

    outcome: str
    # Which part or which check, from 0; the other is None.
    part: int | None
    check: int | None
    first_version: int | None
    positions: Sequence[int] | None
    recorded_at: datetime | None
    actual_version: int
    successor: str | None
    # Index from 0 of the first event that is not the one stored.
    differs_at: int | None
    problem: str | None
    catalogue_version: int | None


class AppendStorage:
    """Appends to one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries
        self._connection = database.write_connection()

    async def ready(self) -> None:
        """Makes sure of the connection that appends go through; STORAGE_UNAVAILABLE without."""
        await self._connection.ready()

    async def close(self) -> None:
        """Closes the connection."""
        await self._connection.close()

    async def catalogue_version(self) -> int:
        """The version of the rules that appends are checked against."""
        async with self._database.reading() as connection:
            return int(await connection.fetchval(self._queries["catalogue_version"]))

    async def store(self, batch: Sequence[Append]) -> list[list[Decision]]:
        """Decides on each append, in order, in one transaction.

        Plain ones come first; no two of these may be on one stream or hold the same id. The
        decisions on an append that is stored or known are one a part, in order; those on one that
        is not hold what did not pass.
        """
        if len(batch) == 1 and batch[0].plain:
            return [[await self._store_one(batch[0])]]
        numbered = _Numbered(batch)
        rows = await self._connection.write(
            self._queries["append_batch"], *numbered.arguments(), stream=batch[0].parts[0].stream
        )
        return numbered.decisions(rows)

    async def _store_one(self, append: Append) -> Decision:
        """Less work for PostgreSQL than a batch of one."""
        [part] = append.parts
        [row] = await self._connection.write(
            self._queries["append"],
            part.stream,
            part.category,
            part.expected,
            part.ids,
            part.types,
            part.data,
            part.metadata,
            part.tags,
            part.tag_ends,
            part.occurred_at,
            part.flags,
            part.sent_digests,
            part.stored_digests,
            append.writer,
            append.trace_context,
            append.catalogue_version,
            stream=part.stream,
        )
        return _decision(row, part, 0)

    async def check(
        self, stream: str, expected: int, ids: Sequence[str], sent_digests: Sequence[bytes]
    ) -> Decision:
        """What a plain append would be decided to be now."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["check_append"], stream, expected, ids, sent_digests
            )
        return _decision(row, None, 0)


def newest_position(decided: Sequence[Sequence[Decision]]) -> int:
    """The highest position that a batch has stored, or found stored; 0: none."""
    known = (one.positions for decisions in decided for one in decisions if one.positions)
    return max((positions[-1] for positions in known), default=0)


class _Numbered:
    """A batch as the arguments of `append_batch_v1`, and the way back from its numbers."""

    def __init__(self, batch: Sequence[Append]) -> None:
        self._batch = batch
        # Append and part, append and check, by the numbers of the function less 1.
        self._parts: list[tuple[int, int]] = []
        self._checks: list[tuple[int, int]] = []
        self._group_ends: list[tuple[int, int]] = []

    def arguments(self) -> tuple[object, ...]:
        """One array a column, over the whole batch."""
        streams: list[str] = []
        expected: list[int] = []
        event_ends: list[int] = []
        catalogues: list[int] = []
        numbers: list[int] = []
        categories: list[str] = []
        writers: list[str] = []
        traces: list[str | None] = []
        tag_ends: list[int] = []
        # Columns that are only put one after the other.
        columns: tuple[list[Any], ...] = tuple([] for _ in range(9))
        ids, types, data, metadata, tags, occurred, flags, sent, stored = columns
        check_streams: list[str] = []
        check_expected: list[int] = []
        plain = self._batch[0].plain
        for index, append in enumerate(self._batch):
            for place, part in enumerate(append.parts):
                self._parts.append((index, place))
                count = len(part.ids)
                streams.append(part.stream)
                expected.append(part.expected)
                catalogues.append(append.catalogue_version)
                numbers += [len(streams)] * count
                categories += [part.category] * count
                writers += [append.writer] * count
                traces += [append.trace_context] * count
                before = len(tags)
                tag_ends += [before + end for end in part.tag_ends] if before else part.tag_ends
                ids += part.ids
                types += part.types
                data += part.data
                metadata += part.metadata
                tags += part.tags
                occurred += part.occurred_at
                flags += part.flags
                sent += part.sent_digests
                stored += part.stored_digests
                event_ends.append(len(ids))
            for place, check in enumerate(append.checks):
                self._checks.append((index, place))
                check_streams.append(check.stream)
                check_expected.append(check.expected)
            if append.plain and self._group_ends:
                self._group_ends.pop()
            self._group_ends.append((len(streams), len(check_streams)))
        return (
            plain,
            [parts for parts, _ in self._group_ends],
            [checks for _, checks in self._group_ends],
            streams, expected, event_ends, catalogues,
            numbers, categories, writers, traces, ids, types, data, metadata, tags, tag_ends,
            occurred, flags, sent, stored,
            check_streams, check_expected,
        )  # fmt: skip

    def decisions(self, rows: Sequence[Any]) -> list[list[Decision]]:
        """The decisions on each append of the batch."""
        found: list[list[Decision]] = [[] for _ in self._batch]
        for row in rows:
            if row["check_number"] is None:
                index, place = self._parts[row["append_number"] - 1]
                found[index].append(_decision(row, self._batch[index].parts[place], place))
            else:
                index, place = self._checks[row["check_number"] - 1]
                found[index].append(_decision(row, None, None, place))
        return found


def _decision(
    row: Any, part: StreamAppend | None, place: int | None, check: int | None = None
) -> Decision:
    positions = row["positions"]
    if part is not None and row["outcome"] == "append":
        first = row["first_position"]
        positions = range(first, first + len(part.ids))
    differs_at = row["differs_at"]
    return Decision(
        outcome=row["outcome"],
        part=place,
        check=check,
        first_version=row["first_version"],
        positions=positions,
        recorded_at=row["recorded_at"],
        actual_version=row["actual_version"] or 0,
        successor=row["successor"],
        differs_at=None if differs_at is None else differs_at - 1,
        problem=row["problem"],
        catalogue_version=row.get("catalogue_version"),
    )
