"""Kept states: a cache in memory and in PostgreSQL that nobody notices but by the clock.

A kept state is the state of a stream after a version, under a fold and the mappings of its types,
for a log that has a certain event at that version. Folding goes on from it inclusive: the event at
its version is read again, and if it is another one, the state is dropped and folding starts at the
first event.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection

from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    KEPT_MEMORY_BYTES_MAX,
    KEPT_STATE_BYTES_MAX,
    KEPT_SWEEP_CHUNK_PAUSE_S,
    KEPT_SWEEP_PAUSE_S,
    KEPT_WAITING_BYTES_MAX,
    PAGE_BYTES,
)
from eventfold_server.storage.kept import FoldKey, KeptState, KeptStorage, StoredState

log = logging.getLogger(__name__)

# What writes get to end when the server stops.
STOP_S_MAX = 2.0
# What a state takes in memory beside its text and the name of its stream, about.
ENTRY_BYTES = 600

Key = tuple[int, FoldKey]


class KeptStates:
    """The kept states of one store, as one server process knows them."""

    def __init__(self, storage: KeptStorage, memory_bytes_max: int = KEPT_MEMORY_BYTES_MAX) -> None:
        self._memory_bytes_max = memory_bytes_max
        # By stream and key of the fold; the one unused for longest stands first.
        self._memory: OrderedDict[tuple[str, FoldKey], KeptState] = OrderedDict()
        self._memory_bytes = 0
        self._writes = _Writes(storage)
        self._storage = storage
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False

    def recall(self, stream: str, key: FoldKey, up_to: int | None) -> KeptState | None:
        """The state in memory, of a version of at most `up_to`."""
        kept = self._memory.get((stream, key))
        if kept is None or (up_to is not None and kept.version > up_to):
            return None
        self._memory.move_to_end((stream, key))
        return kept

    def keep(self, stream: str, state: StoredState) -> None:
        """Keeps a state in memory now and in PostgreSQL soon; a large one is left out, and one
        that is no newer than the one in memory.
        """
        if len(state.kept.state) > KEPT_STATE_BYTES_MAX:
            return
        if self.remember(stream, state.key, state.kept):
            self._writes.keep(state)

    def remember(self, stream: str, key: FoldKey, kept: KeptState) -> bool:
        """Keeps a state in memory; False if one as new or newer is there already."""
        known = self._memory.get((stream, key))
        if known is not None and known.version >= kept.version:
            return False
        self._forget(stream, key)
        self._memory[stream, key] = kept
        self._memory_bytes += _size(stream, kept)
        while self._memory_bytes > self._memory_bytes_max:
            (name, _), oldest = self._memory.popitem(last=False)
            self._memory_bytes -= _size(name, oldest)
        return True

    def drop(self, stream: str, state: StoredState) -> None:
        """Drops a state that turned out not to be the log's."""
        log.warning("a kept state of a stream was not the log's; folding from the first event")
        self._forget(stream, state.key)
        self._writes.drop(state)

    def forget(self, streams: Collection[str]) -> None:
        """Drops all states in memory of streams that were deleted, or whose events changed."""
        gone = set(streams)
        for stream, key in [known for known in self._memory if known[0] in gone]:
            self._forget(stream, key)

    def forget_all(self) -> None:
        """Drops all states in memory: some were made of values that nobody may see any more."""
        self._memory.clear()
        self._memory_bytes = 0

    def start(self, registry: FoldRegistry) -> None:
        """Begins to sweep out what no fold asks for any more, now and then."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(registry))

    async def stop(self) -> None:
        """Ends the sweeping, and gives the writes that are under way a moment: they are only a
        cache, and must not hold up the end of the server.
        """
        self._stopping = True
        tasks = {task for task in (self._sweeper, self._writes.task) if task is not None}
        if self._sweeper is not None:
            self._sweeper.cancel()
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=STOP_S_MAX)
        for task in left:
            task.cancel()

    def _forget(self, stream: str, key: FoldKey) -> None:
        kept = self._memory.pop((stream, key), None)
        if kept is not None:
            self._memory_bytes -= _size(stream, kept)

    async def _sweep(self, registry: FoldRegistry) -> None:
        # A write answers a cancellation with a refusal, so the loop has to ask.
        while not self._stopping:
            try:
                await registry.complete()
                dropped = await self._storage.sweep(registry.compiled.get)
            except Refusal as refusal:
                log.info("kept states were not swept: %s", refusal.reason)
                dropped = 0
            # In chunks until nothing is left.
            await asyncio.sleep(KEPT_SWEEP_CHUNK_PAUSE_S if dropped else KEPT_SWEEP_PAUSE_S)


class _Writes:
    """What waits to be written: many states go in one statement, and the newest of a stream wins.

    What finds no room is left out, as if it had failed: the next hydration may try again.
    """

    def __init__(self, storage: KeptStorage) -> None:
        self.task: asyncio.Task[None] | None = None
        self._storage = storage
        self._kept: OrderedDict[Key, StoredState] = OrderedDict()
        self._dropped: OrderedDict[Key, StoredState] = OrderedDict()
        self._bytes = 0

    def keep(self, state: StoredState) -> None:
        """Keeps a state soon."""
        self._remove(self._kept, (state.stream_no, state.key))
        self._add(self._kept, state)

    def drop(self, state: StoredState) -> None:
        """Drops a state soon, and before what is kept after it."""
        key = (state.stream_no, state.key)
        self._remove(self._kept, key)
        self._remove(self._dropped, key)
        self._add(self._dropped, state)

    def _add(self, to: OrderedDict[Key, StoredState], state: StoredState) -> None:
        size = _size("", state.kept)
        if self._bytes + size > KEPT_WAITING_BYTES_MAX:
            return
        to[state.stream_no, state.key] = state
        self._bytes += size
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._write())

    def _remove(self, states: OrderedDict[Key, StoredState], key: Key) -> None:
        state = states.pop(key, None)
        if state is not None:
            self._bytes -= _size("", state.kept)

    def _take(self, states: OrderedDict[Key, StoredState]) -> list[StoredState]:
        """The next ones, of about 1 MiB together."""
        taken, size = [], 0
        while states and size < PAGE_BYTES:
            _, state = states.popitem(last=False)
            taken.append(state)
            size += _size("", state.kept)
        self._bytes -= size
        return taken

    async def _write(self) -> None:
        while self._dropped or self._kept:
            try:
                if dropped := self._take(self._dropped):
                    await self._storage.drop(dropped)
                if kept := self._take(self._kept):
                    await self._storage.keep(kept)
            except Refusal as refusal:
                # Nothing is lost: the next hydration folds a few more events.
                log.info("kept states were not written: %s", refusal.reason)


def _size(stream: str, kept: KeptState) -> int:
    """What the state takes in memory, about."""
    return ENTRY_BYTES + len(stream.encode()) + len(kept.state)
