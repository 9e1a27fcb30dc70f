"""Statements on transforms: what there is, who runs it, and how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from eventfold_server.errors import Refusal
from eventfold_server.storage.database import Database
from eventfold_server.storage.stored_errors import restored, stored

# Targets of a source that are told.
_TARGETS_SHOWN_MAX = 10


@dataclass(frozen=True)
class TransformRow:
    """A transform, and how far it is; states are numbered as in the proto."""

    transform_no: int
    transform_id: UUID
    name: str
    source: str
    digest: str
    dry_run: bool
    state: int
    states_max: int
    cutover_ms_max: int | None
    held_ms: int
    failure: Refusal | None
    # JSON of the domain; None: no states were compared.
    trial: str
    counts: str
    states: str | None
    started_at: datetime
    started_by: str
    caught_up_at: datetime | None
    verified_at: datetime | None
    cut_over_at: datetime | None
    ended_at: datetime | None
    # Another server, and why it is waited for; None: the same store, no.
    target: str | None
    waiting: str | None
    # Positions.
    tried: int
    position: int
    verified: int
    head: int
    events_read: int
    events_written: int
    events_verified: int
    # Numbers of streams.
    sources: int
    sources_closed: int
    successors: int
    targets: int
    targets_equal: int


@dataclass(frozen=True)
class SourceRow:
    """A stream that a transform has read."""

    stream: str
    version: int
    # 0 open, 1 closed by the cut-over, 2 closed or deleted before.
    closure: int
    successor: str | None
    # The first of them.
    targets: Sequence[str]
    targets_in_all: int


@dataclass(frozen=True)
class TargetRow:
    """A stream that a transform has written."""

    stream: str
    version: int
    verified_version: int
    source_hash: bytes | None
    target_hash: bytes | None
    sources: int


@dataclass(frozen=True)
class Pair:
    """Two streams that hold the same and nothing else, up to these versions."""

    source: str
    source_version: int
    target: str
    target_version: int


@dataclass(frozen=True)
class ClaimedTransform:
    """A transform that this process has taken."""

    number: int
    lease: int
    transform_id: UUID
    name: str
    source: str
    dry_run: bool
    started_by: str
    # Another server, and its store once that is known; None: the same store.
    target: str | None
    target_store: UUID | None

    @property
    def label(self) -> str:
        """What logs call it."""
        return f"transform {self.transform_id} ({self.name})"


@dataclass(frozen=True)
class Stage:
    """Where a transform is, for who has its lease."""

    state: int
    cutover_ms_max: int | None
    trial: str
    counts: str
    states: str | None
    states_max: int
    held_ms: int
    tried: int
    position: int
    verified: int


class TransformStorage:
    """Transforms of one store, and their leases."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def insert(
        self,
        transform_id: UUID,
        name: str,
        source: str,
        digest: str,
        *,
        dry_run: bool,
        states_max: int,
        by: str,
        target: str | None = None,
    ) -> None:
        """Stores a new one, which nobody has yet."""
        await self._database.write(
            self._queries["insert_transform"],
            transform_id, name, source, digest, dry_run, states_max, by, target,
        )  # fmt: skip

    async def get(self, transform_id: UUID) -> TransformRow | None:
        """The transform; None if there is none of this id."""
        rows = await self._fetch("transform", transform_id)
        return _row(rows[0]) if rows else None

    async def page(self, before: int, limit: int) -> list[TransformRow]:
        """Transforms whose number is below one, the newest first."""
        return [_row(row) for row in await self._fetch("transforms_page", before, limit)]

    async def sources(self, number: int, after: str, limit: int) -> list[SourceRow]:
        """Sources behind a name, in byte order."""
        rows = await self._fetch("transform_streams", number, after, limit, _TARGETS_SHOWN_MAX)
        return [SourceRow(**row) for row in rows]

    async def targets(self, number: int, after: str, limit: int) -> list[TargetRow]:
        """Targets behind a name, in byte order."""
        return [
            TargetRow(**row) for row in await self._fetch("transform_targets", number, after, limit)
        ]

    async def pairs(self, number: int, after: str, limit: int) -> list[Pair]:
        """Streams behind the name of a source that hold the same and nothing else."""
        return [Pair(**row) for row in await self._fetch("transform_pairs", number, after, limit)]

    async def pairs_count(self, number: int) -> int:
        """How many such pairs there are."""
        [row] = await self._fetch("transform_pairs_count", number)
        return int(row["pairs"])

    async def move(
        self,
        transform_id: UUID,
        states: Sequence[int],
        to: int,
        *,
        ends: int | None = None,
        cutover_ms_max: int | None = None,
    ) -> int | None:
        """Moves it if it is in one of the states, and takes it away from whoever has it; answers
        the state that it was in. `ends`: what it ends as when all is undone.
        """
        [row] = await self._database.write(
            self._queries["move_transform"], transform_id, list(states), to, ends, cutover_ms_max
        )
        state: int | None = row["state"]
        return state

    async def claim(self, lease_s: float, excepted: Sequence[int]) -> list[ClaimedTransform]:
        """Takes some of those that have something to do and that nobody has."""
        rows = await self._database.write(
            self._queries["claim_transforms"], timedelta(seconds=lease_s), excepted
        )
        return [ClaimedTransform(**row) for row in rows]

    async def renew(self, leases: dict[int, int], lease_s: float) -> None:
        """Keeps transforms, told with their leases, for longer."""
        await self._database.write(
            self._queries["renew_transforms"],
            list(leases), list(leases.values()), timedelta(seconds=lease_s),
        )  # fmt: skip

    async def release(self, leases: dict[int, int]) -> None:
        """Gives transforms back, told with their leases."""
        await self._database.write(
            self._queries["release_transforms"], list(leases), list(leases.values())
        )

    async def head(self) -> int:
        """Position of the newest event of the log; 0: none."""
        [row] = await self._fetch("log_head")
        return int(row[0])

    async def stage(self, number: int, lease: int) -> Stage | None:
        """Where it is; None: somebody else has it."""
        rows = await self._fetch("transform_stage", number, lease)
        return Stage(**rows[0]) if rows else None

    async def tried(
        self, number: int, lease: int, lease_s: float, position: int, trial: str
    ) -> bool:
        """Notes how far it was tried, and what that came to; False: somebody else has it."""
        rows = await self._database.write(
            self._queries["transform_tried"], number, lease, _ms(lease_s), position, trial
        )
        return bool(rows)

    async def reached(
        self, number: int, lease: int, state: int, to: int, failure: Refusal | None = None
    ) -> bool:
        """Moves it from a state to another; False: it is not in that, or somebody else has it."""
        rows = await self._database.write(
            self._queries["transform_reached"],
            number, lease, state, to, None if failure is None else stored(failure),
        )  # fmt: skip
        return bool(rows)

    async def waits(self, number: int, lease: int, why: str | None) -> bool:
        """Notes why it waits for another server, None: it does not; False: somebody else has it."""
        return bool(
            await self._database.write(self._queries["transform_waits"], number, lease, why)
        )

    async def note_target_store(self, number: int, lease: int, store_id: UUID) -> bool:
        """Notes which store the other server has; False: somebody else has it."""
        return bool(
            await self._database.write(
                self._queries["transform_target_store"], number, lease, store_id
            )
        )

    async def store_id(self) -> UUID:
        """The id of this store."""
        [row] = await self._fetch("store")
        found: UUID = row["store_id"]
        return found

    async def target_versions(self, number: int, targets: Sequence[str]) -> dict[str, int]:
        """Up to which versions it has written some of its targets."""
        rows = await self._fetch("transform_target_versions", number, list(targets))
        return {row["stream"]: row["version"] for row in rows}

    async def versions(self, streams: Sequence[str]) -> dict[str, int]:
        """At which versions those of some streams are that are there."""
        return {row["name"]: row["version"] for row in await self._fetch("versions_of", streams)}

    async def note_categories(
        self, number: int, sources: Sequence[str], targets: Sequence[str]
    ) -> None:
        """Notes which categories it reads, `*` for all but those that it writes into."""
        await self._database.write(
            self._queries["note_transform_categories"], number, list(sources), list(targets)
        )

    async def circle(self, sources: Sequence[str], targets: Sequence[str], but: int) -> str | None:
        """A source that others under way write what goes into the targets, directly or by turns;
        `but`: the number of one that does not count.
        """
        rows = await self._fetch("transform_circle", list(sources), list(targets), but)
        return rows[0]["category"] if rows else None

    async def compared(self, number: int, lease: int, states: str) -> bool:
        """Notes what comparing states came to; False: somebody else has it."""
        rows = await self._database.write(
            self._queries["transform_compared"], number, lease, states
        )
        return bool(rows)

    async def succeed(self, number: int, lease: int, after: str, limit: int) -> str | None:
        """Names successors of the next sources; the last one, None behind the last."""
        [row] = await self._database.write(
            self._queries["transform_succeed"], number, lease, after, limit
        )
        last: str | None = row["last_stream"]
        return last

    async def undo(self, number: int, lease: int, limit: int) -> bool | None:
        """Undoes some of a cut-over: whether that was the last; None: somebody else has it."""
        [row] = await self._database.write(self._queries["transform_undo"], number, lease, limit)
        done: bool | None = row["done"]
        return done

    async def existing(self, streams: Sequence[str]) -> str | None:
        """The first of the streams that is there."""
        rows = await self._fetch("transform_existing", list(streams))
        return rows[0]["name"] if rows else None

    async def differing(self, number: int) -> Any:
        """The first target that holds other events than were compared; None: there is none."""
        rows = await self._fetch("transform_differing", number)
        return rows[0] if rows else None

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)


def _row(row: Any) -> TransformRow:
    fields = {name: row[name] for name in TransformRow.__dataclass_fields__}
    failure = fields["failure"]
    return replace(TransformRow(**fields), failure=None if failure is None else restored(failure))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
