"""Statements on the subject index: which events hold sealed values of a subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventfold_server.limits import SUBJECT_INDEX_EVENTS, SUBJECT_INDEX_ROWS
from eventfold_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far the log was looked through for sealed values."""

    position: int
    # Of the log.
    head: int
    # Paths that are listed as sealed, and at which no sealed value stands.
    unreadable: int


@dataclass(frozen=True, slots=True)
class SubjectEventRow:
    """An event with sealed values of a subject."""

    position: int
    subject_id: UUID
    # Pointers to the values.
    paths: Sequence[str]
    stream_no: int
    stream: str
    root: str
    type: str
    version: int


@dataclass(frozen=True, slots=True)
class SubjectTypeRow:
    """Events of one type with sealed values of a subject."""

    type: str
    events: int
    streams: int


class SubjectIndexStorage:
    """The subject index of one store. Subjects are told by their ids in the key store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def follow(self, *, wait: bool) -> tuple[int | None, int]:
        """Looks the next events through; up to which position, and the head of the log. The first
        is None if another process is at it, unless `wait`.
        """
        [row] = await self._database.write(
            self._queries["follow_subjects"], SUBJECT_INDEX_EVENTS, wait
        )
        return row["followed"], row["head"]

    async def progress(self) -> IndexProgress:
        """How far it is."""
        [row] = await self._fetch("subject_index_at")
        return IndexProgress(**row)

    async def page(
        self, subject_ids: Sequence[UUID], after: tuple[int, UUID], limit: int
    ) -> list[SubjectEventRow]:
        """Events of subjects behind a position and subject, in order; not those whose payload was
        deleted.
        """
        rows = await self._fetch("subject_events_page", list(subject_ids), *after, limit)
        return [SubjectEventRow(**row) for row in rows]

    async def types(self, subject_ids: Sequence[UUID]) -> list[SubjectTypeRow]:
        """Events of subjects by type, in byte order."""
        rows = await self._fetch("subject_event_types", list(subject_ids))
        return [SubjectTypeRow(**row) for row in rows]

    async def drop(self, subject_id: UUID) -> int:
        """Forgets the events of a subject, which nobody can open any more; how many."""
        dropped = 0
        while True:
            rows = await self._database.write(
                self._queries["drop_subject_events"], subject_id, SUBJECT_INDEX_ROWS
            )
            dropped += len(rows)
            if len(rows) < SUBJECT_INDEX_ROWS:
                return dropped

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)
