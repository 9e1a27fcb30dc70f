"""Statements on legal holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventfold_server.limits import LEGAL_HOLDS_MAX
from eventfold_server.storage.database import Database


@dataclass(frozen=True)
class LegalHoldRow:
    """What is neither erased nor deleted for now."""

    name: str
    # One of both: the keyed hash of the name of a subject, or the first stream of a line.
    subject_hash: bytes | None
    stream: str | None
    reason: str
    put_at: datetime
    put_by: str


class LegalHoldStorage:
    """The legal holds of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def put(
        self, name: str, subject_hash: bytes | None, stream: str | None, reason: str, by: str
    ) -> None:
        """Stores a hold, unless there is one of this name, or there are too many."""
        await self._database.write(
            self._queries["put_legal_hold"],
            name, subject_hash, stream, reason, by, LEGAL_HOLDS_MAX,
        )  # fmt: skip

    async def get(self, name: str) -> LegalHoldRow | None:
        """A hold."""
        rows = await self._fetch("legal_hold", name)
        return LegalHoldRow(**rows[0]) if rows else None

    async def page(self, after: str, limit: int) -> list[LegalHoldRow]:
        """Holds named above `after`, in byte order."""
        return [LegalHoldRow(**row) for row in await self._fetch("legal_holds_page", after, limit)]

    async def release(self, name: str) -> bool:
        """Drops a hold; False: there is none."""
        return bool(await self._database.write(self._queries["release_legal_hold"], name))

    async def root(self, stream: str | None) -> str | None:
        """First stream of the line of a stream, or the stream, if it is not there."""
        if stream is None:
            return None
        rows = await self._fetch("roots_of", [stream])
        return rows[0]["root"] if rows else stream

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)
