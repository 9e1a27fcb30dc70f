"""Holding appends to rules that take long."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import APPEND_JUDGING_THREADS
from eventfold_server.storage.catalogue import Catalogue

if TYPE_CHECKING:
    from eventfold_server.storage.writer import Waiting

# Of their own: nobody else waits for appends that take long.
_threads = ThreadPoolExecutor(APPEND_JUDGING_THREADS, thread_name_prefix="judge")


async def judge(append: _core.Append, rules: _core.Rules) -> None:
    """Holds an append to rules in a thread, without Python's lock: that may take
    `append_steps_max`.
    """
    try:
        await asyncio.get_running_loop().run_in_executor(_threads, append.check_again, rules)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


class Judging:
    """Holds appends to the rules that took too long where they came in, and those that were held
    to rules that are in force no more. Meanwhile others are stored.
    """

    def __init__(self, catalogue: Catalogue, done: Callable[["Waiting"], None]) -> None:
        """`done` gets each append that was judged, or that was told of a fault."""
        self._catalogue = catalogue
        self._done = done
        self._waiting: deque[Waiting] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    def begin(self, waiting: "Waiting") -> None:
        """Takes an append."""
        self._waiting.append(waiting)
        if len(self._workers) < APPEND_JUDGING_THREADS:
            self._workers.add(asyncio.create_task(self._work()))

    async def _work(self) -> None:
        try:
            while self._waiting:
                waiting = self._waiting.popleft()
                # Who has left needs no judgement.
                if not waiting.is_decided:
                    try:
                        await judge(waiting.append, self._catalogue.rules)
                    except Exception as error:  # noqa: BLE001 - the append is told
                        waiting.fail(error)
                self._done(waiting)
        finally:
            # Here and not in a callback, which comes later: what is handed over until then would
            # find workers that take nothing any more.
            worker = asyncio.current_task()
            assert worker is not None
            self._workers.discard(worker)
