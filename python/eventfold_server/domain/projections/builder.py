"""Builds one generation: batch after batch, then with the log, until queries may see it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from eventfold import _core
from eventfold_server import failpoints, limits
from eventfold_server.domain.leases import Pause, end_if_cancelled, through_outages
from eventfold_server.domain.projections.admin import (
    ACTIVE,
    BUILDING,
    READY,
    WHEN_CAUGHT_UP,
    WHEN_VERIFIED,
)
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.storage.projections import Claimed, ProjectionStorage, Waiting
from eventfold_server.storage.projector import Projector, Step, Worker

log = logging.getLogger(__name__)


class Verifier(Protocol):
    """Compares a generation with a fold from scratch."""

    async def verify(self, name: str, generation: int) -> None:
        """Compares it, and keeps what was found with it."""


class Builder:
    """What generations of a server process share."""

    def __init__(
        self,
        storage: ProjectionStorage,
        projector: Projector,
        documents: Documents,
        tail: Tail,
        verifier: Verifier | None,
        *,
        lease_s: float,
        look_pause_s: float,
    ) -> None:
        self._storage = storage
        self._projector = projector
        self._documents = documents
        self._tail = tail
        self._verifier = verifier
        self._lease_s = lease_s
        self._look_pause_s = look_pause_s
        self._room = asyncio.Semaphore(limits.PROJECTION_STEPS_MAX)

    async def build(self, claimed: Claimed, going: Callable[[], object]) -> None:
        """Builds a generation until it stops, or belongs to somebody else. `going` is called when
        a step succeeded.
        """
        document = await self._documents.compiled(claimed.source, claimed.fold_source)
        sealed = await self._projector.sealed(claimed.generation_no)
        worker = self._projector.worker(
            claimed.generation_no, claimed.lease, document, sealed, lease_s=self._lease_s
        )
        rise = _Rise(self._storage, self._verifier, claimed, document)
        pause = Pause()

        def goes() -> None:
            pause.seconds = 0.0
            going()

        try:
            await through_outages(
                f"projection {claimed.name}",
                pause,
                lambda: self._follow(claimed, worker, rise, goes),
            )
        except Refusal as refusal:
            # Dropped meanwhile, which is nobody's fault: there is nothing to build any more.
            if refusal.reason != "PROJECTION_NOT_FOUND":
                raise
        finally:
            await rise.stop()
            await worker.close()

    async def _follow(
        self, claimed: Claimed, worker: Worker, rise: "_Rise", going: Callable[[], object]
    ) -> None:
        """Steps until the generation stops or is lost."""
        loop = asyncio.get_running_loop()
        await rise.show()
        head, known_at = await self._storage.head(), loop.time()
        while True:
            async with self._room:
                step = await worker.step(head)
            going()
            if step.fenced:
                return
            if step.stopped is not None:
                _tell_stopped(claimed, step, step.stopped)
                return
            if not step.done:
                continue
            if loop.time() - known_at > self._look_pause_s:
                # The log went on meanwhile: nothing has caught up with what is known no more.
                head, known_at = await self._storage.head(), loop.time()
                continue
            await rise.caught_up()
            head = max(head, await self._tail.wait_beyond(head, self._look_pause_s))
            known_at = loop.time()


class _Rise:
    """The way of a generation to be the one that queries see."""

    def __init__(
        self,
        storage: ProjectionStorage,
        verifier: Verifier | None,
        claimed: Claimed,
        document: _core.Projection,
    ) -> None:
        self._storage = storage
        self._verifier = verifier
        self._claimed = claimed
        self._document = document
        self._state = claimed.state
        self._wait_s = limits.PROJECTION_VIEW_WAIT_S_MIN
        self._verifying: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Ends a verification under way."""
        if self._verifying is not None:
            self._verifying.cancel()
            await asyncio.gather(self._verifying, return_exceptions=True)

    async def show(self) -> None:
        """Makes the view again if it is missing."""
        claimed = self._claimed
        if claimed.lacks_view:
            await self._storage.show(
                claimed.generation_no, self._document, wait_s=limits.PROJECTION_VIEW_WAIT_S_MIN
            )

    async def caught_up(self) -> None:
        """The generation has all events of the log; to be called each time that it has."""
        claimed = self._claimed
        if self._state == BUILDING:
            failpoints.reach("caught_up")
            await self._storage.caught_up(claimed.generation_no, claimed.lease, self._document)
            self._state = READY
            log.info("generation %d of projection %s has caught up", claimed.generation,
                     claimed.name)  # fmt: skip
        if self._state != READY:
            return
        waiting = await self._storage.waiting(claimed.generation_no, claimed.lease)
        if waiting is None:
            # Somebody switched to it, or it is another's; the next step tells.
            self._state = ACTIVE
        elif _may_switch(waiting):
            await self._switch()
        elif waiting.switch == WHEN_VERIFIED and waiting.keys_differing is None:
            self._verify()

    async def _switch(self) -> None:
        claimed = self._claimed
        failpoints.reach("before_switch")
        outcome = await self._storage.switch(
            claimed.generation_no,
            self._document,
            lease=claimed.lease,
            ahead=True,
            wait_s=self._wait_s,
        )
        if outcome == "switched":
            failpoints.reach("after_switch")
            self._state = ACTIVE
            log.info("queries of projection %s see generation %d", claimed.name, claimed.generation)
            await self._storage.sweep(wait_s=limits.PROJECTION_VIEW_WAIT_S_MIN)
        elif outcome in ("held", "used"):
            log.warning("the view of projection %s cannot be changed: it is %s", claimed.name,
                        outcome)  # fmt: skip
            self._wait_s = min(2 * self._wait_s, limits.PROJECTION_VIEW_WAIT_S_MAX)

    def _verify(self) -> None:
        """Begins a verification, unless one is under way; the generation goes on meanwhile."""
        if self._verifier is None or (self._verifying and not self._verifying.done()):
            return
        self._verifying = asyncio.create_task(self._verified(self._verifier))

    async def _verified(self, verifier: Verifier) -> None:
        claimed = self._claimed
        try:
            await verifier.verify(claimed.name, claimed.generation)
            return
        except Refusal as refusal:
            end_if_cancelled()
            if refusal.reason == "PROJECTION_NOT_FOUND":
                # Dropped meanwhile, which is nobody's fault.
                return
            told = refusal.reason
        except Exception as error:  # noqa: BLE001 - it is tried again
            told = type(error).__qualname__
        log.error("generation %d of projection %s cannot be verified: %s", claimed.generation,
                  claimed.name, told)  # fmt: skip
        await asyncio.sleep(limits.PROJECTION_FAULT_PAUSE_S_MAX)


def _may_switch(waiting: Waiting) -> bool:
    """Whether a generation that has caught up takes the place of the active one by itself."""
    if not waiting.has_active or waiting.switch == WHEN_CAUGHT_UP:
        return True
    return waiting.switch == WHEN_VERIFIED and waiting.keys_differing == 0


def _tell_stopped(claimed: Claimed, step: Step, stopped: Refusal) -> None:
    log.warning(
        "generation %d of projection %s stops behind position %d: %s",
        claimed.generation,
        claimed.name,
        step.position,
        stopped.reason,
    )
