"""Steps of generations of projections: Rust reads, folds and writes in transactions."""

import json
from dataclasses import dataclass
from typing import Any

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    CATEGORY_WINDOW_POSITIONS,
    LOG_WINDOW_POSITIONS,
    PROJECTION_BATCH_BYTES,
    PROJECTION_BATCH_EVENTS,
    PROJECTION_BATCH_S,
    PROJECTION_LEASE_S,
    PROJECTION_PAGE_AGE_S,
    PROJECTION_PAGE_BYTES,
    PROJECTION_QUIET_S,
    PROJECTION_ROWS_BYTES,
    PROJECTION_SPAN_WINDOWS,
    PROJECTION_STEP_BATCHES,
)
from eventfold_server.storage import faults
from eventfold_server.storage.bridge import Bridge, driver_error
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_table import ProjectionTable


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to."""

    # Position up to which all events of the source are in the table, or on lists of parked keys.
    # While nothing but other events comes it is written a few times a second only.
    position: int
    # Events that were folded or put onto lists.
    events: int
    # Rows that were written or removed.
    rows: int
    # Keys that were parked.
    parked: int
    # No event of the source is left up to `up_to`, and `position` is there.
    done: bool
    # Somebody else has the lease, or the generation is gone: nothing more was written, and the
    # worker is of no use any more.
    fenced: bool
    # Why the generation stopped at the event behind `position`, or had before.
    stopped: Refusal | None


class Worker:
    """Builds one generation under one lease; not to be used by two tasks at once."""

    def __init__(
        self, projector: _core.Projector, bridge: Bridge, worker: _core.ProjectionWorker
    ) -> None:
        self._projector = projector
        self._bridge = bridge
        self._worker = worker

    async def step(self, up_to: int) -> Step:
        """Goes on by a few transactions, at most to position `up_to`, which is not above the head.

        Prolongs the lease. A step is short, a second or two, so that the lease does not run out;
        while there is more to do (`done` is false) call it again at once. It is carried through if
        the caller is cancelled. After a refusal (STORAGE_UNAVAILABLE,
        STORAGE_FULL) nothing was written or nobody knows; the next step begins with what the
        database says, so that it may be called again either way.
        """
        stepped, _ = self._bridge.begin(
            lambda future: self._projector.step(future, self._worker, up_to)
        )
        with faults.reading():
            try:
                found: _core.ProjectionStep = await stepped
            except _core.ReaderError as error:
                raise driver_error(error) from error
            except _core.CoreError as error:
                raise Refusal.of_core(error) from error
        return Step(
            position=found.position,
            events=found.events,
            rows=found.rows,
            parked=found.parked,
            done=found.done,
            fenced=found.fenced,
            stopped=None if found.stopped is None else refusal_of(found.stopped),
        )

    async def close(self) -> None:
        """Forgets all states, and what was read ahead; waits for a step under way."""
        forgotten, _ = self._bridge.begin(
            lambda future: self._projector.forget(future, self._worker)
        )
        await forgotten


class Projector:
    """The connections of all workers of a server process, and their thread."""

    def __init__(self, database: Database) -> None:
        """Connects when the first step needs it; answers go to the loop that is running."""
        self._queries = database.queries
        self._projector = _core.Projector(*database.projection_settings())
        self._bridge = Bridge(self._projector)

    def worker(
        self, generation_no: int, lease: int, document: _core.Projection, **bounds: float
    ) -> Worker:
        """A worker for the generation, whose `lease` the caller has just taken.

        `bounds` are for tests; see `_core.Projector.worker`.
        """
        table = ProjectionTable(self._queries, generation_no, document)
        window, page = CATEGORY_WINDOW_POSITIONS, "projection_categories_page"
        if document.categories is None:
            window, page = LOG_WINDOW_POSITIONS, "projection_log_page"
        elif len(document.categories) == 1:
            page = "projection_category_page"
        worker = self._projector.worker(
            document,
            generation_no=generation_no,
            lease=lease,
            statements={
                "page": self._queries[page],
                "streams": self._queries["projection_streams"],
                "progress": self._queries["projection_progress"],
                "rows": table.rows,
                "advance": self._queries["projection_advance"],
                "upsert": table.upsert,
                "delete": table.delete,
                "park_keys": self._queries["park_keys"],
                "park_events": self._queries["park_events"],
            },
            bounds={
                "page_bytes": PROJECTION_PAGE_BYTES,
                "page_age_s": PROJECTION_PAGE_AGE_S,
                "window": window,
                "span": window * PROJECTION_SPAN_WINDOWS,
                "rows_bytes": PROJECTION_ROWS_BYTES,
                "batch_bytes": PROJECTION_BATCH_BYTES,
                "batch_events": PROJECTION_BATCH_EVENTS,
                "batch_s": PROJECTION_BATCH_S,
                "batches": PROJECTION_STEP_BATCHES,
                "lease_s": PROJECTION_LEASE_S,
                "quiet_s": PROJECTION_QUIET_S,
                **bounds,
            },
        )
        return Worker(self._projector, self._bridge, worker)

    async def close(self) -> None:
        """Ends the thread; steps under way fail."""
        await self._bridge.close()


def stored_error(error: Refusal) -> str:
    """An error as `stopped` and parked keys hold it: JSON text."""
    return json.dumps({"reason": error.reason, "message": error.message, "facts": error.facts})


def refusal_of(stored: str) -> Refusal:
    """The error that `stopped` or a parked key holds; the driver gives JSON as text."""
    fields: dict[str, Any] = json.loads(stored)
    refusal = Refusal(fields["reason"], fields["message"])
    refusal.facts = fields["facts"]
    return refusal
