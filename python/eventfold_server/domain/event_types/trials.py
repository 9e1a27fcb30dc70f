"""Trying schemas, mappings and privacy rules on stored events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain import requests
from eventfold_server.domain.folding import in_thread
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    LOG_WINDOW_POSITIONS,
    MISFITS_DEFAULT,
    MISFITS_MAX,
    TRIAL_PAGE_BYTES,
    TRIAL_PAUSE_S,
    TRIAL_POSITIONS,
    TRIALS_MAX,
)
from eventfold_server.storage.event_types import Change
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.views import SENT


@dataclass(frozen=True)
class Misfit:
    """A stored event that does not fit."""

    stream: str
    version: int
    position: int
    event_id: str
    # Where it does not fit a schema.
    violations: Sequence[_core.Violation]
    # Why a mapping fails on it.
    error: Refusal | None


@dataclass(frozen=True)
class Tried:
    """What some stored events say."""

    # Those that were tried, those that do not fit, and those that a mapping changes.
    events: int
    misfits: int
    changed: int
    # The first that do not fit, as many as are to be reported.
    first: Sequence[Misfit]


# Tries a page of events, of which it reports so many misfits.
Attempt = Callable[[_core.Batch, int], Tried]


@dataclass(frozen=True)
class Progress:
    """How far a trial has come."""

    events: int
    misfits: int
    changed: int
    # Up to where the log was looked at, and its head when the call came.
    position: int
    head: int


class Trial:
    """Stored events of one type or category, tried in the order of their positions."""

    def __init__(
        self,
        log: LogStorage,
        event_type: str,
        attempt: Attempt,
        *,
        misfits_max: int = 1,
        first_only: bool = False,
        category: str | None = None,
        opens: bool = False,
    ) -> None:
        """`first_only`: the first event says all. `category`: all of its events are tried, and the
        type is empty. `opens`: what is sealed is opened for attempts; else they take it for absent.
        """
        self._view = SENT if opens else None
        self._log = log
        self.event_type = event_type
        self._category = category
        self._attempt = attempt
        self._misfits_max = misfits_max
        self._first_only = first_only
        # Events that were tried, those that did not fit, and those that a mapping changed.
        self.events = 0
        self.misfits = 0
        self.changed = 0
        # The first that did not fit.
        self.first: list[Misfit] = []
        # Up to where the log was looked at.
        self.position = 0

    async def go_on(self, head: int) -> AsyncGenerator[None]:
        """Tries all events up to a head; comes back about every second."""
        clock = asyncio.get_running_loop().time
        told = clock()
        while self.position < head:
            upper = min(self.position + TRIAL_POSITIONS, head)
            async with aclosing(self._pages(upper)) as pages:
                async for page in pages:
                    if page.batch is not None and len(page.batch):
                        await self.try_batch(page.batch)
                    if self._first_only and self.events:
                        return
                    if clock() - told >= TRIAL_PAUSE_S:
                        told = clock()
                        yield
            self.position = upper

    def _pages(self, upper: int) -> AsyncGenerator[_core.Page]:
        return self._log.log_pages(
            self.position + 1,
            upper,
            with_system=True,
            with_copies=True,
            categories=None if self._category is None else [self._category],
            types=[self.event_type] if self._category is None else None,
            tags=None,
            window=LOG_WINDOW_POSITIONS,
            encoded=False,
            # Attempts know the mapping that they go by.
            view=self._view,
            page_bytes=TRIAL_PAGE_BYTES,
        )

    async def behind(self, change: Change) -> _core.Batch:
        """The first events that were not tried, while no others are stored."""
        if self._category is None:
            return await change.events_behind(self.event_type, self.position)
        return await change.events_of_category_behind(self._category, self.position)

    async def try_batch(self, batch: _core.Batch) -> None:
        """Tries events of the type that follow those that were tried."""
        room = self._misfits_max - len(self.first)
        tried = await in_thread(None, self._attempt, batch, room)
        self.events += tried.events
        self.misfits += tried.misfits
        self.changed += tried.changed
        self.first += tried.first
        self.position = batch.last_position


def progress(trial: Trial | None, head: int) -> Progress:
    """How far a trial is; None: nothing is tried. `head`: of the log, when the call came."""
    if trial is None:
        return Progress(0, 0, 0, 0, head)
    return Progress(trial.events, trial.misfits, trial.changed, trial.position, head)


class Trials:
    """Trials on the log of one store."""

    def __init__(self, log: LogStorage) -> None:
        self._log = log
        # For whoever begins one; more wait. Who may only check keeps nobody from a put.
        self.puts = asyncio.Semaphore(TRIALS_MAX)
        self.checks = asyncio.Semaphore(TRIALS_MAX)

    def trial(
        self,
        event_type: str,
        attempt: Attempt,
        *,
        misfits_max: int = 1,
        first_only: bool = False,
        category: str | None = None,
        opens: bool = False,
    ) -> Trial:
        """A trial, which reports so many misfits; see `Trial`."""
        return Trial(
            self._log,
            event_type,
            attempt,
            misfits_max=misfits_max,
            first_only=first_only,
            category=category,
            opens=opens,
        )

    async def head(self) -> int:
        """Position of the newest event; 0: none."""
        return await self._log.head()


def misfits_max(asked: int, field: str = "misfits_max") -> int:
    """How many misfits are to be reported; 0 stands for the default."""
    if not 0 <= asked <= MISFITS_MAX:
        raise requests.invalid(field, f"must be from 1 to {MISFITS_MAX}", MISFITS_MAX)
    return asked or MISFITS_DEFAULT
