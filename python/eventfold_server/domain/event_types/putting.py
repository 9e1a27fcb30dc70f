"""Putting in force what stored events decide on, while others go on appending."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from eventfold_server import failpoints
from eventfold_server.domain.event_types.trials import Progress, Trial, Trials, progress
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    TRIAL_HELD_S_MAX,
    TRIAL_ROUND_S_MAX,
    TRIAL_VAIN_ROUNDS_MAX,
)
from eventfold_server.storage.event_types import Change, EventTypeStorage

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


class Candidate(Protocol[Row_co]):
    """What is to be put in force."""

    @property
    def trial(self) -> Trial | None:
        """What the stored events say; None: they are not asked."""

    def refusal(self) -> Refusal | None:
        """Why the events that were tried refuse it."""

    async def holds(self, change: Change) -> bool:
        """Whether that which it was held against is still in force."""

    async def store(self, change: Change) -> Row_co:
        """Stores it."""


@dataclass(frozen=True)
class Stored(Generic[Row]):
    """What was put in force."""

    row: Row


class Outcome(Enum):
    """Why nothing was put in force."""

    # Something else is in force than what the candidate was held against.
    OUTDATED = auto()
    # More came in than could be tried.
    UNTRIED = auto()


class Rounds:
    """Tells from how long its rounds take whether a trial comes nearer to a head that moves on."""

    def __init__(self) -> None:
        self._shortest = math.inf
        self._vain = 0

    def note(self, seconds: float) -> bool:
        """Whether what came in during a round is so little that it can be tried while nothing
        comes in. OVERLOADED: rounds have not become shorter.
        """
        if seconds < 0.9 * self._shortest:
            self._shortest, self._vain = seconds, 0
        else:
            self._vain += 1
        if self._vain > TRIAL_VAIN_ROUNDS_MAX:
            raise Refusal(
                "OVERLOADED",
                "events of the type are appended as fast as they can be tried",
                resource="trial_vain_rounds",
                limit=TRIAL_VAIN_ROUNDS_MAX,
            )
        return seconds <= TRIAL_ROUND_S_MAX


class Putting:
    """Puts candidates in force."""

    def __init__(self, storage: EventTypeStorage, trials: Trials) -> None:
        self._storage = storage
        self._trials = trials

    async def put(
        self, candidate: Candidate[Row], head: int
    ) -> AsyncGenerator[Progress | Stored[Row]]:
        """Tells how far the trial is, and at the end what was stored. Ends without that if
        something else is in force by now than what the candidate was held against. `head`: of the
        log, when the call came. OVERLOADED: the trial does not come to its end.

        Most events are tried while more come in, which the next round tries. Those behind the last
        round, which are few by then, are tried when none can come in any more: so there is no event
        that was not tried.
        """
        trial = candidate.trial
        if trial is None:
            outcome = await self._store(candidate)
            if isinstance(outcome, Stored):
                yield outcome
            return
        async with self._trials.puts:
            rounds, clock = Rounds(), asyncio.get_running_loop().time
            while True:
                begun = clock()
                async with aclosing(trial.go_on(await self._trials.head())) as steps:
                    async for _ in steps:
                        yield progress(trial, head)
                _refuse(candidate)
                if not rounds.note(clock() - begun):
                    continue
                outcome = await self._store(candidate)
                if isinstance(outcome, Stored):
                    yield outcome
                if outcome is not Outcome.UNTRIED:
                    return

    async def _store(self, candidate: Candidate[Row]) -> Stored[Row] | Outcome:
        """Stores the candidate, if it stands."""
        trial = candidate.trial
        async with self._storage.changing() as change:
            if not await candidate.holds(change):
                return Outcome.OUTDATED
            if trial is not None and not await _tried_rest(trial, change):
                return Outcome.UNTRIED
            _refuse(candidate)
            row = await candidate.store(change)
            failpoints.reach("catalogue_written")
            await change.commit()
            failpoints.reach("catalogue_changed")
        return Stored(row)


async def _tried_rest(trial: Trial, change: Change) -> bool:
    """Tries what came in since, and holds events up meanwhile; False: that would take too long."""
    try:
        async with asyncio.timeout(TRIAL_HELD_S_MAX):
            while len(batch := await trial.behind(change)):
                await trial.try_batch(batch)
    except TimeoutError:
        return False
    trial.position = change.head
    return True


def _refuse(candidate: Candidate[object]) -> None:
    """Raises what refuses it."""
    refusal = candidate.refusal()
    if refusal is not None:
        raise refusal
