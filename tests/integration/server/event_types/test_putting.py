"""Goal: trying what others append meanwhile neither keeps them waiting for long nor goes on for
ever.

Method: candidates whose trial waits, or appends, on a real PostgreSQL, without a server.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import asyncpg
import pytest
from tests.support.unruled import store_unruled

from eventfold import _core
from eventfold_server.domain.event_types import putting
from eventfold_server.domain.event_types.putting import Putting, Rounds, Stored
from eventfold_server.domain.event_types.trials import Progress, Trial, Trials, Tried
from eventfold_server.errors import Refusal
from eventfold_server.limits import TRIAL_ROUND_S_MAX, TRIAL_VAIN_ROUNDS_MAX
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.event_types import Change, EventTypeStorage
from eventfold_server.storage.log import LogStorage

SECONDS = 90.0


@dataclass
class Candidate:
    """Notes what would be stored, and stores nothing."""

    trial: Trial | None
    stored: list[int] = field(default_factory=list)

    def refusal(self) -> Refusal | None:
        return None

    async def holds(self, change: Change) -> bool:
        return change.head >= 0

    async def store(self, change: Change) -> int:
        self.stored.append(change.head)
        return change.head


@dataclass
class Store:
    """A store without a server, and the positions that were tried, in their order."""

    database: Database
    url: str
    tried: list[int] = field(default_factory=list)

    def append(self, count: int = 1) -> list[int]:
        events = [("T", b"{}"), ("Other", b"{}")] * count
        return store_unruled(self.url, self.database.queries.schema, "a-1", events)[::2]

    async def put(self, before: Callable[[int], None]) -> Candidate:
        """Puts a candidate; `before` is called with the position of a page before it is tried."""

        def attempt(batch: _core.Batch, _room: int) -> Tried:
            before(batch.first_position)
            self.tried += [batch.position(index) for index in range(len(batch))]
            return Tried(len(batch), 0, 0, ())

        trials = Trials(LogStorage(self.database, Catalogue(self.database)))
        candidate = Candidate(trials.trial("T", attempt))
        puts = Putting(EventTypeStorage(self.database), trials)
        steps = [step async for step in puts.put(candidate, 0)]
        assert all(isinstance(step, Progress) for step in steps[:-1])
        assert steps[-1] == Stored(candidate.stored[0])
        return candidate


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    database = Database(database_url, f"test_{uuid.uuid4().hex}")
    await database.open()
    yield Store(database, database_url)
    await database.close()


async def test_what_comes_in_meanwhile_is_tried_once(store: Store) -> None:
    appended = store.append(1_200)

    def append_first(position: int) -> None:
        if position == appended[0]:
            appended.extend(store.append(10))

    candidate = await store.put(append_first)
    assert store.tried == appended
    assert candidate.stored == [appended[-1] + 1]


async def test_appends_are_let_in_while_the_rest_takes_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a page is tried with the log held, which does not end, others append."""
    # So that the first round is short enough on any machine.
    monkeypatch.setattr(putting, "TRIAL_ROUND_S_MAX", SECONDS)
    [first] = store.append()
    tries, held, over = list[int](), threading.Event(), threading.Event()

    def wait(position: int) -> None:
        if position == first:
            # It comes in behind the head up to which this round goes.
            store.append()
            return
        tries.append(position)
        if len(tries) == 1:
            held.set()
            assert over.wait(SECONDS)

    put = asyncio.create_task(store.put(wait))
    assert await asyncio.to_thread(held.wait, SECONDS)
    connection = await asyncpg.connect(store.url)
    schema = store.database.queries.schema
    # Whoever appends takes the same lock.
    await connection.execute(f"SELECT FROM {schema}.counter FOR UPDATE", timeout=SECONDS)
    await connection.close()
    over.set()
    candidate = await put
    assert len(tries) >= 2
    assert len(candidate.stored) == 1
    assert store.tried[0] == first
    assert candidate.trial is not None
    assert candidate.trial.events == 2


async def test_a_trial_that_is_slower_than_appends_is_refused(store: Store) -> None:
    store.append()
    pause = threading.Event()

    def append(_position: int) -> None:
        """There is always one more, and it takes longer than a last round may."""
        pause.wait(2 * TRIAL_ROUND_S_MAX)
        store.append()

    with pytest.raises(Refusal) as caught:
        await asyncio.wait_for(store.put(append), 4 * SECONDS)
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.facts["limit"] == str(TRIAL_VAIN_ROUNDS_MAX)
    assert len(store.tried) > TRIAL_VAIN_ROUNDS_MAX


def test_rounds() -> None:
    rounds = Rounds()
    assert [rounds.note(seconds) for seconds in (9.0, 3.0, 0.5, TRIAL_ROUND_S_MAX)] == [
        False, False, False, True,
    ]  # fmt: skip
    # As long as the shortest, or about.
    for _ in range(TRIAL_VAIN_ROUNDS_MAX):
        rounds.note(0.95 * TRIAL_ROUND_S_MAX)
    # A shorter one makes good for all of them.
    assert rounds.note(0.5 * TRIAL_ROUND_S_MAX)
    for _ in range(TRIAL_VAIN_ROUNDS_MAX):
        rounds.note(1.0)
    with pytest.raises(Refusal, match="as fast as they can be tried"):
        rounds.note(1.0)
