"""Statements on erasures of subjects: plans, jobs, and their leases."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from eventfold_server.limits import SUBJECT_INDEX_EVENTS
from eventfold_server.storage.database import Database
from eventfold_server.storage.deletions import HeldDeletion, PlanReads
from eventfold_server.storage.keys.ledger import LedgerPlace
from eventfold_server.storage.subject_index import SubjectTypeRow


@dataclass(frozen=True)
class ErasureRow:
    """A job, and how far it is; states are numbered as in the proto."""

    erasure_no: int
    erasure_id: UUID
    subject_hash: bytes
    # None: it is not known yet.
    subject_id: UUID | None
    reason: str
    # None: it was done again from the ledger.
    plan_digest: str | None
    # What the plan said, as JSON.
    plan: str | None
    state: int
    requested_at: datetime
    requested_by: str
    ledger_no: int | None
    ledger_digest: bytes | None
    fenced_at: datetime | None
    keys_destroyed_at: datetime | None
    keys_destroyed: int
    evicted_at: datetime | None
    # Servers that have thrown the keys away, and those whose leases ran out.
    acknowledged: int
    expired: int
    events: int
    kept_states: int
    rows: int
    projections: Sequence[str]
    waiting: Sequence[str]
    projections_dropped: Sequence[str]
    scrubbed_at: datetime | None
    announced_at: datetime | None
    ended_at: datetime | None
    receipt: str | None


@dataclass(frozen=True)
class ClaimedErasure:
    """A job that this process has taken."""

    number: int
    lease: int
    erasure_id: UUID
    subject_hash: bytes
    requested_by: str

    @property
    def label(self) -> str:
        """What logs call it."""
        return f"erasure {self.erasure_id}"


@dataclass(frozen=True)
class ErasureStage:
    """Where a job is, for who has its lease."""

    state: int
    subject_id: UUID | None
    catalogue_version: int | None
    generation_mark: int | None
    # First streams of the lines that it deletes.
    streams: Sequence[str]


@dataclass(frozen=True)
class PlaintextRules:
    """Rules that were put although stored events held plaintext."""

    type: str | None
    category: str | None
    normal_form: str
    plaintext_until: int


@dataclass(frozen=True)
class StreamDeletionRow:
    """A deletion of streams that an erasure has begun."""

    deletion_id: UUID
    stream: str
    state: int
    streams: int
    events: int
    kept_states: int
    rows: int


class ErasureReads(PlanReads):
    """What a plan of an erasure reads, in a transaction or without one."""

    async def all_personal(self, category: str) -> bool:
        """Whether all that events of a category hold is personal."""
        return bool(await self._fetch(self._queries["personal_category"], category))

    async def types(self, subject_id: UUID) -> list[SubjectTypeRow]:
        """Events with sealed values of a subject, by type."""
        rows = await self._fetch(self._queries["subject_event_types"], [subject_id])
        return [SubjectTypeRow(**row) for row in rows]

    async def streams_and_kept_states(self, subject_id: UUID) -> tuple[int, int]:
        """In how many streams these are, and how many states are kept of them."""
        [row] = await self._fetch(self._queries["erasure_events"], [subject_id])
        return row["streams"], row["kept_states"]

    async def holds(
        self, subject_hash: bytes, subject_id: UUID | None, roots: Sequence[str]
    ) -> list[tuple[str, str | None]]:
        """Names of the legal holds that forbid an erasure, and the streams that they hold."""
        subjects = [] if subject_id is None else [subject_id]
        rows = await self._fetch(
            self._queries["holds_on_subject"], subject_hash, subjects, list(roots)
        )
        return [(row["name"], row["stream"]) for row in rows]


class HeldErasure(ErasureReads, HeldDeletion):
    """A transaction that holds up appends."""

    async def follow_index(self) -> tuple[int, int] | None:
        """Looks the rest of the log through for sealed values; None: all, else how far it is."""
        [row] = await self._fetch(self._queries["follow_subjects"], SUBJECT_INDEX_EVENTS, True)
        if row["followed"] < self.position:
            return row["followed"], self.position
        return None

    async def begin_erasure(
        self,
        erasure_id: UUID,
        subject_hash: bytes,
        reason: str,
        digest: str,
        plan: str,
        by: str,
        streams: Sequence[str],
    ) -> None:
        """Stores a job that deletes these streams, among others."""
        await self._fetch(
            self._queries["begin_erasure"],
            erasure_id, subject_hash, reason, digest, plan, by, list(streams),
        )  # fmt: skip
        await self._transaction.commit()


class ErasureStorage:
    """Erasures of one store, and their leases."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    @property
    def reads(self) -> ErasureReads:
        """What a plan reads that nothing follows from."""
        return ErasureReads(self._queries, self._read)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[HeldErasure]:
        """A transaction that holds up appends; what it writes is stored by its `begin`."""
        async with self._database.changing() as transaction:
            [row] = await transaction.fetch(self._queries["hold_appends"])
            yield HeldErasure(self._queries, transaction, row["position"])

    async def plaintext_rules(self) -> list[PlaintextRules]:
        """Rules that were put although stored events held plaintext, newest revisions last."""
        return [PlaintextRules(**row) for row in await self._fetch("plaintext_rules")]

    async def plaintext(
        self,
        rules: PlaintextRules,
        subject: str,
        fields: Sequence[tuple[str, str | None, str | None]],
    ) -> int:
        """Events that hold plaintext of a subject, in fields that are told by pointer, pointer to
        the subject, and its category.
        """
        columns = [[field[place] for field in fields] for place in range(3)]
        [row] = await self._fetch(
            "erasure_plaintext",
            rules.type, rules.category, rules.plaintext_until, subject, *columns,
        )  # fmt: skip
        return int(row["events"])

    async def get(self, erasure_id: UUID) -> ErasureRow | None:
        """The job."""
        return _row(await self._fetch("erasure", erasure_id))

    async def open_of(self, subject_hash: bytes) -> ErasureRow | None:
        """The job of a subject that is not done."""
        return _row(await self._fetch("open_erasure", subject_hash))

    async def open_id(self, subject_hash: bytes) -> UUID | None:
        """Id of the job of a subject that is not done."""
        found = await self.open_of(subject_hash)
        return None if found is None else found.erasure_id

    async def page(
        self, before: int, limit: int, subject_hash: bytes | None, *, is_open: bool
    ) -> list[ErasureRow]:
        """Jobs whose number is below one, the newest first; of a subject, None: of any."""
        rows = await self._fetch("erasures_page", before, limit, subject_hash, is_open)
        return [ErasureRow(**row) for row in rows]

    async def deletions(self, deletion_ids: Sequence[UUID]) -> list[StreamDeletionRow]:
        """Those of these deletions that have begun."""
        rows = await self._fetch("erasure_deletions", list(deletion_ids))
        return [StreamDeletionRow(**row) for row in rows]

    async def erase_restored(self, reason: str, by: str) -> int:
        """Begins erasures for fences that were done again from the ledger; how many."""
        return len(await self._database.write(self._queries["erase_restored"], reason, by))

    async def claim(self, lease_s: float, excepted: Sequence[int]) -> list[ClaimedErasure]:
        """Takes some jobs that are not done and that nobody has."""
        rows = await self._database.write(
            self._queries["claim_erasures"], timedelta(seconds=lease_s), excepted
        )
        return [ClaimedErasure(**row) for row in rows]

    async def renew(self, leases: dict[int, int], lease_s: float) -> None:
        """Keeps jobs, told with their leases, for longer."""
        await self._database.write(
            self._queries["renew_erasures"],
            list(leases), list(leases.values()), timedelta(seconds=lease_s),
        )  # fmt: skip

    async def release(self, leases: dict[int, int]) -> None:
        """Gives jobs back, told with their leases."""
        await self._database.write(
            self._queries["release_erasures"], list(leases), list(leases.values())
        )

    async def stage(self, number: int, lease: int) -> ErasureStage | None:
        """Where a job is; None: somebody else has it."""
        rows = await self._fetch("erasure_stage", number, lease)
        return ErasureStage(**rows[0]) if rows else None

    # What follows is False where somebody else has the job.

    async def destroyed(
        self,
        number: int,
        lease: int,
        subject_id: UUID,
        entry: LedgerPlace,
        catalogue_version: int,
        fenced_at: datetime,
        keys: int,
    ) -> bool:
        """Notes that the fence stands and the keys are gone."""
        return await self._note(
            "erasure_destroyed", number, lease, subject_id, entry.number, entry.digest,
            catalogue_version, fenced_at, keys,
        )  # fmt: skip

    async def evicted(self, number: int, lease: int, catalogue_version: int) -> bool:
        """Notes that nobody has a key any more, and which servers said so."""
        [row] = await self._fetch("erasure_servers", catalogue_version)
        return await self._note(
            "erasure_evicted", number, lease, row["acknowledged"], row["expired"]
        )

    async def cleaned(
        self,
        number: int,
        lease: int,
        kept_states: int,
        rows: int,
        projections: Sequence[str],
        waiting: Sequence[str],
        dropped: Sequence[str],
    ) -> bool:
        """Adds what was dropped, also projections, and notes which are waited for."""
        return await self._note(
            "erasure_cleaned",
            number, lease, kept_states, rows, list(projections), list(waiting), list(dropped),
        )  # fmt: skip

    async def counted(self, number: int, lease: int, events: int) -> bool:
        """Notes how many events have values of the subject."""
        return await self._note("erasure_counted", number, lease, events)

    async def scrubbed(self, number: int, lease: int) -> bool:
        """Notes that nothing is left that can be read."""
        return await self._note("erasure_scrubbed", number, lease)

    async def announced(self, number: int, lease: int) -> bool:
        """Notes that `$audit` has it."""
        return await self._note("erasure_announced", number, lease)

    async def done(self, number: int, lease: int, ended_at: datetime, receipt: str) -> bool:
        """Ends the job."""
        return await self._note("erasure_done", number, lease, ended_at, receipt)

    async def _note(self, query: str, *arguments: object) -> bool:
        return bool(await self._database.write(self._queries[query], *arguments))

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        return await self._read(self._queries[query], *arguments)

    async def _read(self, sql: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(sql, *arguments)


def _row(rows: list[Any]) -> ErasureRow | None:
    return ErasureRow(**rows[0]) if rows else None
