"""Statements on consumer groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from eventfold_server import limits
from eventfold_server.errors import Refusal
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.log import Pages
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.stored_errors import restored, stored
from eventfold_server.storage.views import View

_NO_END = (1 << 63) - 1


@dataclass(frozen=True)
class GroupSpec:
    """What a group is about, and how it delivers: what its creator says."""

    # Sorted; None: no demand.
    categories: Sequence[str] | None
    stream: str | None
    types: Sequence[str] | None
    tags: Sequence[str] | None
    # CEL.
    condition: str | None
    with_system: bool
    # 1 they are among the events, 2 they are not; None: it was not said.
    copies: int | None
    ack_timeout: timedelta
    attempts_max: int
    retry_initial: timedelta
    retry_factor: float
    retry_max: timedelta
    hold_back: bool
    ordered: bool


@dataclass(frozen=True)
class GroupRow:
    """A group, and how far it is."""

    group_no: int
    name: str
    spec: GroupSpec
    generation: int
    created_at: datetime
    created_by: str
    cursor: int
    progress: int
    # Why it takes nothing in behind the cursor; None: it does.
    stopped: Refusal | None
    # Of the log.
    head: int


@dataclass(frozen=True)
class ConsumerRow:
    """A session on a group."""

    session: int
    consumer: str
    caller: str
    since: datetime
    streams: int
    under_way: int


@dataclass(frozen=True)
class GroupStatus:
    """How a group is doing; see the proto."""

    waiting: int
    under_way: int
    retrying: int
    held_back: int
    parked: int
    oldest_parked: int
    # When the oldest event was recorded that is not settled.
    oldest_at: datetime | None
    consumers: Sequence[ConsumerRow]


@dataclass(frozen=True)
class NextEvents:
    """The next events of the log for a group, not taken in yet."""

    cursor: int
    head: int
    # Where the cursor stands when they are taken in.
    up_to: int
    positions: Sequence[int]
    # The lane of each of them.
    lanes: Sequence[int]
    # Entries that wait or are under way.
    open_entries: int
    # Why nothing behind `up_to` can be taken in, whatever was appended; None: nothing hinders.
    stopped: Refusal | None = None


@dataclass(frozen=True)
class Delivery:
    """Events that a session was given, in order of position."""

    positions: list[int]
    leases: list[int]
    attempts: list[int]


@dataclass(frozen=True)
class Claimed:
    """What sessions were given."""

    # By index of the session.
    deliveries: dict[int, Delivery]
    # When the next lease or wait ends; None: there is none.
    due_in_s: float | None


@dataclass(frozen=True)
class Settlement:
    """What becomes of events; `action` as in the proto."""

    session: int
    action: int
    positions: Sequence[int]
    leases: Sequence[int]
    reason: str
    # None: what the group says.
    wait: timedelta | None


@dataclass(frozen=True)
class Settled:
    """What became of a settlement."""

    # Positions of which the lease is lost, in order.
    lost: list[int]
    # Positions that were parked, because their attempts are used up.
    parked: list[int]


@dataclass(frozen=True)
class ParkedRow:
    """A parked event."""

    position: int
    attempts: int
    parked_at: datetime
    cause: int
    reason: str
    consumer: str
    holds: bool


class GroupStorage:
    """Consumer groups of one store."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)

    async def create(self, name: str, spec: GroupSpec, by: str, cursor: int) -> bool:
        """Creates a group; False: there is one of this name."""
        rows = await self._write(
            "create_group",
            name,
            spec.categories,
            spec.stream,
            spec.types,
            spec.tags,
            spec.condition,
            spec.with_system,
            spec.copies,
            spec.ack_timeout,
            spec.attempts_max,
            spec.retry_initial,
            spec.retry_factor,
            spec.retry_max,
            spec.hold_back,
            spec.ordered,
            by,
            cursor,
        )
        return bool(rows)

    async def get(self, name: str) -> GroupRow | None:
        """The group; None if there is none of this name."""
        rows = await self._fetch("group", name)
        return _group(rows[0]) if rows else None

    async def page(self, after: str, limit: int) -> list[GroupRow]:
        """Groups named above `after`, in byte order."""
        return [_group(row) for row in await self._fetch("groups_page", after, limit)]

    async def status(self, group_no: int) -> GroupStatus:
        """How the group is doing."""
        [row] = await self._fetch("group_status", group_no)
        consumers = await self._fetch(
            "group_consumers",
            group_no,
            timedelta(seconds=limits.GROUP_ALIVE_S),
            limits.GROUP_CONSUMERS_SHOWN_MAX,
        )
        return GroupStatus(**row, consumers=[ConsumerRow(**consumer) for consumer in consumers])

    async def reset(self, group_no: int, cursor: int) -> bool:
        """Lets the group begin anew behind the position; False: it is gone."""
        [row] = await self._write("group_reset", group_no, cursor)
        return bool(row["found"])

    async def delete(self, group_no: int) -> bool:
        """Deletes the group; False: it is gone already."""
        [row] = await self._write("group_reset", group_no, None)
        return bool(row["found"])

    async def parked(self, group_no: int, after: int, limit: int) -> list[ParkedRow]:
        """Parked events behind a position, in order."""
        rows = await self._fetch("parked_page", group_no, after, limit)
        return [ParkedRow(**row) for row in rows]

    async def now(self) -> datetime:
        """PostgreSQL's clock."""
        [row] = await self._fetch("clock")
        time: datetime = row[0]
        return time

    async def unpark(
        self, group_no: int, positions: Sequence[int] | None, before: datetime | None, purge: bool
    ) -> int | None:
        """Replays or purges parked events: these, or some of those parked before; how many. None:
        the group is gone.
        """
        [row] = await self._write(
            "group_unpark", group_no, positions, before, limits.GROUP_PARKED_MAX, purge
        )
        done: int | None = row["done"]
        return done

    async def begin_session(self, group: str, consumer: str, caller: str) -> tuple[int, int] | None:
        """Numbers of the group and of a new session on it; None: there is no such group."""
        rows = await self._write("begin_group_session", group, consumer, caller)
        return (rows[0]["group_no"], rows[0]["session"]) if rows else None

    async def end_session(self, group_no: int, session: int, *, failed: bool) -> None:
        """Gives back what the session has; `failed`: in vain."""
        await self._write("end_group_session", group_no, session, failed)

    async def next_events(self, group_no: int) -> NextEvents | None:
        """The next events of the log for the group; None: the group is gone."""
        rows = await self._fetch(
            "group_next",
            group_no,
            limits.GROUP_PAGE_EVENTS_MAX,
            limits.LOG_WINDOW_POSITIONS,
            limits.GROUP_OPEN_EVENTS_MAX,
        )
        return NextEvents(**rows[0]) if rows else None

    async def take_in(self, group_no: int, events: NextEvents) -> bool:
        """Takes the events into the group; False: somebody else is at it."""
        [row] = await self._write(
            "group_take_in",
            group_no,
            events.cursor,
            events.up_to,
            events.positions,
            events.lanes,
            None if events.stopped is None else stored(events.stopped),
        )
        return bool(row[0])

    async def claim(
        self,
        group_no: int,
        sessions: Sequence[int],
        credits_of: Sequence[int],
        alive: Sequence[int],
    ) -> Claimed | None:
        """Gives events to sessions, up to the credits of each; None: the group is gone."""
        rows = await self._write(
            "group_claim", group_no, sessions, credits_of, limits.GROUP_LANE_EVENTS_MAX, alive
        )
        if not rows:
            return None
        deliveries = {
            row["dealt"] - 1: Delivery(row["positions"], row["leases"], row["attempts"])
            for row in rows[:-1]
        }
        due_in = rows[-1]["due_in"]
        return Claimed(deliveries, None if due_in is None else due_in.total_seconds())

    async def settle(self, group_no: int, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settles events, all settlements in one transaction, one after the other."""
        ends: list[int] = []
        positions: list[int] = []
        leases: list[int] = []
        for settlement in settlements:
            positions += settlement.positions
            leases += settlement.leases
            ends.append(len(positions))
        rows = await self._write(
            "group_settle",
            group_no,
            [settlement.action for settlement in settlements],
            [settlement.session for settlement in settlements],
            [settlement.reason for settlement in settlements],
            [settlement.wait for settlement in settlements],
            ends,
            positions,
            leases,
        )
        settled = [Settled([], []) for _ in settlements]
        for row in rows:
            one = settled[row["settlement"] - 1]
            (one.lost if row["lost"] else one.parked).append(row["pos"])
        return settled

    def events_at(self, positions: Sequence[int], view: View, *, encoded: bool = True) -> Pages:
        """The events at the positions, which stand in order, encoded or as batches."""
        return self._reads.events_at(positions, view, encoded=encoded)

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)

    async def _write(self, query: str, *arguments: object) -> list[Any]:
        return await self._database.write(self._queries[query], *arguments)


def _group(row: Any) -> GroupRow:
    fields = dict(row)
    spec = GroupSpec(**{name: fields.pop(name) for name in GroupSpec.__dataclass_fields__})
    stopped = fields.pop("stopped")
    return GroupRow(
        spec=spec,
        head=fields.pop("log_head"),
        stopped=None if stopped is None else restored(stopped),
        **fields,
    )
