"""Goal: kept states are bounded in memory and in what they ask of PostgreSQL, and newer ones win.

Method: `KeptStates` over an object that notes what would be written, and writes when told to.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import pytest

from eventfold import _core
from eventfold_server.domain import kept as kept_module
from eventfold_server.domain.folding import CompiledFolds, FoldRegistry
from eventfold_server.domain.kept import ENTRY_BYTES, KeptStates
from eventfold_server.errors import Refusal
from eventfold_server.limits import KEPT_STATE_BYTES_MAX, KEPT_WAITING_BYTES_MAX
from eventfold_server.storage.kept import FoldKey, KeptState, KeptStorage, StoredState

KEY = FoldKey("d" * 64, "")


class Notes(KeptStorage):
    """Takes the place of the tables."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.kept: list[tuple[int, int]] = []
        self.dropped: list[UUID] = []
        self.statements: list[int] = []
        # How many each sweep drops; then none.
        self.stale: list[int] = []
        self.sweeps = 0
        self.fails: Exception | None = None

    async def keep(self, states: Sequence[StoredState]) -> None:
        await self._reached()
        self.statements.append(len(states))
        self.kept += [(state.stream_no, state.kept.version) for state in states]

    async def drop(self, states: Sequence[StoredState]) -> None:
        await self._reached()
        self.dropped += [state.kept.event_id for state in states]

    async def sweep(self, compiled: Callable[[str], Awaitable[_core.Fold]]) -> int:
        assert compiled is not None
        self.sweeps += 1
        await self._reached()
        return self.stale.pop() if self.stale else 0

    async def _reached(self) -> None:
        await self.open.wait()
        if self.fails is not None:
            raise self.fails


def state(version: int, text: bytes = b"{}") -> KeptState:
    return KeptState(version, UUID(int=version), True, text)


def stored(stream_no: int, version: int, text: bytes = b"{}") -> StoredState:
    return StoredState(stream_no, KEY, state(version, text))


class Registry(FoldRegistry):
    """Has nothing to do."""

    def __init__(self) -> None:
        self.compiled = CompiledFolds()

    async def complete(self) -> None:
        return None


@pytest.fixture
def notes() -> Notes:
    return Notes()


async def test_a_state_is_recalled_up_to_a_version(notes: Notes) -> None:
    states = KeptStates(notes)
    states.keep("a-1", stored(1, 5))
    assert states.recall("a-1", KEY, None) == state(5)
    assert states.recall("a-1", KEY, 5) == state(5)
    assert states.recall("a-1", KEY, 4) is None
    assert states.recall("a-2", KEY, None) is None
    assert states.recall("a-1", "e" * 64, None) is None
    await states.stop()
    assert notes.kept == [(1, 5)]


async def test_an_older_state_does_not_take_the_place_of_a_newer_one(notes: Notes) -> None:
    states = KeptStates(notes)
    for version in (5, 9, 5, 9):
        states.keep("a-1", stored(1, version))
        states.remember("a-1", KEY, state(version - 1))
    assert states.recall("a-1", KEY, None) == state(9)
    await states.stop()
    # What a newer one took the place of is not sent.
    assert notes.kept == [(1, 9)]


async def test_a_large_state_is_not_kept(notes: Notes) -> None:
    states = KeptStates(notes)
    states.keep("a-1", stored(1, 1, b"x" * KEPT_STATE_BYTES_MAX))
    states.keep("a-2", stored(2, 1, b"x" * (KEPT_STATE_BYTES_MAX + 1)))
    await states.stop()
    assert states.recall("a-2", KEY, None) is None
    assert notes.kept == [(1, 1)]


async def test_the_ones_unused_for_longest_go_first(notes: Notes) -> None:
    states = KeptStates(notes, memory_bytes_max=10_000)
    for number in range(4):
        states.remember(f"a-{number}", KEY, state(1, b"x" * 2_000))
        states.recall("a-0", KEY, None)
    states.remember("a-4", KEY, state(1, b"x" * 2_000))
    left = [number for number in range(5) if states.recall(f"a-{number}", KEY, None)]
    assert left == [0, 3, 4]
    # One that fits nowhere does not stay.
    states.remember("a-5", KEY, state(1, b"x" * 20_000))
    assert not any(states.recall(f"a-{number}", KEY, None) for number in range(6))


@pytest.mark.parametrize("size", [2, 1_000, 100_000])
def test_the_bound_is_that_of_the_memory_taken(notes: Notes, size: int) -> None:
    """Small states take far more memory than their text."""
    bound = 4_000_000
    states = KeptStates(notes, memory_bytes_max=bound)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(20_000 if size < 10_000 else 200):
            name, digest = f"category-{number:060}", f"{number % 7:064}"
            states.remember(name, digest, state(300 + number, bytes(size)))
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bound / 3 < taken < bound * 1.2


async def test_many_states_go_in_few_statements(notes: Notes) -> None:
    states = KeptStates(notes)
    for number in range(1_000):
        states.keep(f"a-{number}", stored(number, 1))
    await states.stop()
    assert notes.kept == [(number, 1) for number in range(1_000)]
    assert len(notes.statements) == 1
    # About 1 MiB in each.
    for number in range(10):
        states.keep(f"b-{number}", stored(number, 1, b"x" * 600_000))
    await states.stop()
    assert notes.statements[1:] == [2] * 5


async def test_what_waits_to_be_written_is_bounded(notes: Notes) -> None:
    notes.open.clear()
    states = KeptStates(notes)
    size = 100_000
    fit = KEPT_WAITING_BYTES_MAX // (size + ENTRY_BYTES)
    for number in range(fit + 20):
        states.keep(f"a-{number}", stored(number, 1, b"x" * size))
    notes.open.set()
    await states.stop()
    assert len(notes.kept) == fit
    assert states.recall(f"a-{fit + 19}", KEY, None) is not None
    # There is room again.
    states.keep("b-1", stored(1, 2, b"x" * size))
    await states.stop()
    assert notes.kept[-1] == (1, 2)


async def test_a_dropped_state_is_gone_at_once(notes: Notes) -> None:
    states = KeptStates(notes)
    states.keep("a-1", stored(1, 7))
    states.drop("a-1", stored(1, 7))
    assert states.recall("a-1", KEY, None) is None
    # Now an older one is the newest.
    states.keep("a-1", stored(1, 3))
    assert states.recall("a-1", KEY, None) == state(3)
    await states.stop()
    assert notes.dropped == [UUID(int=7)]


async def test_a_write_that_fails_harms_nobody(notes: Notes) -> None:
    states = KeptStates(notes)
    notes.fails = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached")
    states.keep("a-1", stored(1, 1))
    await states.stop()
    assert states.recall("a-1", KEY, None) == state(1)


async def test_stopping_does_not_wait_for_a_database_that_hangs(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "STOP_S_MAX", 0.05)
    notes.open.clear()
    states = KeptStates(notes)
    states.keep("a-1", stored(1, 1))
    async with asyncio.timeout(60):
        await states.stop()
    notes.open.set()


async def test_the_sweep_goes_on_until_nothing_is_left(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "KEPT_SWEEP_CHUNK_PAUSE_S", 0.001)
    notes.stale = [1, 1_000, 1_000]
    states = KeptStates(notes)
    states.start(Registry())
    await until(lambda: notes.sweeps == 4)
    await asyncio.sleep(0.05)
    assert notes.sweeps == 4
    await states.stop()


async def test_the_sweep_comes_again_after_a_failure(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "KEPT_SWEEP_PAUSE_S", 0.001)
    notes.fails = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached")
    states = KeptStates(notes)
    states.start(Registry())
    await until(lambda: notes.sweeps >= 3)
    await states.stop()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if reached():
                return
            await asyncio.sleep(0.001)
