"""Takes what has to be done and that nobody has, does it, and gives it back.

Any number of server processes do so for one store: for generations of projections, and for
transforms. A lease says whose such a thing is; a process that lost it writes nothing any more,
because each batch is written under the lease.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from eventfold_server import limits
from eventfold_server.errors import Refusal

log = logging.getLogger(__name__)

# A runner that stops waits so long for the answer to its last claim.
_CLAIM_S_MAX = 2.0


@dataclass
class Pause:
    """How long something is left alone after a fault; each time twice as long."""

    seconds: float = 0.0

    def next(self) -> float:
        """The next pause."""
        self.seconds = min(
            max(2 * self.seconds, limits.PROJECTION_FAULT_PAUSE_S_MIN),
            limits.PROJECTION_FAULT_PAUSE_S_MAX,
        )
        return self.seconds


def end_if_cancelled() -> None:
    """Ends a task that was cancelled while it wrote: the write is carried through, and says only
    that nobody waits for it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


# What passes by itself, so that what was taken is kept over it.
_PASSING = frozenset({"STORAGE_UNAVAILABLE", "STORAGE_FULL", "OUTCOME_UNKNOWN"})


async def through_outages(label: str, pause: Pause, attempt: Callable[[], Awaitable[None]]) -> None:
    """Repeats an attempt for as long as only what passes by itself ends it."""
    while True:
        try:
            await attempt()
            return
        except Refusal as refusal:
            end_if_cancelled()
            if refusal.reason not in _PASSING:
                raise
            if not pause.seconds:
                log.warning("%s waits: %s", label, refusal.reason)
        await asyncio.sleep(pause.next())


class Claim(Protocol):
    """Something that this process has taken."""

    @property
    def number(self) -> int:
        """Tells it from others of its kind."""

    @property
    def lease(self) -> int:
        """The fencing token."""

    @property
    def label(self) -> str:
        """What people call it."""


C = TypeVar("C", bound=Claim)


class Leases(Protocol[C]):
    """The leases of one kind of things."""

    async def claim(self, lease_s: float, excepted: Sequence[int]) -> list[C]:
        """Takes some that nobody has."""

    async def renew(self, leases: dict[int, int], lease_s: float) -> None:
        """Keeps them, told with their leases, for longer."""

    async def release(self, leases: dict[int, int]) -> None:
        """Gives them back, told with their leases."""


@dataclass
class _Left:
    """Something at which this process failed, and which it leaves to others for a while."""

    pause: Pause
    ends: float = 0.0


@dataclass
class _Held:
    """Something that this process has."""

    lease: int
    task: "asyncio.Task[None]"


class LeaseLoop(Generic[C]):
    """The things of one kind that one server process does."""

    def __init__(
        self,
        leases: Leases[C],
        do: Callable[[C, Callable[[], object]], Awaitable[None]],
        kind: str,
        *,
        sweep: Callable[[], Awaitable[object]] | None = None,
        lease_s: float,
        look_pause_s: float,
    ) -> None:
        """`do` does a thing until it is done, or belongs to somebody else, and calls what it is
        given when it has got on. `sweep` is called now and then. `kind`: what the things are.
        """
        self._storage = leases
        self._do = do
        self._kind = kind
        self._sweep = sweep
        self._lease_s = lease_s
        self._look_pause_s = look_pause_s
        self._held: dict[int, _Held] = {}
        self._left: dict[int, _Left] = {}
        self._task: asyncio.Task[None] | None = None
        self._claiming: asyncio.Task[list[C]] | None = None

    def start(self) -> None:
        """Begins to look for them."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends what is under way, and gives all back, so that others go on with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        leases = self._leases() | await self._claimed_last()
        tasks = [held.task for held in self._held.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._held.clear()
        await self._release(leases)

    async def _claimed_last(self) -> dict[int, int]:
        """Leases that were asked for when the runner was stopped: nobody else knows of them."""
        if self._claiming is None:
            return {}
        await asyncio.wait({self._claiming}, timeout=_CLAIM_S_MAX)
        # If PostgreSQL does not answer, they run out.
        self._claiming.cancel()
        (claimed,) = await asyncio.gather(self._claiming, return_exceptions=True)
        if isinstance(claimed, BaseException):
            return {}
        return {one.number: one.lease for one in claimed}

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
                if self._sweep and loop.time() - swept >= limits.PROJECTION_SWEEP_PAUSE_S:
                    swept = loop.time()
                    await self._sweep()
                reachable = True
            except Refusal as refusal:
                end_if_cancelled()
                if reachable:
                    log.warning("no %s can be taken: %s", self._kind, refusal.reason)
                reachable = False
            except Exception as error:  # noqa: BLE001 - they must not stand for ever
                # What PostgreSQL says can quote rows, so only the kind of the fault is told.
                log.error("fault in looking for %s: %s", self._kind, type(error).__qualname__)
            await asyncio.sleep(limits.PROJECTION_TAKE_PAUSE_S if taken else self._look_pause_s)

    async def _take(self) -> int:
        """Takes some that nobody has; how many."""
        now = asyncio.get_running_loop().time()
        left = [number for number, one in self._left.items() if one.ends > now]
        # Carried through although the runner is stopped, so that what it took is given back.
        self._claiming = asyncio.create_task(self._storage.claim(self._lease_s, left))
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        for one in claimed:
            before = self._held.pop(one.number, None)
            if before is not None:
                # It had lost it, and did not know.
                before.task.cancel()
            task = asyncio.create_task(self._carry_on(one, before.task if before else None))
            self._held[one.number] = _Held(one.lease, task)
        return len(claimed)

    async def _carry_on(self, claimed: C, before: "asyncio.Task[None] | None") -> None:
        """Does it until it is lost, stopped, or fails."""
        number = claimed.number
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        try:
            await self._do(claimed, lambda: self._left.pop(number, None))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - one that fails must not end the others
            end_if_cancelled()
            told = error.reason if isinstance(error, Refusal) else type(error).__qualname__
            left = self._left.setdefault(number, _Left(Pause()))
            left.ends = asyncio.get_running_loop().time() + left.pause.next()
            log.error(
                "%s cannot go on: %s; again in %.2f s", claimed.label, told, left.pause.seconds
            )
        # Known until it is given back: who stops the runner meanwhile cuts this short, and does it.
        await self._release({number: claimed.lease})
        held = self._held.get(number)
        if held is not None and held.lease == claimed.lease:
            del self._held[number]

    async def _release(self, leases: dict[int, int]) -> None:
        """Gives them back; if that fails, their leases run out."""
        if leases:
            with contextlib.suppress(Refusal):
                await self._storage.release(leases)
