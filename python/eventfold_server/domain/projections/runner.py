"""Builds projections: takes generations that nobody has, and keeps them up with the log.

Any number of server processes do so for one store. A lease says whose a generation is; a process
that lost it writes nothing any more, because each batch is written under the lease.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from eventfold_server import limits
from eventfold_server.domain.projections.builder import Builder, Pause, Verifier, end_if_cancelled
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.storage.projections import Claimed, ProjectionStorage
from eventfold_server.storage.projector import Projector

log = logging.getLogger(__name__)


@dataclass
class _Left:
    """A generation at which this process failed, and which it leaves to others for a while."""

    pause: Pause
    ends: float = 0.0


@dataclass
class _Held:
    """A generation that this process has."""

    lease: int
    task: "asyncio.Task[None]"


class Runner:
    """The generations that one server process builds."""

    def __init__(
        self,
        storage: ProjectionStorage,
        projector: Projector,
        documents: Documents,
        tail: Tail,
        verifier: Verifier | None = None,
        *,
        lease_s: float = limits.PROJECTION_LEASE_S,
        look_pause_s: float = limits.PROJECTION_LOOK_PAUSE_S,
    ) -> None:
        self._storage = storage
        self._builder = Builder(
            storage,
            projector,
            documents,
            tail,
            verifier,
            lease_s=lease_s,
            look_pause_s=look_pause_s,
        )
        self._lease_s = lease_s
        self._look_pause_s = look_pause_s
        self._held: dict[int, _Held] = {}
        self._left: dict[int, _Left] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look for generations."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends all batches, and gives all generations back, so that others go on with them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        leases = self._leases()
        tasks = [held.task for held in self._held.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._held.clear()
        await self._release(leases)

    def _leases(self) -> dict[int, int]:
        return {number: held.lease for number, held in self._held.items()}

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        # At once: whoever was killed may have left tables behind.
        swept = renewed - limits.PROJECTION_SWEEP_PAUSE_S
        reachable = True
        while True:
            taken = 0
            try:
                taken = await self._take()
                if self._held and loop.time() - renewed >= self._lease_s / 3:
                    renewed = loop.time()
                    await self._storage.renew(self._leases(), self._lease_s)
                if loop.time() - swept >= limits.PROJECTION_SWEEP_PAUSE_S:
                    swept = loop.time()
                    await self._storage.sweep(wait_s=limits.PROJECTION_VIEW_WAIT_S_MIN)
                reachable = True
            except Refusal as refusal:
                end_if_cancelled()
                if reachable:
                    log.warning("no projections can be taken: %s", refusal.reason)
                reachable = False
            except Exception as error:  # noqa: BLE001 - projections must not stand for ever
                # What PostgreSQL says can quote rows, so only the kind of the fault is told.
                log.error("fault in looking for projections: %s", type(error).__qualname__)
            await asyncio.sleep(limits.PROJECTION_TAKE_PAUSE_S if taken else self._look_pause_s)

    async def _take(self) -> int:
        """Takes generations that nobody has; how many."""
        now = asyncio.get_running_loop().time()
        left = [number for number, one in self._left.items() if one.ends > now]
        claimed = await self._storage.claim(self._lease_s, left)
        for one in claimed:
            before = self._held.pop(one.generation_no, None)
            if before is not None:
                # It had lost it, and did not know.
                before.task.cancel()
            task = asyncio.create_task(self._build(one, before.task if before else None))
            self._held[one.generation_no] = _Held(one.lease, task)
        return len(claimed)

    async def _build(self, claimed: Claimed, before: "asyncio.Task[None] | None") -> None:
        """Builds a generation until it is lost, stopped, or fails."""
        number = claimed.generation_no
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        try:
            await self._builder.build(claimed, lambda: self._left.pop(number, None))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - one that fails must not end the others
            end_if_cancelled()
            told = error.reason if isinstance(error, Refusal) else type(error).__qualname__
            left = self._left.setdefault(number, _Left(Pause()))
            left.ends = asyncio.get_running_loop().time() + left.pause.next()
            log.error(
                "generation %d of projection %s cannot be built: %s; again in %.2f s",
                claimed.generation,
                claimed.name,
                told,
                left.pause.seconds,
            )
        held = self._held.get(number)
        if held is not None and held.lease == claimed.lease:
            del self._held[number]
        await self._release({number: claimed.lease})

    async def _release(self, leases: dict[int, int]) -> None:
        """Gives generations back; if that fails, their leases run out."""
        if leases:
            with contextlib.suppress(Refusal):
                await self._storage.release(leases)
