"""Runs transforms: takes those that nobody has, and goes on with each where it was left."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from eventfold_server import failpoints, limits
from eventfold_server.domain.copy_readers import CopyReaders
from eventfold_server.domain.leases import LeaseLoop, Pause, end_if_cancelled, through_outages
from eventfold_server.domain.tail import Tail
from eventfold_server.domain.transforms.comparing_states import StateComparison
from eventfold_server.domain.transforms.cutover import CutOver
from eventfold_server.domain.transforms.documents import compiled
from eventfold_server.domain.transforms.job import Failed, Job, failing
from eventfold_server.domain.transforms.plans import refusal_of_circle
from eventfold_server.domain.transforms.remote import RemoteTarget
from eventfold_server.domain.transforms.states import (
    CANCELLED,
    COPYING,
    CUTTING_OVER,
    DONE,
    FAILED,
    NAMES,
    SWITCHING,
    TRIED,
    TRYING,
    UNDOING,
    VERIFIED,
    VERIFYING,
)
from eventfold_server.domain.transforms.stores import known_target
from eventfold_server.errors import Refusal
from eventfold_server.storage.remote import RemoteStore
from eventfold_server.storage.transform_writer import Fenced, TransformWriter
from eventfold_server.storage.transforms import ClaimedTransform, Stage, TransformStorage

log = logging.getLogger(__name__)


class TransformRunner(LeaseLoop[ClaimedTransform]):
    """The transforms that one server process runs."""

    def __init__(
        self,
        storage: TransformStorage,
        writer: TransformWriter,
        comparison: StateComparison,
        tail: Tail,
        targets: Mapping[str, RemoteStore],
        readers: CopyReaders,
        pseudonym_key: Callable[[str], bytes] | None = None,
        *,
        lease_s: float = limits.TRANSFORM_LEASE_S,
        look_pause_s: float = limits.TRANSFORM_LOOK_PAUSE_S,
    ) -> None:
        """`pseudonym_key`: of the name of a transform; None: the server has no keys."""
        self._pseudonym_key = pseudonym_key
        self._transforms = storage
        self._writer = writer
        self._comparison = comparison
        self._tail = tail
        self._targets = targets
        self._readers = readers
        self._room = asyncio.Semaphore(limits.TRANSFORM_STEPS_MAX)
        super().__init__(
            storage, self._run_one, "transforms", lease_s=lease_s, look_pause_s=look_pause_s
        )

    async def _run_one(self, claimed: ClaimedTransform, going: Callable[[], object]) -> None:
        """Runs a transform until there is nothing to do, or it belongs to somebody else."""
        document = await compiled(claimed.source)
        remote = await self._remote(claimed)
        pause = Pause()
        of_name = self._pseudonym_key
        key = None if of_name is None else of_name(document.transform.name)

        def goes() -> None:
            pause.seconds = 0.0
            going()

        async def attempt() -> None:
            job = Job(
                self._transforms,
                self._writer,
                claimed,
                document,
                self._room,
                goes,
                remote,
                key,
            )
            await self._through_states(job)

        await through_outages(claimed.label, pause, attempt)

    async def _remote(self, claimed: ClaimedTransform) -> RemoteTarget | None:
        """The other server that it copies to, None: the same store; TRANSFORM_TARGET_UNKNOWN."""
        if claimed.target is None:
            return None
        try:
            store = known_target(self._targets, claimed.target)
        except Refusal as refusal:
            await self._transforms.waits(claimed.number, claimed.lease, refusal.reason)
            raise
        return RemoteTarget(store, self._transforms, self._writer, claimed)

    async def _through_states(self, job: Job) -> None:
        """From state to state."""
        try:
            while (stage := await job.stage()) is not None:
                try:
                    to = await self._advance(job, stage)
                except Failed as failed:
                    end_if_cancelled()
                    to = UNDOING if stage.state == CUTTING_OVER else FAILED
                    log.warning("%s fails: %s", job.claimed.label, failed.refusal.reason)
                    await job.reach(stage.state, to, failed.refusal)
                    continue
                if to is None:
                    return
                await job.reach(stage.state, to)
                log.info("%s is %s", job.claimed.label, NAMES[to].replace("_", " "))
        except Fenced:
            end_if_cancelled()

    async def _advance(self, job: Job, stage: Stage) -> int | None:
        """Does what is to be done in a state; the next one, None: that was all."""
        state = stage.state
        if state == TRYING:
            return await self._try(job, stage)
        if state == COPYING:
            await job.copy_all()
            failpoints.reach("transform_caught_up")
            return VERIFYING
        if state == VERIFYING:
            return await self._verify(job, stage)
        if state == VERIFIED:
            await self._follow(job)
        elif state == CUTTING_OVER:
            await CutOver(job, self._writer).run(stage)
            failpoints.reach("transform_all_closed")
            return SWITCHING
        elif state == SWITCHING:
            await job.succeed_all()
            failpoints.reach("transform_switched")
            return DONE
        elif state == UNDOING and job.remote is not None:
            # It has closed nothing here, and what it has written is not here.
            return CANCELLED
        elif state == UNDOING:
            await job.undo_all()
        return None

    async def _try(self, job: Job, stage: Stage) -> int:
        trial = await job.try_all(stage)
        failpoints.reach("transform_trial_over")
        if not job.claimed.dry_run and not trial.failures:
            # Whoever comes from here on is refused; who came before is found.
            await job.note_categories()
        found = [] if job.remote is not None else await self._in_the_way(job)
        for refusal in found:
            trial.fail(refusal)
        if found:
            await job.note_trial(trial.to, trial)
        if job.claimed.dry_run:
            return TRIED
        if trial.failures:
            raise Failed(trial.failures[0])
        return COPYING

    async def _in_the_way(self, job: Job) -> list[Refusal]:
        """What else in the store keeps copies from being made in it."""
        sources, targets = job.document.read_categories, job.document.into
        readers = await self._readers.made_ambiguous(sources, targets)
        found = [reader.ambiguous(sources, targets) for reader in readers]
        circle = await refusal_of_circle(self._transforms, job.document, job.claimed.number)
        return found if circle is None else [*found, circle]

    async def _verify(self, job: Job, stage: Stage) -> int:
        """Compares all that is copied, and keeps up with the log meanwhile."""
        await job.copy_all()
        while not await job.verify_some():
            await job.copy_all()
        with failing():
            await self._comparison.compare(job, stage)
        failpoints.reach("transform_verified")
        return VERIFIED

    async def _follow(self, job: Job) -> None:
        """Goes on with the log, until somebody moves the transform on."""
        head = await job.copy_all()
        while True:
            while not await job.verify_some():
                pass
            head = max(head, await self._tail.wait_beyond(head, self._look_pause_s))
            if await job.stage() is None:
                return
            await job.copy_to(head)
