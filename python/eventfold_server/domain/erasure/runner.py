"""Runs erasures: takes those that nobody has, and goes on with each where it was left."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

from eventfold_server import failpoints, limits
from eventfold_server.domain.audit import Audit
from eventfold_server.domain.deletion.plans import plan_of
from eventfold_server.domain.deletion.states import DONE as DELETION_DONE
from eventfold_server.domain.erasure.receipts import receipt
from eventfold_server.domain.erasure.states import (
    ANNOUNCED,
    DESTROYED,
    DONE,
    EVICTED,
    REQUESTED,
    SCRUBBED,
)
from eventfold_server.domain.leases import LeaseLoop, Pause, end_if_cancelled, through_outages
from eventfold_server.domain.privacy.administration import KeyParts
from eventfold_server.domain.privacy.cleanup import Cleaned, CleanedStream, Cleanup
from eventfold_server.domain.privacy.subject_index import SubjectEvent, SubjectIndex
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.deletions import DeletionStorage
from eventfold_server.storage.erasures import ClaimedErasure, ErasureStage, ErasureStorage

log = logging.getLogger(__name__)

# Ids of the deletions of an erasure, and of its event in `$audit`, are made of these and of its id.
_DELETION = UUID("5b0f3f0e-3f57-4d8e-a1a5-6b1f0a4f9f21")
_AUDITED = UUID("0f2f7c7e-7c3e-4f3b-8f64-9d2c3e0d5b12")
_RESTORED = "done again from the ledger of fences"
_BY = "eventfold"


class _Lost(Exception):
    """Somebody else has the job."""


class ErasureRunner(LeaseLoop[ClaimedErasure]):
    """The erasures that one server process carries out."""

    def __init__(
        self,
        parts: KeyParts,
        storage: ErasureStorage,
        deletions: DeletionStorage,
        index: SubjectIndex,
        cleanup: Cleanup,
        audit: Audit,
        *,
        backup_horizon_days: int | None = None,
        lease_s: float = limits.ERASURE_LEASE_S,
        look_pause_s: float = limits.ERASURE_LOOK_PAUSE_S,
    ) -> None:
        self._parts = parts
        self._erasures = storage
        self._deletions = deletions
        self._index = index
        self._cleanup = cleanup
        self._audit = audit
        self._horizon_days = backup_horizon_days
        super().__init__(
            storage,
            self._run_one,
            "erasures",
            sweep=self._restored,
            lease_s=lease_s,
            look_pause_s=look_pause_s,
        )

    async def _restored(self) -> None:
        """Begins to erase once more whom the ledger names and this log knows nothing of."""
        begun = await self._erasures.erase_restored(_RESTORED, _BY)
        if begun:
            log.warning("%d erasures are done again from the ledger of fences", begun)

    async def _run_one(self, claimed: ClaimedErasure, going: Callable[[], object]) -> None:
        """Carries a job out until it is done, or belongs to somebody else."""
        pause = Pause()

        async def attempt() -> None:
            try:
                while await self._advance(claimed):
                    pause.seconds = 0.0
                    going()
            except _Lost:
                end_if_cancelled()

        await through_outages(claimed.label, pause, attempt)

    async def _advance(self, claimed: ClaimedErasure) -> bool:
        """Does what is to be done in a state; whether that was not all."""
        stage = await self._erasures.stage(claimed.number, claimed.lease)
        if stage is None or stage.state == DONE:
            return False
        if stage.state == REQUESTED:
            await self._fence(claimed)
        elif stage.state == DESTROYED:
            await self._evict(claimed, stage)
        elif stage.state == EVICTED:
            await self._scrub(claimed, stage)
        elif stage.state == SCRUBBED:
            await self._announce(claimed, stage)
        elif stage.state == ANNOUNCED:
            await self._end(claimed)
        return True

    async def _fence(self, claimed: ClaimedErasure) -> None:
        """Fences the subject, in the ledger first, and destroys its keys."""
        fenced = await self._parts.fences.fence(claimed.subject_hash, claimed.number)
        failpoints.reach("erasure_fenced")
        _demand(
            await self._erasures.destroyed(
                claimed.number,
                claimed.lease,
                fenced.subject_id,
                fenced.entry.place,
                fenced.catalogue_version,
                fenced.entry.time,
                fenced.keys_destroyed,
            )
        )

    async def _evict(self, claimed: ClaimedErasure, stage: ErasureStage) -> None:
        """Waits until no server uses a key of the subject any more."""
        version = stage.catalogue_version
        assert version is not None
        while not await self._parts.leases.wait_for_acknowledgement(
            version, limits.ERASURE_LEASE_S / 3
        ):
            log.info("%s waits for servers that have keys in memory", claimed.label)
        failpoints.reach("erasure_evicted")
        _demand(await self._erasures.evicted(claimed.number, claimed.lease, version))
        log.info("%s: no server has a key any more", claimed.label)

    async def _scrub(self, claimed: ClaimedErasure, stage: ErasureStage) -> None:
        """Drops what was made of the values. Of the subject nothing is appended any more, so that
        the index has all of it.
        """
        assert stage.subject_id is not None
        assert stage.generation_mark is not None
        await self._index.catch_up(limits.ERASURE_INDEX_S_MAX)
        await self._begin_deletions(claimed, stage)
        failpoints.reach("erasure_deleting")
        events, chunk = 0, list[SubjectEvent]()
        async for page in self._index.events([stage.subject_id]):
            chunk += page
            if len(chunk) >= limits.ERASURE_CHUNK_EVENTS:
                await self._clean(claimed, chunk, stage.generation_mark)
                events, chunk = events + len(chunk), []
        await self._clean(claimed, chunk, stage.generation_mark)
        await self._wait_for_deletions(claimed, stage)
        events += len(chunk)
        _demand(await self._erasures.counted(claimed.number, claimed.lease, events))
        failpoints.reach("erasure_cleaned")
        # Last: whoever goes on with the job needs it.
        await self._index.forget(stage.subject_id)
        failpoints.reach("erasure_forgotten")
        _demand(await self._erasures.scrubbed(claimed.number, claimed.lease))

    async def _begin_deletions(self, claimed: ClaimedErasure, stage: ErasureStage) -> None:
        """Deletes the private streams, with what belongs to them by now."""
        for stream in stage.streams:
            deletion_id = deletion_of(claimed.erasure_id, stream)
            async with self._deletions.held() as held:
                if await self._deletions.get(deletion_id) is not None:
                    continue
                try:
                    plan = await plan_of(held, stream, held.position)
                except Refusal as refusal:
                    if refusal.reason == "STREAM_DELETED":
                        # With another one, or by somebody.
                        continue
                    raise
                # Whatever forbids it came too late: the keys are gone.
                cuts = [*plan.restrictions, *plan.detached]
                await held.begin(
                    deletion_id,
                    plan.stream,
                    f"erasure {claimed.erasure_id}",
                    plan.digest,
                    claimed.requested_by,
                    [(one.stream, one.owner, one.rule) for one in plan.streams],
                    [(cut.stream, cut.owner, cut.rule) for cut in cuts],
                )

    async def _wait_for_deletions(self, claimed: ClaimedErasure, stage: ErasureStage) -> None:
        """Waits until the deletions are done, which any server carries out."""
        ids = [deletion_of(claimed.erasure_id, stream) for stream in stage.streams]
        while True:
            found = await self._erasures.deletions(ids)
            if all(one.state == DELETION_DONE for one in found):
                return
            await self._own(claimed)
            await asyncio.sleep(limits.ERASURE_WAIT_PAUSE_S)

    async def _clean(
        self, claimed: ClaimedErasure, events: Sequence[SubjectEvent], mark: int
    ) -> None:
        """Drops kept states, and has rows of projections made anew, that were made of events."""
        if not events:
            return
        number, lease = claimed.number, claimed.lease
        streams = list(
            {
                one.stream_no: CleanedStream(one.stream_no, one.stream, one.root) for one in events
            }.values()
        )
        positions = sorted({one.position for one in events})
        kept_states = await self._cleanup.drop_kept_states(streams)
        failpoints.reach("erasure_kept")
        touched = sorted(
            {one.projection for one in await self._cleanup.touched(streams, positions)}
        )
        cleaned, rows = Cleaned(), 0
        while True:
            cleaned = await self._cleanup.run(
                streams, positions, mark=mark, by=claimed.requested_by, so_far=cleaned
            )
            _demand(
                await self._erasures.cleaned(
                    number,
                    lease,
                    kept_states,
                    cleaned.rows - rows,
                    touched,
                    cleaned.waiting,
                    cleaned.dropped,
                )
            )
            kept_states, rows = 0, cleaned.rows
            if not cleaned.waiting:
                return
            await asyncio.sleep(limits.ERASURE_WAIT_PAUSE_S)

    async def _announce(self, claimed: ClaimedErasure, stage: ErasureStage) -> None:
        """Says it in `$audit`, without the name; what is there already stays."""
        found = await self._erasures.get(claimed.erasure_id)
        assert found is not None
        await self._audit.write(
            Caller(claimed.requested_by, frozenset()),
            "$SubjectErased",
            {
                "erasure_id": claimed.erasure_id,
                "subject_hash": claimed.subject_hash,
                "subject_id": stage.subject_id,
                "reason": found.reason,
            },
            event_id=uuid5(_AUDITED, str(claimed.erasure_id)),
        )
        failpoints.reach("erasure_announced")
        _demand(await self._erasures.announced(claimed.number, claimed.lease))

    async def _end(self, claimed: ClaimedErasure) -> None:
        """Writes the receipt."""
        found = await self._erasures.get(claimed.erasure_id)
        stage = await self._erasures.stage(claimed.number, claimed.lease)
        _demand(stage is not None)
        assert found is not None
        assert stage is not None
        ids = [deletion_of(claimed.erasure_id, stream) for stream in stage.streams]
        now = datetime.now(UTC)
        text = receipt(found, await self._erasures.deletions(ids), now, self._horizon_days)
        failpoints.reach("erasure_receipt")
        _demand(await self._erasures.done(claimed.number, claimed.lease, now, text))
        log.info("%s is done", claimed.label)

    async def _own(self, claimed: ClaimedErasure) -> None:
        """Ends a job that somebody else has taken meanwhile."""
        _demand(await self._erasures.stage(claimed.number, claimed.lease) is not None)


def deletion_of(erasure_id: UUID, stream: str) -> UUID:
    """Id of the deletion of a stream by an erasure."""
    return uuid5(_DELETION, f"{erasure_id}/{stream}")


def _demand(mine: bool) -> None:
    """Ends what belongs to somebody else."""
    if not mine:
        raise _Lost
