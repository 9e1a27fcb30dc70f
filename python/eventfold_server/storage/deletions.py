"""Statements on deletions of streams: plans, jobs, and their leases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from eventfold_server.limits import DELETION_CHUNK_EVENTS, LINKS_FOLLOW_EVENTS
from eventfold_server.storage.database import Database
from eventfold_server.storage.queries import Queries
from eventfold_server.storage.transaction import Transaction


@dataclass(frozen=True)
class LineRow:
    """A stream of a line of periods."""

    stream_no: int
    name: str
    category: str
    version: int
    lifecycle: int
    root: str


@dataclass(frozen=True)
class LinkedRow:
    """A line that belongs to a stream; the policy is numbered as in the proto."""

    stream: str
    owner: str
    # Empty: the link was put by hand.
    rule: str
    policy: int


@dataclass(frozen=True)
class DeletionRow:
    """A job, and how far it is; states are numbered as in the proto."""

    deletion_no: int
    deletion_id: UUID
    stream: str
    reason: str
    digest: str
    state: int
    position: int
    events: int
    kept_states: int
    rows: int
    waiting: Sequence[str]
    requested_at: datetime
    requested_by: str
    emptied_at: datetime | None
    ended_at: datetime | None
    streams: int
    events_in_all: int


@dataclass(frozen=True)
class DeletedRow:
    """A stream that a job deletes."""

    stream_no: int
    stream: str
    root: str
    owner: str | None
    rule: str | None
    version: int


@dataclass(frozen=True)
class DetachedRow:
    """A link that a job has dropped."""

    stream: str
    owner: str
    rule: str


@dataclass(frozen=True)
class ClaimedDeletion:
    """A job that this process has taken."""

    number: int
    lease: int
    deletion_id: UUID
    stream: str
    reason: str
    requested_by: str

    @property
    def label(self) -> str:
        """What logs call it."""
        return f"deletion {self.deletion_id}"


@dataclass(frozen=True)
class Stage:
    """Where a job is, for who has its lease."""

    state: int
    generation_mark: int | None


Fetch = Callable[..., Awaitable[list[Any]]]


class PlanReads:
    """What a plan reads, in a transaction or without one."""

    def __init__(self, queries: Queries, fetch: Fetch) -> None:
        self._queries = queries
        self._fetch = fetch

    async def stream(self, name: str) -> list[LineRow]:
        """The stream, if it is there."""
        rows = await self._fetch(self._queries["line_stream"], name)
        return [LineRow(**row) for row in rows]

    async def lines(self, roots: Sequence[str]) -> list[LineRow]:
        """All streams of some lines."""
        rows = await self._fetch(self._queries["line_streams"], list(roots))
        return [LineRow(**row) for row in rows]

    async def linked(self, names: Sequence[str]) -> list[LinkedRow]:
        """The lines that belong to one of the streams."""
        rows = await self._fetch(self._queries["linked_streams"], list(names))
        return [LinkedRow(**row) for row in rows]


class HeldDeletion(PlanReads):
    """A transaction that holds up appends."""

    def __init__(self, queries: Queries, transaction: Transaction, position: int) -> None:
        super().__init__(queries, transaction.fetch)
        self._transaction = transaction
        # The head of the log, which stays there.
        self.position = position

    async def follow(self) -> tuple[int, int] | None:
        """Looks the rest of the log through for links; None: all, else the number of a rule that
        cannot get through, and how far it is.
        """
        for row in await self._fetch(self._queries["link_rules_behind"]):
            [followed] = await self._fetch(
                self._queries["follow_links"], row["rule_no"], LINKS_FOLLOW_EVENTS, True
            )
            if followed["followed"] is not None and followed["followed"] < self.position:
                return row["rule_no"], followed["followed"]
        return None

    async def holds_on(self, roots: Sequence[str], hashes: Sequence[bytes]) -> list[str]:
        """Names of the legal holds on lines, told by their first streams, and on subjects."""
        rows = await self._fetch(self._queries["holds_on_streams"], list(roots), list(hashes))
        return [row["name"] for row in rows]

    async def begin(
        self,
        deletion_id: UUID,
        stream: str,
        reason: str,
        digest: str,
        by: str,
        streams: Sequence[tuple[str, str | None, str | None]],
        detached: Sequence[tuple[str, str, str]],
    ) -> None:
        """Deletes streams, each with its owner and the rule, and stores the job that does the rest;
        links are told by stream, owner and rule.
        """
        columns = [[row[place] for row in streams] for place in range(3)]
        cut = [[row[place] for row in detached] for place in range(3)]
        await self._fetch(
            self._queries["begin_deletion"],
            deletion_id, stream, reason, digest, self.position, by, *columns, *cut,
        )  # fmt: skip
        await self._transaction.commit()


class DeletionStorage:
    """Deletions of one store, and their leases."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    @property
    def reads(self) -> PlanReads:
        """What a plan reads that nothing follows from."""
        return PlanReads(self._queries, self._read)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[HeldDeletion]:
        """A transaction that holds up appends; what it writes is stored by its `begin`."""
        async with self._database.changing() as transaction:
            [row] = await transaction.fetch(self._queries["hold_appends"])
            yield HeldDeletion(self._queries, transaction, row["position"])

    async def head(self) -> int:
        """Position of the newest event of the log; 0: none."""
        [row] = await self._fetch("log_head")
        return int(row["position"])

    async def kept_states(self, streams: Sequence[int]) -> int:
        """How many states are kept of the streams with these numbers."""
        try:
            [row] = await self._fetch("deletion_counts", list(streams))
        except asyncpg.UndefinedTableError:
            return 0
        return int(row["kept_states"])

    async def referrers(self, streams: Sequence[int], names: Sequence[str]) -> int:
        """How many events of other streams refer to these, or to events of them."""
        [row] = await self._fetch("deletion_referrers", list(streams), list(names))
        return int(row["referrers"])

    async def copies(self, streams: Sequence[int], limit: int) -> list[str]:
        """Other streams that hold copies of their events."""
        rows = await self._fetch("deletion_copies", list(streams), limit)
        return [row["name"] for row in rows]

    async def get(self, deletion_id: UUID) -> DeletionRow | None:
        """The job; None if there is none of this id."""
        rows = await self._fetch("deletion", deletion_id)
        return DeletionRow(**rows[0]) if rows else None

    async def page(self, before: int, limit: int, stream: str | None) -> list[DeletionRow]:
        """Jobs whose number is below one, the newest first; of one stream, None: any."""
        rows = await self._fetch("deletions_page", before, limit, stream)
        return [DeletionRow(**row) for row in rows]

    async def streams(self, number: int, after: str, limit: int) -> list[DeletedRow]:
        """Streams of a job behind a name, in byte order."""
        rows = await self._fetch("deletion_streams_page", number, after, limit)
        return [DeletedRow(**row) for row in rows]

    async def detached(self, number: int) -> list[DetachedRow]:
        """Links that a job has dropped."""
        return [DetachedRow(**row) for row in await self._fetch("deletion_detached", number)]

    async def since(self, number: int, limit: int) -> list[tuple[int, str]]:
        """Numbers of jobs above one, and the streams that they delete, in order."""
        rows = await self._fetch("deletions_since", number, limit)
        return [(row["deletion_no"], row["stream"]) for row in rows]

    async def claim(self, lease_s: float, excepted: Sequence[int]) -> list[ClaimedDeletion]:
        """Takes some jobs that are not done and that nobody has."""
        rows = await self._database.write(
            self._queries["claim_deletions"], timedelta(seconds=lease_s), excepted
        )
        return [ClaimedDeletion(**row) for row in rows]

    async def renew(self, leases: dict[int, int], lease_s: float) -> None:
        """Keeps jobs, told with their leases, for longer."""
        await self._database.write(
            self._queries["renew_deletions"],
            list(leases), list(leases.values()), timedelta(seconds=lease_s),
        )  # fmt: skip

    async def release(self, leases: dict[int, int]) -> None:
        """Gives jobs back, told with their leases."""
        await self._database.write(
            self._queries["release_deletions"], list(leases), list(leases.values())
        )

    async def stage(self, number: int, lease: int) -> Stage | None:
        """Where a job is; None: somebody else has it."""
        rows = await self._fetch("deletion_stage", number, lease)
        return Stage(**rows[0]) if rows else None

    async def noted(self, number: int, lease: int) -> bool:
        """Notes that `$audit` has it; False: somebody else has the job."""
        return bool(await self._database.write(self._queries["deletion_noted"], number, lease))

    async def empty(self, number: int, lease: int) -> bool | None:
        """Empties some events: whether none is left; None: somebody else has the job."""
        [row] = await self._database.write(
            self._queries["delete_payloads"], number, lease, DELETION_CHUNK_EVENTS
        )
        done: bool | None = row["done"]
        return done

    async def emptied(self, number: int, lease: int) -> bool:
        """Notes that all events are empty; False: somebody else has the job."""
        return bool(await self._database.write(self._queries["deletion_emptied"], number, lease))

    async def cleaned(
        self, number: int, lease: int, kept_states: int, rows: int, waiting: Sequence[str]
    ) -> bool:
        """Adds what was dropped, and notes which projections are waited for; False: somebody else
        has the job.
        """
        return bool(
            await self._database.write(
                self._queries["deletion_cleaned"], number, lease, kept_states, rows, list(waiting)
            )
        )

    async def done(self, number: int, lease: int) -> bool:
        """Ends the job; False: somebody else has it."""
        return bool(await self._database.write(self._queries["deletion_done"], number, lease))

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        return await self._read(self._queries[query], *arguments)

    async def _read(self, sql: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(sql, *arguments)
