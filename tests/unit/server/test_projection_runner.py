"""Goal: a server process takes generations, builds them, lets queries see them when it is time, and
gives them back; no fault of one ends the others.

Method: storage, projector and tail that are scripted and note what is asked of them; time is short.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from eventfold_server import limits
from eventfold_server.domain.projections.runner import Runner
from eventfold_server.errors import Refusal
from eventfold_server.storage.projections import Claimed, Waiting
from eventfold_server.storage.projector import Step

BUILDING, READY, ACTIVE = 1, 2, 3
LEASE_S = 0.06
VERIFIED, CAUGHT_UP, BY_HAND = 1, 2, 3


def step(position: int, *, done: bool = True, **more: Any) -> Step:
    fields: dict[str, Any] = {
        "events": 0, "rows": 0, "parked": 0, "fenced": False, "stopped": None, **more
    }  # fmt: skip
    return Step(position=position, done=done, **fields)


@dataclass
class Log:
    """The tail, and the head of the log that the database tells."""

    head: int = 0

    async def wait_beyond(self, position: int, timeout_s: float | None = None) -> int:
        ends = asyncio.get_running_loop().time() + (timeout_s or 0)
        while self.head <= position and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        return self.head


@dataclass
class Storage:
    """Generations that are free, and what was asked."""

    log: Log
    free: list[Claimed] = field(default_factory=list)
    waits: Waiting | None = None
    outcomes: list[str] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    # All that were left alone at some time.
    excepted: set[int] = field(default_factory=set)
    released: dict[int, int] = field(default_factory=dict)

    async def head(self) -> int:
        return self.log.head

    async def claim(self, _lease_s: float, excepted: list[int]) -> list[Claimed]:
        self.excepted.update(excepted)
        taken = [one for one in self.free if one.generation_no not in excepted]
        self.free = [one for one in self.free if one.generation_no in excepted]
        return taken

    async def renew(self, leases: dict[int, int], _lease_s: float) -> None:
        self.asked.append(("renew", dict(leases)))

    async def release(self, leases: dict[int, int]) -> None:
        self.released.update(leases)

    async def sweep(self, *, wait_s: float) -> int:
        self.asked.append(("sweep", wait_s))
        return 0

    async def caught_up(self, generation_no: int, lease: int, _document: object) -> None:
        self.asked.append(("caught_up", generation_no, lease, self.log.head))

    async def waiting(self, _generation_no: int, _lease: int) -> Waiting | None:
        return self.waits

    async def switch(self, generation_no: int, _document: object, **more: Any) -> str:
        outcome = self.outcomes.pop(0) if self.outcomes else "switched"
        self.asked.append(("switch", generation_no, outcome, more["wait_s"]))
        if outcome == "switched":
            self.waits = None
        return outcome


class Documents:
    def __init__(self) -> None:
        self.refusal: Refusal | None = None

    async def compiled(self, _source: str, _fold: str | None) -> object:
        if self.refusal is not None:
            raise self.refusal
        return object()


@dataclass
class Worker:
    steps: Callable[[int], Awaitable[Step]]
    closed: bool = False

    async def step(self, up_to: int) -> Step:
        await asyncio.sleep(0)
        return await self.steps(up_to)

    async def close(self) -> None:
        self.closed = True


class Projector:
    """Workers whose steps a test scripts; without a script they are where they shall be."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.script: dict[int, Callable[[int], Step]] = {}

    async def sealed(self, _generation_no: int) -> list[str]:
        return []

    def worker(
        self,
        generation_no: int,
        _lease: int,
        _document: object,
        _sealed: object,
        *,
        lease_s: float,
    ) -> Worker:
        assert lease_s == LEASE_S

        async def steps(up_to: int) -> Step:
            script = self.script.get(generation_no)
            return step(up_to) if script is None else script(up_to)

        self.workers.append(Worker(steps))
        return self.workers[-1]


@dataclass
class Parts:
    log: Log
    storage: Storage
    projector: Projector
    documents: Documents
    runner: Runner


class Verifier:
    def __init__(self, storage: Storage, differing: int) -> None:
        self.storage, self.differing, self.calls = storage, differing, 0

    async def verify(self, _name: str, _generation: int) -> None:
        self.calls += 1
        await asyncio.sleep(0.01)
        before = self.storage.waits
        assert before is not None
        self.storage.waits = Waiting(before.switch, before.has_active, self.differing)


def parts(verifier: Callable[[Storage], Verifier] | None = None) -> Parts:
    log = Log(5)
    storage, projector, documents = Storage(log), Projector(), Documents()
    runner = Runner(
        storage,  # type: ignore[arg-type]
        projector,  # type: ignore[arg-type]
        documents,  # type: ignore[arg-type]
        log,  # type: ignore[arg-type]
        verifier(storage) if verifier else None,
        lease_s=LEASE_S,
        look_pause_s=0.01,
    )
    return Parts(log, storage, projector, documents, runner)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROJECTION_FAULT_PAUSE_S_MIN", 0.1)
    monkeypatch.setattr(limits, "PROJECTION_TAKE_PAUSE_S", 0.005)


def claimed(number: int, lease: int = 100, state: int = BUILDING) -> Claimed:
    return Claimed(f"p{number}", 1, "source", None, state, number, lease, lacks_view=False)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what it looks at tells nobody
            await asyncio.sleep(0.002)


def switches(storage: Storage) -> list[Any]:
    return [one for one in storage.asked if one[0] == "switch"]


async def test_a_first_generation_is_seen_once_it_has_caught_up() -> None:
    p = parts()
    p.storage.free = [claimed(1)]
    p.storage.waits = Waiting(BY_HAND, has_active=False, keys_differing=None)
    p.runner.start()
    await until(lambda: switches(p.storage))
    assert ("caught_up", 1, 100, 5) in p.storage.asked
    await p.runner.stop()
    assert p.projector.workers[0].closed
    assert p.storage.released == {1: 100}


async def test_what_was_the_head_when_a_long_build_began_is_not_caught_up() -> None:
    p = parts()
    p.storage.free = [claimed(1)]
    reached: list[int] = []

    def slowly(up_to: int) -> Step:
        reached.append(up_to)
        if len(reached) < 3:
            return step(1, done=False)
        if len(reached) == 3:
            # The log went on, and nobody told.
            p.log.head = 50
            # The loop stands still, as in a step that takes long.
            time.sleep(0.02)
        return step(up_to)

    p.projector.script[1] = slowly
    p.runner.start()
    await until(lambda: any(one[0] == "caught_up" for one in p.storage.asked))
    assert ("caught_up", 1, 100, 50) in p.storage.asked
    assert 50 in reached
    await p.runner.stop()


@pytest.mark.parametrize("differing", [0, 3])
async def test_a_verified_generation_takes_over_if_nothing_differs(differing: int) -> None:
    made: list[Verifier] = []

    def make(storage: Storage) -> Verifier:
        made.append(Verifier(storage, differing))
        return made[0]

    p = parts(make)
    p.storage.free = [claimed(1, state=READY)]
    p.storage.waits = Waiting(VERIFIED, has_active=True, keys_differing=None)
    p.runner.start()
    await until(lambda: made[0].calls)
    if differing:
        await asyncio.sleep(0.1)
        assert switches(p.storage) == []
        # Somebody mended it, and verified by hand.
        p.storage.waits = Waiting(VERIFIED, has_active=True, keys_differing=0)
    await until(lambda: switches(p.storage))
    assert made[0].calls == 1
    await p.runner.stop()


async def test_by_hand_waits() -> None:
    p = parts()
    p.storage.free = [claimed(1)]
    p.storage.waits = Waiting(BY_HAND, has_active=True, keys_differing=0)
    p.runner.start()
    await asyncio.sleep(0.1)
    assert switches(p.storage) == []
    p.storage.waits = Waiting(CAUGHT_UP, has_active=True, keys_differing=None)
    await until(lambda: switches(p.storage))
    await p.runner.stop()


async def test_a_switch_that_is_held_up_is_tried_again_and_waits_longer() -> None:
    p = parts()
    p.storage.free = [claimed(1)]
    p.storage.waits = Waiting(CAUGHT_UP, has_active=True, keys_differing=None)
    p.storage.outcomes = ["held", "behind", "held", "switched"]
    p.runner.start()
    await until(lambda: len(switches(p.storage)) == 4)
    assert [one[2:] for one in switches(p.storage)] == [
        ("held", 0.1),
        ("behind", 0.2),
        ("held", 0.2),
        ("switched", 0.4),
    ]
    await p.runner.stop()


async def test_faults_of_one_generation_leave_the_others_alone() -> None:
    """A fault ends a build and leaves it to others; PostgreSQL being away only interrupts it."""
    p = parts()
    p.storage.free = [claimed(1), claimed(2), claimed(3)]
    calls = {1: 0, 2: 0, 3: 0}

    def broken(_up_to: int) -> Step:
        calls[1] += 1
        raise RuntimeError("a bug")

    def away(up_to: int) -> Step:
        calls[2] += 1
        if calls[2] < 3:
            raise Refusal("STORAGE_UNAVAILABLE", "away")
        return step(up_to)

    def fine(up_to: int) -> Step:
        calls[3] += 1
        return step(up_to)

    p.projector.script = {1: broken, 2: away, 3: fine}
    p.runner.start()
    await until(lambda: 1 in p.storage.released)
    p.storage.free = [claimed(1, lease=101)]
    await until(lambda: calls[1] == 2)
    assert p.storage.excepted == {1}
    await until(lambda: calls[2] >= 3)
    assert len(p.projector.workers) == 4
    seen = calls[3]
    await until(lambda: calls[3] > seen)
    await p.runner.stop()


async def test_a_document_that_does_not_compile_here_is_left_to_other_servers() -> None:
    p = parts()
    p.documents.refusal = Refusal("INVALID_PROJECTION", "of a newer server")
    p.storage.free = [claimed(1)]
    p.runner.start()
    await until(lambda: p.storage.released)
    await until(lambda: p.storage.excepted == {1})
    await p.runner.stop()


async def test_whoever_is_fenced_off_or_stopped_ends() -> None:
    p = parts()
    p.storage.free = [claimed(1), claimed(2)]
    p.projector.script = {
        1: lambda _: step(0, done=False, fenced=True),
        2: lambda _: step(0, done=False, stopped=Refusal("PROJECTION_FAILED", "no")),
    }
    p.runner.start()
    await until(lambda: set(p.storage.released) == {1, 2})
    assert all(worker.closed for worker in p.projector.workers)
    assert switches(p.storage) == []
    await p.runner.stop()


async def test_leases_are_renewed_while_nothing_happens() -> None:
    p = parts()
    p.storage.free = [claimed(1, state=ACTIVE)]
    p.runner.start()
    await until(lambda: p.storage.asked.count(("renew", {1: 100})) >= 2)
    await p.runner.stop()


async def test_a_generation_that_comes_twice_is_built_once() -> None:
    """The process lost it and takes it anew: who had it before has ended when the other begins."""
    p = parts()
    p.storage.free = [claimed(1, lease=100, state=ACTIVE)]
    p.runner.start()
    await until(lambda: p.projector.workers)
    p.storage.free = [claimed(1, lease=101, state=ACTIVE)]
    await until(lambda: len(p.projector.workers) == 2)
    assert [worker.closed for worker in p.projector.workers] == [True, False]
    await p.runner.stop()
    assert p.storage.released[1] == 101


async def test_it_stops_while_it_writes() -> None:
    """A write under way is carried through, and turns the cancellation into a refusal."""
    p = parts()
    begun = asyncio.Event()

    async def carried_through(*_arguments: object, **_more: object) -> Any:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            raise Refusal("OUTCOME_UNKNOWN", "nobody waits") from error

    p.storage.free = [claimed(1)]
    p.storage.caught_up = carried_through  # type: ignore[method-assign]
    p.runner.start()
    async with asyncio.timeout(60):
        await begun.wait()
        begun.clear()
        p.storage.claim = carried_through  # type: ignore[method-assign]
        await begun.wait()
        await p.runner.stop()
    assert p.storage.released == {1: 100}
    assert p.projector.workers[0].closed


async def test_what_it_claims_as_it_stops_is_given_back() -> None:
    p = parts()
    begun = asyncio.Event()

    async def slow(*_arguments: object) -> list[Claimed]:
        begun.set()
        await asyncio.sleep(0.1)
        return [claimed(7)]

    p.storage.claim = slow  # type: ignore[method-assign]
    p.runner.start()
    async with asyncio.timeout(60):
        await begun.wait()
        await p.runner.stop()
    assert p.storage.released == {7: 100}
    assert not p.projector.workers
