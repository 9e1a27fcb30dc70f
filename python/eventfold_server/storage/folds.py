"""Statements on the registry of folds."""

from dataclasses import dataclass
from datetime import datetime

from eventfold_server.limits import LIST_PAGE_SIZE_MAX
from eventfold_server.storage.database import Database


@dataclass(frozen=True)
class FoldRow:
    """A revision of a registered fold."""

    name: str
    revision: int
    digest: str
    source: str
    put_at: datetime
    put_by: str


class FoldStorage:
    """Registered folds of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def put(
        self,
        name: str,
        digest: str,
        kept_digest: str,
        keep_every: int | None,
        source: str,
        by: str,
    ) -> tuple[FoldRow, bool]:
        """Registers a fold; True if that made a new revision."""
        [row] = await self._database.write_aside(
            self._queries["put_fold"], name, digest, kept_digest, keep_every, source, by
        )
        # Of a revision that is there already, the digest is the same, because the kept digest is.
        fold = FoldRow(name, row["revision"], digest, row["source"], row["put_at"], row["put_by"])
        return fold, row["created"]

    async def get(self, name: str, revision: int) -> FoldRow | None:
        """A revision of a fold; 0 is the newest."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["fold"], name, revision)
        return None if row is None else FoldRow(**row)

    async def incomplete(self) -> list[tuple[str, int, str]]:
        """Name, revision and source of some folds of which no kept digest is known."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["incomplete_folds"], LIST_PAGE_SIZE_MAX)
        return [(row["name"], row["revision"], row["source"]) for row in rows]

    async def complete(
        self, name: str, revision: int, kept_digest: str, keep_every: int | None
    ) -> None:
        """Adds the kept digest, and what the document says about keeping."""
        await self._database.write_aside(
            self._queries["complete_fold"], name, revision, kept_digest, keep_every
        )

    async def list(self, after: str, limit: int) -> list[FoldRow]:
        """Newest revisions of the folds named above `after`, in byte order."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["folds_page"], after, limit)
        return [FoldRow(**row) for row in rows]
