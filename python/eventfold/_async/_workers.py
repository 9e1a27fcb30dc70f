"""Several handlers at once, on an event loop. Written by hand here and in `_sync`."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Self


class Workers:
    """Runs jobs, so many at once, and those of one key one after the other in their order.

    The first exception of a job that is not handled in it ends all, and is raised at the end.
    """

    def __init__(self, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._queues: dict[Hashable, deque[Callable[[], Awaitable[Any]]]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._tasks.__aexit__(*error)  # type: ignore[arg-type]

    def put(self, key: Hashable, job: Callable[[], Awaitable[Any]]) -> None:
        """Runs a job when those of its key before it are done, and a worker is free."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(job)
            return
        self._queues[key] = deque([job])
        self._tasks.create_task(self._work(key))

    async def _work(self, key: Hashable) -> None:
        queue = self._queues[key]
        while queue:
            async with self._slots:
                await queue[0]()
            queue.popleft()
        del self._queues[key]
