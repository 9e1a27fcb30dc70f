"""Kept states: a cache in memory and in PostgreSQL that nobody notices but by the clock.

A kept state is the state of a stream after a version, under a fold, for a log that has a certain
event at that version. Folding goes on from it inclusive: the event at its version is read again,
and if it is another one, the state is dropped and folding starts at the first event.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine

from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    KEPT_MEMORY_BYTES_MAX,
    KEPT_STATE_BYTES_MAX,
    KEPT_SWEEP_PAUSE_S,
)
from eventfold_server.storage.folds import FoldStorage, KeptState

log = logging.getLogger(__name__)

# Writes of kept states at once; more are left out, since they are only a cache.
WRITES_MAX = 4
# What they get to end when the server stops.
STOP_S_MAX = 2.0
# What a state takes in memory beside its text and the name of its stream, about.
ENTRY_BYTES = 600


class KeptStates:
    """The kept states of one store, as one server process knows them."""

    def __init__(self, folds: FoldStorage, memory_bytes_max: int = KEPT_MEMORY_BYTES_MAX) -> None:
        self._folds = folds
        self._memory_bytes_max = memory_bytes_max
        # By stream and digest of the fold; the one unused for longest stands first.
        self._memory: OrderedDict[tuple[str, str], KeptState] = OrderedDict()
        self._memory_bytes = 0
        self._writes: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False

    def recall(self, stream: str, fold_digest: str, up_to: int | None) -> KeptState | None:
        """The state in memory, of a version of at most `up_to`."""
        kept = self._memory.get((stream, fold_digest))
        if kept is None or (up_to is not None and kept.version > up_to):
            return None
        self._memory.move_to_end((stream, fold_digest))
        return kept

    def keep(self, stream: str, stream_no: int, fold_digest: str, kept: KeptState) -> None:
        """Keeps a state in memory now and in PostgreSQL soon; a large one is left out, and one
        that is no newer than the one in memory.
        """
        if len(kept.state) > KEPT_STATE_BYTES_MAX:
            return
        if self.remember(stream, fold_digest, kept):
            self._begin(lambda: self._folds.keep(stream_no, fold_digest, kept))

    def remember(self, stream: str, fold_digest: str, kept: KeptState) -> bool:
        """Keeps a state in memory; False if one as new or newer is there already."""
        known = self._memory.get((stream, fold_digest))
        if known is not None and known.version >= kept.version:
            return False
        self._forget(stream, fold_digest)
        self._memory[stream, fold_digest] = kept
        self._memory_bytes += _size(stream, kept)
        while self._memory_bytes > self._memory_bytes_max:
            (name, _), oldest = self._memory.popitem(last=False)
            self._memory_bytes -= _size(name, oldest)
        return True

    def drop(self, stream: str, stream_no: int, fold_digest: str, kept: KeptState) -> None:
        """Drops a state that turned out not to be the log's."""
        log.warning("a kept state of a stream was not the log's; folding from the first event")
        self._forget(stream, fold_digest)
        self._begin(lambda: self._folds.drop_kept(stream_no, fold_digest, kept.event_id))

    def start(self) -> None:
        """Begins to sweep out what no fold asks for any more, now and then."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def stop(self) -> None:
        """Ends the sweeping, and gives the writes that are under way a moment: they are only a
        cache, and must not hold up the end of the server.
        """
        self._stopping = True
        tasks = set(self._writes)
        if self._sweeper is not None:
            self._sweeper.cancel()
            tasks.add(self._sweeper)
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=STOP_S_MAX)
        for task in left:
            task.cancel()

    def _forget(self, stream: str, fold_digest: str) -> None:
        kept = self._memory.pop((stream, fold_digest), None)
        if kept is not None:
            self._memory_bytes -= _size(stream, kept)

    def _begin(self, write: Callable[[], Coroutine[None, None, None]]) -> None:
        # Left out, it is as if it had failed: the next hydration may try again.
        if len(self._writes) >= WRITES_MAX:
            return

        async def guarded() -> None:
            try:
                await write()
            except Refusal as refusal:
                # Nothing is lost: the next hydration folds a few more events.
                log.info("a kept state was not written: %s", refusal.reason)

        task = asyncio.get_running_loop().create_task(guarded())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _sweep(self) -> None:
        # A write answers a cancellation with a refusal, so the loop has to ask.
        while not self._stopping:
            await asyncio.sleep(KEPT_SWEEP_PAUSE_S)
            try:
                await self._folds.sweep_kept()
            except Refusal as refusal:
                log.info("kept states were not swept: %s", refusal.reason)


def _size(stream: str, kept: KeptState) -> int:
    """What the state takes in memory, about."""
    return ENTRY_BYTES + len(stream.encode()) + len(kept.state)
