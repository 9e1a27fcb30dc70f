"""The subject index: looks the log through for sealed values, and tells whose they are."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from eventfold_server.domain.leases import end_if_cancelled
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    SUBJECT_INDEX_PAGE_EVENTS,
    SUBJECT_INDEX_PAUSE_S,
    SUBJECT_INDEX_S_MAX,
)
from eventfold_server.storage.subject_index import (
    SubjectEventRow,
    SubjectIndexStorage,
    SubjectTypeRow,
)

# What the domain knows of an event and of a type is their row.
SubjectEvent = SubjectEventRow
SubjectType = SubjectTypeRow

log = logging.getLogger(__name__)

_STOP_S_MAX = 5.0


class SubjectIndex:
    """The subject index of one store.

    It knows subjects by their ids in the key store, and no names. One that is erased is in it until
    its erasure has cleaned up; one that was admitted again has another id.
    """

    def __init__(self, storage: SubjectIndexStorage) -> None:
        self._storage = storage
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look now and then."""
        self._task = asyncio.get_running_loop().create_task(self._now_and_then())

    async def stop(self) -> None:
        """Ends it; a piece that is under way comes to its end by itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_STOP_S_MAX)

    async def catch_up(self, within_s: float = SUBJECT_INDEX_S_MAX) -> int:
        """Looks through all events that are there now; the head of the log then.
        SUBJECT_INDEX_BEHIND if that takes too long, and then it has got on all the same.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + within_s
        goal: int | None = None
        while True:
            followed, head = await self._storage.follow(wait=True)
            goal = head if goal is None else goal
            if followed is not None and followed >= goal:
                return goal
            # Between pieces, which are short: each is stored whatever comes.
            if clock() >= until:
                raise self.behind(followed or 0, head)

    def behind(self, position: int, head: int) -> Refusal:
        """The refusal while the log was not looked through."""
        return Refusal(
            "SUBJECT_INDEX_BEHIND",
            "the log was not looked through for personal values yet",
            position=position,
            head=head,
        )

    async def events(
        self, subject_ids: Sequence[UUID], after: int = 0
    ) -> AsyncIterator[Sequence[SubjectEvent]]:
        """Events with sealed values of subjects behind a position, in order, page by page, an
        event once for each of its subjects; not those whose payload was deleted. Exact up to where
        `catch_up` said.
        """
        place = (after, UUID(int=(1 << 128) - 1))
        while True:
            page = await self._storage.page(subject_ids, place, SUBJECT_INDEX_PAGE_EVENTS)
            if page:
                yield page
                place = (page[-1].position, page[-1].subject_id)
            if len(page) < SUBJECT_INDEX_PAGE_EVENTS:
                return

    async def types(self, subject_ids: Sequence[UUID]) -> Sequence[SubjectType]:
        """The same by type of the events."""
        return await self._storage.types(subject_ids)

    async def forget(self, subject_id: UUID) -> int:
        """Forgets the events of an erased subject; how many."""
        return await self._storage.drop(subject_id)

    async def _now_and_then(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began, on = loop.time(), False
            try:
                progress = await self._storage.progress()
                if progress.position < progress.head:
                    followed, head = await self._storage.follow(wait=False)
                    on = followed is not None and followed < head
            except Refusal as refusal:
                end_if_cancelled()
                log.info("the subject index is not followed: %s", refusal.reason)
            except Exception as error:  # noqa: BLE001 - what it says may quote data
                log.error("fault in the subject index: %s", type(error).__qualname__)
            # As long as the piece took, so that half of the time is for others.
            await asyncio.sleep(loop.time() - began if on else SUBJECT_INDEX_PAUSE_S)
