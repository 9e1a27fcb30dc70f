"""Waiting for new events of the log."""

import asyncio

from eventfold_server.errors import Refusal
from eventfold_server.limits import LOG_WATCH_PAUSE_S
from eventfold_server.storage.log import LogStorage


class LogWatch:
    """Tells when the log has grown; looks at its head only while somebody waits, once for all."""

    def __init__(self, log: LogStorage) -> None:
        self._log = log
        self._looking: asyncio.Task[int] | None = None

    async def wait_beyond(self, position: int) -> int:
        """The head of the log, once it is beyond the position."""
        while True:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            # Shared by all who wait: one that gives up does not take it from the others.
            head = await asyncio.shield(self._looking)
            if head > position:
                return head

    async def _look(self) -> int:
        await asyncio.sleep(LOG_WATCH_PAUSE_S)
        try:
            return await self._log.head()
        except Refusal:
            # PostgreSQL is away; those who wait have other ways to notice.
            return 0
