"""Statements on the newest part of the log."""

from dataclasses import dataclass
from uuid import UUID

from eventfold import _core
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.views import WITHHELD, View

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

    def __init__(self, database: Database, catalogue: Catalogue, view: View = WITHHELD) -> None:
        """`view`: how events come."""
        self._view = view
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)

    @property
    def mapping_digest(self) -> str:
        """Of the mappings by which events are read now; empty: as they are stored."""
        return self._reads.rules.mapping_digest

    @property
    def epoch(self) -> int:
        """Goes up when events that were read before may not be used any more."""
        return self._reads.epoch if self._view.personal else 0

    async def head(self) -> int:
        """Position of the newest event; 0: none."""
        return await self._reads.head()

    async def state(self, position: int) -> LogTail:
        """The head, and what stands at the position."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._queries["log_tail"], position)
        assert row is not None
        await self._reads.seen(row["catalogue_version"])
        return LogTail(row["position"], row["head_id"], row["known_id"])

    async def ids(self, lower: int, upper: int) -> bytes:
        """Ids at positions `lower` to `upper`, both inclusive, 16 bytes each."""
        async with self._database.reading() as connection:
            found = await connection.fetchval(self._queries["ids_between"], lower, upper)
        return found or b""

    async def page_after(self, position: int, id_: UUID | None) -> tuple[_core.Page, str]:
        """The events behind the position, up to about a page, and the digest of the mappings by
        which they were read; none if the event there has another id. Position 0 has none.
        """

        async def read(rules: _core.ReadRules) -> tuple[_core.Page, str]:
            pages = self._database.events.begin(
                self._queries["tail_page"],
                id_ or _NO_ID,
                position + 1,
                _NO_END,
                _NO_END,
                position,
                order="positions",
                page_bytes=PAGE_BYTES,
                encoded=False,
                rules=rules,
            )
            return await self._database.events.next(pages), rules.mapping_digest

        return await self._reads.begin(read, self._view)
