"""Statements on references: what they lead to, and who refers to something."""

from collections.abc import Sequence
from contextlib import aclosing

from eventfold import _core
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import StreamRow
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.views import View


class ReferenceStorage:
    """References of one store."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)

    async def resolve(
        self, references: _core.References, *, field: int, room: int, whole: bool, view: View
    ) -> tuple[bytes, _core.References | None]:
        """What references to events lead to, and what is left; see `_core.Reader.resolve`. They are
        read as the events that refer to them were, or by newer rules.
        """
        return await self._database.events.resolve(
            references,
            sql=self._queries["referenced_events"],
            field=field,
            room=room,
            whole=whole,
            rules=self._reads.rules_for(view),
        )

    async def streams(self, names: Sequence[str]) -> dict[str, StreamRow]:
        """Those of the streams that had an event, by name."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["referenced_streams"], names)
        return {row["name"]: StreamRow(**row) for row in rows}

    async def referrers(self, target: str, after: int, limit: int) -> list[int]:
        """Positions behind `after` of events that refer to a target, in order."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["referrers"], target, after, limit)
        return [row["position"] for row in rows]

    async def events_at(self, positions: Sequence[int], view: View) -> _core.Page:
        """The events at positions, which stand in order: as many as fit into a message."""
        async with aclosing(self._reads.events_at(positions, view)) as pages:
            return await anext(pages)
