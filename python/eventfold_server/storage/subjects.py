"""Statements on what is stored of a subject, and on how personal data fares."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventfold import _core
from eventfold_server.limits import EXPORT_POSITIONS
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.views import View


@dataclass(frozen=True, slots=True)
class SubjectStreamRow:
    """Events of one type in one stream with sealed values of a subject."""

    stream: str
    event_type: str
    events: int
    first_position: int
    last_position: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class PrivacyFigures:
    """What the log's database tells of personal data as a whole."""

    head: int
    indexed_position: int
    open: int
    done: int
    # None: no erasure is under way.
    oldest_open_at: datetime | None
    servers: int
    failed_openings: int
    exports: int


class SubjectStorage:
    """What one store has of subjects, told by their ids in the key store."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)

    async def streams(
        self, subject_id: UUID, after: tuple[str, str], limit: int
    ) -> list[SubjectStreamRow]:
        """Where events of a subject are, behind a stream and type, in byte order."""
        rows = await self._fetch("subject_streams", subject_id, *after, limit)
        return [SubjectStreamRow(**row) for row in rows]

    async def line_streams(self, names: Sequence[str]) -> dict[str, int]:
        """All streams of the lines of some, with their numbers."""
        rows = await self._fetch("streams_of_lines", list(names))
        return {row["name"]: row["stream_no"] for row in rows}

    async def linked(self, names: Sequence[str]) -> list[str]:
        """First streams of lines that belong to one of the streams."""
        rows = await self._fetch("linked_streams", list(names))
        return [row["stream"] for row in rows]

    async def positions(
        self, subject_id: UUID, stream_nos: Sequence[int], after: int, up_to: int
    ) -> list[tuple[int, str]]:
        """Positions and types of the next events with sealed values of a subject, or in streams."""
        rows = await self._fetch(
            "subject_positions", subject_id, list(stream_nos), after, up_to, EXPORT_POSITIONS
        )
        return [(row["position"], row["type"]) for row in rows]

    async def pages(
        self, positions: Sequence[int], subject_id: UUID, *, raw: bool
    ) -> AsyncGenerator[_core.Page]:
        """The events at positions, encoded, with the values of a subject opened and all others
        withheld. `raw`: without the mappings in force.
        """

        def seen_by(rules: _core.ReadRules) -> _core.ReadRules:
            return rules.of_subject(subject_id.bytes)

        view = View(raw, personal=True)
        async with aclosing(self._reads.events_at(positions, view, change=seen_by)) as pages:
            async for page in pages:
                yield page

    async def figures(self) -> PrivacyFigures:
        """How personal data fares."""
        [row] = await self._fetch("privacy_figures")
        return PrivacyFigures(**row)

    async def count(self, name: str, number: int) -> None:
        """Adds to what all servers have counted."""
        await self._database.write(self._queries["add_privacy_count"], name, number)

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)
