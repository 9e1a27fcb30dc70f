"""Statements on the newest part of the log."""

from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from eventfold import _core
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.database import Database

_NO_END = (1 << 63) - 1
_NO_ID = UUID(int=0)


@dataclass(frozen=True)
class LogTail:
    """The head of the log, the id of its event, and the id at a position that was asked for."""

    position: int
    head_id: UUID | None
    known_id: UUID | None


class TailStorage:
    """Looks at the end of the log of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def head(self) -> int:
        """Position of the newest event; 0: none."""
        async with self._database.reading() as connection:
            return int(await connection.fetchval(self._queries["log_head"]))

    async def state(self, position: int) -> LogTail:
        """The head, and what stands at the position."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["log_tail"], position)
        assert row is not None
        return LogTail(row["position"], row["head_id"], row["known_id"])

    async def ids(self, lower: int, upper: int) -> bytes:
        """Ids at positions `lower` to `upper`, both inclusive, 16 bytes each."""
        async with self._database.reading() as connection:
            found = await connection.fetchval(self._queries["ids_between"], lower, upper)
        return found or b""

    async def page_after(self, position: int, id_: UUID | None) -> _core.Page:
        """The events behind the position, up to about a page; none if the event there has another
        id. Position 0 has none.
        """
        pages = self._database.events.pages(
            self._queries["tail_page"],
            id_ or _NO_ID,
            position + 1,
            _NO_END,
            _NO_END,
            position,
            order="positions",
            page_bytes=PAGE_BYTES,
            encoded=False,
        )
        async with aclosing(pages):
            return await anext(pages)
