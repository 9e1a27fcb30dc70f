"""Runs deletions: takes those that nobody has, and goes on with each where it was left."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID, uuid5

from eventfold_server import failpoints, limits
from eventfold_server.domain.audit import Audit
from eventfold_server.domain.deletion.states import CLEANING, DONE, EMPTYING, NOTING
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.leases import LeaseLoop, Pause, end_if_cancelled, through_outages
from eventfold_server.domain.privacy.cleanup import Cleaned, CleanedStream, Cleanup
from eventfold_server.domain.requests import Caller
from eventfold_server.storage.deletions import ClaimedDeletion, DeletionStorage

log = logging.getLogger(__name__)

# Ids of the events of `$audit` that say which streams were deleted are made of this and of the id
# of the job.
_AUDITED = UUID("6d0f1d0c-6d0b-4a59-9a5c-1f2f6f2f5d11")


class _Lost(Exception):
    """Somebody else has the job."""


class DeletionRunner(LeaseLoop[ClaimedDeletion]):
    """The deletions that one server process carries out."""

    def __init__(
        self,
        storage: DeletionStorage,
        cleanup: Cleanup,
        kept: KeptStates,
        audit: Audit,
        *,
        lease_s: float = limits.DELETION_LEASE_S,
        look_pause_s: float = limits.DELETION_LOOK_PAUSE_S,
    ) -> None:
        self._deletions = storage
        self._cleanup = cleanup
        self._kept = kept
        self._audit = audit
        # Up to which job this process has forgotten kept states; None: it has none yet.
        self._forgotten: int | None = None
        super().__init__(
            storage,
            self._run_one,
            "deletions",
            sweep=self._forget,
            lease_s=lease_s,
            look_pause_s=look_pause_s,
        )

    async def _run_one(self, claimed: ClaimedDeletion, going: Callable[[], object]) -> None:
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

    async def _advance(self, claimed: ClaimedDeletion) -> bool:
        """Does what is to be done in a state; whether that was not all."""
        stage = await self._deletions.stage(claimed.number, claimed.lease)
        if stage is None or stage.state == DONE:
            return False
        if stage.state == NOTING:
            await self._note(claimed)
        elif stage.state == EMPTYING:
            await self._empty(claimed)
        elif stage.state == CLEANING:
            assert stage.generation_mark is not None
            await self._clean(claimed, stage.generation_mark)
        return True

    async def _note(self, claimed: ClaimedDeletion) -> None:
        """Writes into `$audit` what was deleted, an event each; what is there already stays."""
        by = Caller(claimed.requested_by, frozenset())
        for one in await self._streams(claimed):
            await self._audit.write(
                by,
                "$StreamDeleted",
                {
                    "deletion_id": claimed.deletion_id,
                    "stream": one.stream,
                    "root": one.root,
                    "reason": claimed.reason,
                },
                event_id=uuid5(_AUDITED, f"{claimed.deletion_id}/{one.stream}"),
            )
        failpoints.reach("deletion_audited")
        _demand(await self._deletions.noted(claimed.number, claimed.lease))

    async def _empty(self, claimed: ClaimedDeletion) -> None:
        """Empties the events, some at a time."""
        while True:
            done = await self._deletions.empty(claimed.number, claimed.lease)
            _demand(done is not None)
            if done:
                break
            failpoints.reach("deletion_chunk")
        failpoints.reach("deletion_emptied")
        _demand(await self._deletions.emptied(claimed.number, claimed.lease))
        log.info("%s: all events are empty", claimed.label)

    async def _clean(self, claimed: ClaimedDeletion, mark: int) -> None:
        """Drops what was made of the events, until nothing is left."""
        number, lease = claimed.number, claimed.lease
        streams = await self._streams(claimed)
        kept_states = await self._cleanup.drop_kept_states(streams)
        failpoints.reach("deletion_kept")
        cleaned, rows = Cleaned(), 0
        while True:
            cleaned = await self._cleanup.run(
                streams, None, mark=mark, by=claimed.requested_by, so_far=cleaned
            )
            _demand(
                await self._deletions.cleaned(
                    number, lease, kept_states, cleaned.rows - rows, cleaned.waiting
                )
            )
            kept_states, rows = 0, cleaned.rows
            if not cleaned.waiting:
                break
            await asyncio.sleep(limits.DELETION_WAIT_PAUSE_S)
        failpoints.reach("deletion_cleaned")
        _demand(await self._deletions.done(number, lease))
        log.info("%s is done", claimed.label)

    async def _streams(self, claimed: ClaimedDeletion) -> list[CleanedStream]:
        rows = await self._deletions.streams(claimed.number, "", limits.DELETION_STREAMS_MAX)
        return [CleanedStream(row.stream_no, row.stream, row.root) for row in rows]

    async def _forget(self) -> None:
        """Forgets kept states of what others have deleted meanwhile."""
        if self._forgotten is None:
            newest = await self._deletions.page(1 << 62, 1, None)
            self._forgotten = newest[0].deletion_no if newest else 0
            return
        # All streams of a job at least.
        size = 2 * limits.DELETION_STREAMS_MAX
        while True:
            found = await self._deletions.since(self._forgotten, size)
            self._kept.forget([stream for _, stream in found])
            if found:
                # The last of them may have more streams than were told.
                self._forgotten = found[-1][0] - (len(found) == size)
            if len(found) < size:
                return


def _demand(mine: bool) -> None:
    """Ends what belongs to somebody else."""
    if not mine:
        raise _Lost
