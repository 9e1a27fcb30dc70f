"""Looking up what appends refer to, before they are stored."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from eventfold_server.limits import LOOKUP_REFERENCES_MAX
from eventfold_server.storage.appends import AppendStorage

if TYPE_CHECKING:
    from eventfold_server.storage.writer import Waiting


class Lookups:
    """Looks up what the appends refer to that have come in meanwhile, in one statement after the
    other. What exists never ceases to, so this needs no transaction.
    """

    def __init__(self, storage: AppendStorage, done: Callable[["Waiting"], None]) -> None:
        """`done` gets each append that was looked up, or that was told of a fault."""
        self._storage = storage
        self._done = done
        self._waiting: deque[Waiting] = deque()
        self._looking: asyncio.Task[None] | None = None

    def begin(self, waiting: "Waiting") -> None:
        """Takes an append that refers to something."""
        self._waiting.append(waiting)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                try:
                    await self._storage.look_up([waiting.append for waiting in batch])
                except Exception as error:  # noqa: BLE001 - the appends are told
                    for waiting in batch:
                        waiting.fail(error)
                for waiting in batch:
                    self._done(waiting)
        finally:
            self._looking = None

    def _next_batch(self) -> list["Waiting"]:
        """What goes into one statement: at least one append."""
        batch: list[Waiting] = []
        room = LOOKUP_REFERENCES_MAX
        while self._waiting and (not batch or room > 0):
            waiting = self._waiting.popleft()
            batch.append(waiting)
            if (references := waiting.append.references) is not None:
                room -= len(references)
        return batch
