"""Appends of one store, and what they would become."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventfold import _core
from eventfold_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a plain append would become."""

    first_version: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class StoredAppend:
    """Where the events of an append to one stream stand."""

    first_version: int
    positions: Sequence[int]
    duplicate: bool
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class NotCancellable:
    """Why an event cannot be cancelled, as `compensate_v1` names it."""

    outcome: str
    fact: str | None


@dataclass(frozen=True, slots=True)
class WrongCancels:
    """Copies cancel what is not there, or cannot be cancelled."""


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

    async def store(
        self, batch: _core.AppendBatch, stream: str
    ) -> tuple[list[_core.Outcome], int | None]:
        """Decides on each append, in order, in one transaction; and tells the position of the
        newest event that was stored. `stream` is the one of the first append.
        """
        return await self._connection.store(batch, stream)

    async def look_up(self, appends: Sequence[_core.Append]) -> None:
        """Tells appends what of that which must be there is not."""
        sought = [references for append in appends if (references := append.references)]
        if not sought:
            return
        events = {event for references in sought for event in references.events}
        streams = {stream for references in sought for stream in references.streams}
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["missing_references"], list(events), list(streams)
            )
        assert row is not None
        missing = [str(event) for event in row["events"]], row["streams"]
        if any(missing):
            for append in appends:
                append.lack(*missing)

    async def roots(self, streams: Sequence[str]) -> dict[str, str]:
        """The roots of those of some streams that are not their own."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(self._queries["roots"], list(streams))
        return {row["name"]: row["root"] for row in rows}

    async def check(self, append: _core.Append) -> tuple[Foreseen | _core.Decision, int]:
        """What a plain append would become now, or what is decided against it; and the version of
        the catalogue.
        """
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                self._queries["check_append"],
                append.stream,
                append.demanded,
                append.ids,
                append.sent_digests,
            )
        assert row is not None
        if row["outcome"] in ("append", "duplicate"):
            foreseen = Foreseen(row["first_version"], row["outcome"] == "duplicate")
            return foreseen, row["catalogue_version"]
        return _decision(row, append), row["catalogue_version"]

    async def type_of(self, event_id: UUID) -> str | None:
        """The type of an event; None if there is none with this id."""
        async with self._database.reading() as connection:
            found: str | None = await connection.fetchval(self._queries["type_of_event"], event_id)
        return found

    async def compensate(
        self, append: _core.Append, event_id: UUID
    ) -> tuple[StoredAppend | NotCancellable | _core.Decision, int] | int:
        """Stores a cancellation of the event, and what else the append holds, if it may be
        cancelled; and the version of the catalogue, which stands alone if nothing was decided: the
        append was held to other rules, or sealed for another root.

        It is carried through, whatever happens to the task that waits for it.
        """
        [row] = await self._database.write(
            self._queries["compensate"],
            event_id, *append.columns, append.sealed_paths, append.root, stream=append.stream,
        )  # fmt: skip
        version: int = row["catalogue_version"]
        match row["outcome"]:
            case "append" | "duplicate":
                return _stored(row, append), version
            case "stale":
                return version
            case "no_event" | "other_stream" | "cancellation" | "fixed" | "cancelled":
                return NotCancellable(row["outcome"], row["fact"]), version
        return _decision(row, append), version

    async def append_copies(
        self, append: _core.Append, copied_from: Sequence[UUID], cancels: Sequence[UUID | None]
    ) -> tuple[StoredAppend | WrongCancels | _core.Decision, int] | int:
        """Stores copies that another server sends, and the version of the catalogue, which stands
        alone if nothing was decided: they were held to other rules, or sealed for another root.

        It is carried through, whatever happens to the task that waits for it.
        """
        [row] = await self._database.write(
            self._queries["append_copies"],
            *append.columns, list(cancels), list(copied_from), append.sealed_paths, append.root,
            stream=append.stream,
        )  # fmt: skip
        version: int = row["catalogue_version"]
        match row["outcome"]:
            case "append" | "duplicate":
                return _stored(row, append), version
            case "stale":
                return version
            case "cancels":
                return WrongCancels(), append.catalogue_version
        return _decision(row, append), version


def _stored(row: Any, append: _core.Append) -> StoredAppend:
    first = row["first_position"]
    positions = row["positions"] if first is None else range(first, first + append.events)
    duplicate = row["outcome"] == "duplicate"
    return StoredAppend(row["first_version"], positions, duplicate, row["recorded_at"])


def _decision(row: Any, append: _core.Append) -> _core.Decision:
    differs_at = row["differs_at"]
    return _core.Decision(
        row["outcome"],
        append,
        actual_version=row["actual_version"] or 0,
        successor=row["successor"],
        differs_at=None if differs_at is None else differs_at - 1,
        problem=row["problem"],
    )
