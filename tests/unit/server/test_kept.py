"""Goal: kept states are bounded in memory and in what they ask of PostgreSQL, and newer ones win.

Method: `KeptStates` over an object that notes what would be written, and writes when told to.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from uuid import UUID

import pytest

from eventfold_server.domain import kept as kept_module
from eventfold_server.domain.kept import WRITES_MAX, KeptStates
from eventfold_server.errors import Refusal
from eventfold_server.limits import KEPT_STATE_BYTES_MAX
from eventfold_server.storage.folds import FoldStorage, KeptState

DIGEST = "d" * 64


class Notes(FoldStorage):
    """Takes the place of the tables."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.kept: list[tuple[int, int]] = []
        self.dropped: list[UUID] = []
        self.sweeps = 0
        self.swept = asyncio.Event()
        self.fails: Exception | None = None

    async def keep(self, stream_no: int, fold_digest: str, kept: KeptState) -> None:
        del fold_digest
        await self._reached()
        self.kept.append((stream_no, kept.version))

    async def drop_kept(self, stream_no: int, fold_digest: str, event_id: UUID) -> None:
        del stream_no, fold_digest
        await self._reached()
        self.dropped.append(event_id)

    async def sweep_kept(self) -> None:
        self.sweeps += 1
        if self.sweeps == 3:
            self.swept.set()
        await self._reached()

    async def _reached(self) -> None:
        await self.open.wait()
        if self.fails is not None:
            raise self.fails


def state(version: int, text: bytes = b"{}") -> KeptState:
    return KeptState(version, UUID(int=version), True, text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


async def test_a_state_is_recalled_up_to_a_version(notes: Notes) -> None:
    states = KeptStates(notes)
    states.keep("a-1", 1, DIGEST, state(5))
    assert states.recall("a-1", DIGEST, None) == state(5)
    assert states.recall("a-1", DIGEST, 5) == state(5)
    assert states.recall("a-1", DIGEST, 4) is None
    assert states.recall("a-2", DIGEST, None) is None
    assert states.recall("a-1", "e" * 64, None) is None
    await states.stop()
    assert notes.kept == [(1, 5)]


async def test_an_older_state_does_not_take_the_place_of_a_newer_one(notes: Notes) -> None:
    states = KeptStates(notes)
    for version in (5, 9, 5, 9):
        states.keep("a-1", 1, DIGEST, state(version))
        states.remember("a-1", DIGEST, state(version - 1))
    assert states.recall("a-1", DIGEST, None) == state(9)
    await states.stop()
    # What would change nothing is not sent either.
    assert notes.kept == [(1, 5), (1, 9)]


async def test_a_large_state_is_not_kept(notes: Notes) -> None:
    states = KeptStates(notes)
    states.keep("a-1", 1, DIGEST, state(1, b"x" * KEPT_STATE_BYTES_MAX))
    states.keep("a-2", 2, DIGEST, state(1, b"x" * (KEPT_STATE_BYTES_MAX + 1)))
    await states.stop()
    assert states.recall("a-2", DIGEST, None) is None
    assert notes.kept == [(1, 1)]


async def test_the_ones_unused_for_longest_go_first(notes: Notes) -> None:
    states = KeptStates(notes, memory_bytes_max=10_000)
    for number in range(4):
        states.remember(f"a-{number}", DIGEST, state(1, b"x" * 2_000))
        states.recall("a-0", DIGEST, None)
    states.remember("a-4", DIGEST, state(1, b"x" * 2_000))
    left = [number for number in range(5) if states.recall(f"a-{number}", DIGEST, None)]
    assert left == [0, 3, 4]
    # One that fits nowhere does not stay.
    states.remember("a-5", DIGEST, state(1, b"x" * 20_000))
    assert not any(states.recall(f"a-{number}", DIGEST, None) for number in range(6))


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


async def test_writes_at_once_are_bounded(notes: Notes) -> None:
    notes.open.clear()
    states = KeptStates(notes)
    for number in range(50):
        states.keep(f"a-{number}", number, DIGEST, state(1))
        states.drop(f"b-{number}", number, DIGEST, state(1))
    await asyncio.sleep(0)
    notes.open.set()
    await states.stop()
    assert len(notes.kept) + len(notes.dropped) == WRITES_MAX
    assert states.recall("a-49", DIGEST, None) is not None


async def test_a_dropped_state_is_gone_at_once(notes: Notes) -> None:
    states = KeptStates(notes)
    states.keep("a-1", 1, DIGEST, state(7))
    states.drop("a-1", 1, DIGEST, state(7))
    assert states.recall("a-1", DIGEST, None) is None
    # Now an older one is the newest.
    states.keep("a-1", 1, DIGEST, state(3))
    assert states.recall("a-1", DIGEST, None) == state(3)
    await states.stop()
    assert notes.dropped == [UUID(int=7)]


async def test_a_write_that_fails_harms_nobody(notes: Notes) -> None:
    states = KeptStates(notes)
    notes.fails = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached")
    states.keep("a-1", 1, DIGEST, state(1))
    await states.stop()
    assert states.recall("a-1", DIGEST, None) == state(1)


async def test_stopping_does_not_wait_for_a_database_that_hangs(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "STOP_S_MAX", 0.05)
    notes.open.clear()
    states = KeptStates(notes)
    states.keep("a-1", 1, DIGEST, state(1))
    async with asyncio.timeout(5):
        await states.stop()
    notes.open.set()


async def test_the_sweep_comes_again_after_a_failure(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "KEPT_SWEEP_PAUSE_S", 0.001)
    notes.fails = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached")
    states = KeptStates(notes)
    states.start()
    async with asyncio.timeout(5):
        await notes.swept.wait()
    await states.stop()
