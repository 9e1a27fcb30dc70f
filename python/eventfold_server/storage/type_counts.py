"""Statements on what the log holds of each event type."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventfold_server.limits import TYPES_COUNT_EVENTS, TYPES_WRITERS_SHOWN_MAX
from eventfold_server.storage.database import Database
from eventfold_server.storage.event_types import EventTypeRow, event_type_row


@dataclass(frozen=True)
class TypeCounts:
    """Stored events of a type, of which there is at least one; deleted ones are among them."""

    events: int
    # Those with the mark EVENT_FLAG_SCHEMA_VIOLATED.
    violations: int
    first_position: int
    last_position: int
    first_recorded_at: datetime
    last_recorded_at: datetime
    # Who wrote most: name, events, when the newest was recorded.
    writers: Sequence[tuple[str, int, datetime]]
    # All who did.
    writers_count: int


@dataclass(frozen=True)
class CountedType:
    """What is known of an event type, and what the log holds of it."""

    row: EventTypeRow
    # None: no event is stored.
    counts: TypeCounts | None


class TypeCountStorage:
    """Counts of the event types of one store, which go up to a position that moves on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def count(self, *, wait: bool) -> tuple[int | None, int]:
        """Counts the next events of the log; up to which position, and the head of the log. The
        first is None if another process counts now, unless `wait`.
        """
        [row] = await self._database.write(
            self._queries["event_types_count"], TYPES_COUNT_EVENTS, wait
        )
        return row["counted"], row["head"]

    async def page(
        self, after: str, lower: str, upper: str | None, limit: int
    ) -> tuple[int, int, list[CountedType]]:
        """The position up to which events are counted, the head of the log, and types behind
        `after`, from `lower` up to below `upper`, in byte order.
        """
        async with self._database.reading() as connection:
            rows = await connection.fetch(
                self._queries["event_types_page"], after, lower, upper, limit,
                TYPES_WRITERS_SHOWN_MAX,
            )  # fmt: skip
        found = [
            CountedType(event_type_row(row), _counts(row))
            for row in rows
            if row["type"] is not None
        ]
        return rows[0]["position"], rows[0]["head"], found


def _counts(row: Any) -> TypeCounts | None:
    if row["events"] is None:
        return None
    writers = zip(row["writers"], row["writers_events"], row["writers_last"], strict=True)
    names = set(TypeCounts.__dataclass_fields__) - {"writers"}
    return TypeCounts(**{name: row[name] for name in names}, writers=list(writers))
