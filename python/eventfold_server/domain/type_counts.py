"""Counts of event types: brought up to the head of the log by who asks, and now and then."""

import asyncio
import logging

from eventfold_server.domain.requests import behind_prefix
from eventfold_server.errors import Refusal
from eventfold_server.limits import TYPES_COUNT_PAUSE_S, TYPES_COUNT_S_MAX, TYPES_COUNT_SHARE
from eventfold_server.storage.type_counts import CountedType, TypeCounts, TypeCountStorage

# What the domain knows of counts is their row.
Counts = TypeCounts

log = logging.getLogger(__name__)

_STOP_S_MAX = 5.0


class TypeCounting:
    """Counts in pieces, each a transaction of its own: who is stopped in between has lost nothing,
    and of several processes one counts at a time.
    """

    def __init__(self, storage: TypeCountStorage) -> None:
        self._storage = storage
        # One piece of this process at a time: others need the connections too.
        self._turn = asyncio.Lock()
        self._piece: asyncio.Task[tuple[int | None, int]] | None = None
        self._task: asyncio.Task[None] | None = None

    async def page(
        self, prefix: str, after: str, limit: int, *, expires: float | None = None
    ) -> tuple[int, int, list[CountedType]]:
        """Types behind `after` whose name starts with `prefix`, in byte order; before them the
        position up to which their events are counted, and the head of the log.

        The position is at least the head when this began, unless counting fails, or takes longer
        than TYPES_COUNT_S_MAX or its share of the time up to `expires`, by the clock of the event
        loop.
        """
        seconds = TYPES_COUNT_S_MAX
        if expires is not None:
            left = expires - asyncio.get_running_loop().time()
            seconds = min(seconds, left * TYPES_COUNT_SHARE)
        try:
            async with asyncio.timeout(seconds):
                head = await self._count_all()
        except TimeoutError:
            head = None
        except Refusal as refusal:
            # Who asks what there is does not care why others cannot write.
            _log_failure(refusal)
            head = None
        position, newest, found = await self._storage.page(
            after, prefix, behind_prefix(prefix), limit
        )
        return position, newest if head is None else head, found

    def start(self) -> None:
        """Begins to count now and then, so that who asks need not wait for long."""
        self._task = asyncio.get_running_loop().create_task(self._count_now_and_then())

    async def stop(self) -> None:
        """Ends it behind the piece that is under way."""
        if self._task is not None:
            self._task.cancel()
        under_way = {task for task in (self._task, self._piece) if task is not None}
        if under_way:
            await asyncio.wait(under_way, timeout=_STOP_S_MAX)

    async def _count_all(self) -> int:
        """Counts up to the head when this begins, which it answers."""
        counted, head = await self._count(wait=True)
        while counted is not None and counted < head:
            counted, _ = await self._count(wait=True)
        return head

    async def _count(self, *, wait: bool) -> tuple[int | None, int]:
        """Counts a piece; who is cancelled leaves it alone, and it has its turn up to its end."""
        await self._turn.acquire()
        self._piece = asyncio.create_task(self._storage.count(wait=wait))
        self._piece.add_done_callback(self._end_turn)
        return await asyncio.shield(self._piece)

    def _end_turn(self, piece: asyncio.Task[tuple[int | None, int]]) -> None:
        self._turn.release()
        if not piece.cancelled():
            # Nobody may be there to ask; reading it keeps asyncio from complaining.
            piece.exception()

    async def _count_now_and_then(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                counted, head = await self._count(wait=False)
            except Refusal as refusal:
                _log_failure(refusal)
                counted, head = None, 0
            if counted is None or counted >= head:
                # Or another process is at it.
                await asyncio.sleep(TYPES_COUNT_PAUSE_S)
            else:
                # As long as the piece took, so that half of the time is for others.
                await asyncio.sleep(loop.time() - began)


def _log_failure(refusal: Refusal) -> None:
    log.info("event types were not counted: %s", refusal.reason)
