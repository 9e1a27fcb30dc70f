"""Statements on the registry of folds, and the one that begins a hydration."""

from dataclasses import dataclass
from datetime import datetime

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


@dataclass(frozen=True)
class HydrateHead:
    """What a hydration knows before it reads events."""

    # None: the stream never had an event.
    stream_no: int | None
    version: int
    lifecycle: int
    root: str
    # Newest revision of the fold that was asked for by name; None: there is none.
    fold_digest: str | None
    fold_source: str | None


class FoldStorage:
    """Registered folds of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def put(self, name: str, digest: str, source: str, by: str) -> tuple[FoldRow, bool]:
        """Registers a fold; True if that made a new revision."""
        row = await self._database.write(self._queries["put_fold"], name, digest, source, by)
        assert row is not None
        fold = FoldRow(name, row["revision"], digest, row["source"], row["put_at"], row["put_by"])
        return fold, row["created"]

    async def get(self, name: str, revision: int) -> FoldRow | None:
        """A revision of a fold; 0 is the newest."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["fold"], name, revision)
        return None if row is None else FoldRow(**row)

    async def list(self, after: str, limit: int) -> list[FoldRow]:
        """Newest revisions of the folds named above `after`, in byte order."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["folds_page"], after, limit)
        return [FoldRow(**row) for row in rows]

    async def hydrate_head(self, stream: str, fold_name: str | None) -> HydrateHead:
        """The stream and the fold, in one round trip."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["hydrate_head"], stream, fold_name)
        assert row is not None
        return HydrateHead(
            stream_no=row["stream_no"],
            version=row["version"] or 0,
            lifecycle=row["lifecycle"] or 1,
            root=row["root"] or stream,
            fold_digest=row["digest"],
            fold_source=row["source"],
        )
