"""Several handlers at once, in threads. Written by hand here and in `_async`."""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self


class Workers:
    """Runs jobs, so many at once, and those of one key one after the other in their order.

    The first exception of a job that is not handled in it ends all, and is raised at the end.
    """

    def __init__(self, concurrency: int) -> None:
        self._pool = ThreadPoolExecutor(concurrency, "eventfold-handler")
        self._queues: dict[Hashable, deque[Callable[[], Any]]] = {}
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        if self._error is not None:
            raise self._error

    def put(self, key: Hashable, job: Callable[[], Any]) -> None:
        """Runs a job when those of its key before it are done, and a worker is free."""
        if self._error is not None:
            raise self._error
        with self._lock:
            queue = self._queues.get(key)
            if queue is not None:
                queue.append(job)
                return
            self._queues[key] = deque([job])
        self._pool.submit(self._work, key)

    def _work(self, key: Hashable) -> None:
        queue = self._queues[key]
        try:
            if self._error is None:
                queue[0]()
        except BaseException as error:  # noqa: BLE001 - raised where the workers end
            self._error = self._error or error
        with self._lock:
            queue.popleft()
            if not queue:
                del self._queues[key]
                return
        self._pool.submit(self._work, key)
