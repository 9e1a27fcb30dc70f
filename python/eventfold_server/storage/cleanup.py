"""Statements that clean up what was made of events that are gone, or changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_table import ProjectionTable
from eventfold_server.storage.stored_errors import stored


@dataclass(frozen=True)
class TouchedEvents:
    """What the events are that were changed."""

    types: frozenset[str]
    categories: frozenset[str]
    # Position of the first; None: there is none.
    first_position: int | None
    # Whether other events refer to one of them, or to their streams.
    referred: bool


class CleanupStorage:
    """Kept states, and rows of projections, of some streams."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def touched(
        self, streams: Sequence[int], positions: Sequence[int] | None
    ) -> TouchedEvents:
        """What events of the streams are, all or those at positions."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["touched_events"], list(streams), positions
            )
        assert row is not None
        return TouchedEvents(
            frozenset(row["types"]),
            frozenset(row["categories"]),
            row["first_position"],
            row["referred"],
        )

    async def drop_kept_states(self, streams: Sequence[int]) -> int:
        """Drops the states that are kept of streams; how many."""
        [row] = await self._database.write(self._queries["drop_kept_states_of"], list(streams))
        return int(row["dropped"])

    async def generation_at(self, generation_no: int) -> int | None:
        """Position of a generation; None: it is gone."""
        async with self._database.reading() as connection:
            position: int | None = await connection.fetchval(
                self._queries["generation_at"], generation_no
            )
        return position

    async def remove_keys(
        self, generation_no: int, lease: int, document: _core.Projection, keys: Sequence[str]
    ) -> int | None:
        """Removes rows, and takes their keys off the list of parked ones; how many rows, None:
        somebody else has the generation.
        """
        table = ProjectionTable(self._queries, generation_no, document)
        rows = await self._database.write(table.remove_keys, generation_no, lease, list(keys))
        return int(rows[0]["rows"]) if rows else None

    async def refold_keys(
        self,
        generation_no: int,
        lease: int,
        document: _core.Projection,
        keys: Sequence[str],
        error: Refusal,
    ) -> int | None:
        """Removes rows, and parks their keys with the error and all of their events, from which a
        retry makes them anew; how many rows, None: somebody else has the generation.
        """
        table = ProjectionTable(self._queries, generation_no, document)
        rows = await self._database.write(
            table.refold_keys,
            generation_no,
            lease,
            list(keys),
            stored(error),
            document.types,
            document.categories,
            document.with_copies,
            document.key_kind == "root",
        )
        return int(rows[0]["rows"]) if rows else None
