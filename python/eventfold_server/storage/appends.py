"""Appends of one store, and what they would become."""

from dataclasses import dataclass

from eventfold import _core
from eventfold_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a plain append would become."""

    first_version: int
    duplicate: bool


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

    async def store(
        self, batch: _core.AppendBatch, stream: str
    ) -> tuple[list[_core.Outcome], int | None]:
        """Decides on each append, in order, in one transaction; and tells the position of the
        newest event that was stored. `stream` is the one of the first append.
        """
        return await self._connection.store(batch, stream)

    async def check(self, append: _core.Append) -> Foreseen | _core.Decision:
        """What a plain append would become now, or what is decided against it."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["check_append"],
                append.stream,
                append.expected,
                append.ids,
                append.sent_digests,
            )
        assert row is not None
        if row["outcome"] in ("append", "duplicate"):
            return Foreseen(row["first_version"], row["outcome"] == "duplicate")
        differs_at = row["differs_at"]
        return _core.Decision(
            row["outcome"],
            append,
            actual_version=row["actual_version"] or 0,
            successor=row["successor"],
            differs_at=None if differs_at is None else differs_at - 1,
            problem=row["problem"],
        )
