"""Steps of generations of projections: Rust reads, folds and writes in transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    CATEGORY_WINDOW_POSITIONS,
    LOG_WINDOW_POSITIONS,
    PROJECTION_ASIDE_MAX,
    PROJECTION_BATCH_BYTES,
    PROJECTION_BATCH_EVENTS,
    PROJECTION_BATCH_S,
    PROJECTION_CACHE_BYTES,
    PROJECTION_DRAW_S_MAX,
    PROJECTION_LEASE_S,
    PROJECTION_PAGE_AGE_S,
    PROJECTION_PAGE_BYTES,
    PROJECTION_QUIET_S,
    PROJECTION_RETRY_EVENTS,
    PROJECTION_RETRY_KEYS,
    PROJECTION_ROWS_BYTES,
    PROJECTION_SHEET_BYTES,
    PROJECTION_SPAN_WINDOWS,
    PROJECTION_STEP_BATCHES,
    PROJECTION_TARGETS_BYTES,
    PROJECTION_TARGETS_MAX,
)
from eventfold_server.storage.bridge import Bridge
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.mapped import MappedReads
from eventfold_server.storage.projection_calls import dropped_is_refused, told
from eventfold_server.storage.projection_table import ProjectionTable, sealed_columns
from eventfold_server.storage.refolding import Retry, Trial, Verification
from eventfold_server.storage.stored_errors import restored
from eventfold_server.storage.views import View


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
        self,
        projector: _core.Projector,
        bridge: Bridge,
        worker: _core.ProjectionWorker,
        reads: MappedReads,
        marks: Callable[[], Awaitable[_core.ProjectionMarks]],
    ) -> None:
        """`marks` tells what of the document can be personal under the rules in force."""
        self._projector = projector
        self._bridge = bridge
        self._worker = worker
        self._reads = reads
        self._marks = marks

    async def step(self, up_to: int) -> Step:
        """Goes on by a few transactions, at most to position `up_to`, which is not above the head.

        Prolongs the lease. A step is short, a second or two, so that the lease does not run out;
        while there is more to do (`done` is false) call it again at once. It is carried through if
        the caller is cancelled. After a refusal (STORAGE_UNAVAILABLE, STORAGE_FULL) nothing was
        written or nobody knows; the next step begins with what the database says, so that it may be
        called again either way. PROJECTION_NOT_FOUND: the generation was dropped.
        """

        async def step(rules: _core.ReadRules) -> _core.ProjectionStep:
            marks = await self._marks()
            found: _core.ProjectionStep = await told(
                self._bridge,
                lambda future: self._projector.step(future, self._worker, up_to, rules, marks),
            )
            return found

        with dropped_is_refused():
            found = await self._reads.begin(step)
        return Step(
            position=found.position,
            events=found.events,
            rows=found.rows,
            parked=found.parked,
            done=found.done,
            fenced=found.fenced,
            stopped=None if found.stopped is None else restored(found.stopped),
        )

    async def close(self) -> None:
        """Forgets all states, and what was read ahead; waits for a step under way."""
        forgotten, _ = self._bridge.begin(
            lambda future: self._projector.forget(future, self._worker)
        )
        await forgotten


class Projector:
    """The connections of all workers of a server process, and their thread."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        """Connects when the first step needs it; answers go to the loop that is running."""
        self._database = database
        self._queries = database.queries
        self._reads = MappedReads(database, catalogue)
        self._catalogue = catalogue
        # For verifications and trials: what they fold is in memory.
        self.aside = asyncio.Semaphore(PROJECTION_ASIDE_MAX)

    @cached_property
    def _projector(self) -> _core.Projector:
        """The thread, which begins at the first use."""
        return _core.Projector(*self._database.projection_settings())

    @cached_property
    def _bridge(self) -> Bridge:
        return Bridge(self._projector)

    async def marks(self, document: _core.Projection) -> _core.ProjectionMarks:
        """What of a document can be personal under the rules in force; PERSONAL_KEY."""
        try:
            return await asyncio.to_thread(self._catalogue.rules.projection_marks, document)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    async def newest_marks(self, document: _core.Projection) -> _core.ProjectionMarks:
        """The same, under the rules that the store has now."""
        await self._reads.head()
        return await self.marks(document)

    async def sealed(self, generation_no: int) -> list[str]:
        """Names of the columns of a generation whose values are sealed."""
        return await sealed_columns(self._database, generation_no)

    def worker(
        self,
        generation_no: int,
        lease: int,
        document: _core.Projection,
        sealed: Sequence[str] = (),
        **bounds: float,
    ) -> Worker:
        """A worker for the generation, whose `lease` the caller has just taken, and of which some
        columns are `sealed`.

        `bounds` are for tests; see `_core.Projector.worker`.
        """
        generation = self._generation(generation_no, document, bounds, sealed)
        worker = self._projector.worker(document, lease=lease, **generation)
        known: tuple[int, _core.ProjectionMarks] | None = None

        async def marks() -> _core.ProjectionMarks:
            nonlocal known
            version = self._catalogue.rules.version
            if known is None or known[0] != version:
                known = version, await self.marks(document)
            return known[1]

        return Worker(self._projector, self._bridge, worker, self._reads, marks)

    async def verification(
        self, generation_no: int, document: _core.Projection, keys_max: int, **bounds: float
    ) -> Verification:
        """A comparison of the generation with a fold from scratch of at most so many keys."""
        marks = await self.newest_marks(document)
        sealed = await self.sealed(generation_no)
        table = ProjectionTable(self._queries, generation_no, document, sealed)
        generation = self._generation(generation_no, document, bounds, sealed)
        verifier = self._projector.verifier(
            document,
            **generation,
            rules=self._reads.rules,
            marks=marks,
            verify={
                "sample": table.sample,
                "spelled": table.spelled,
            },
            keys_max=keys_max,
        )
        return Verification(self._bridge, verifier)

    async def retry(
        self,
        generation_no: int,
        lease: int,
        document: _core.Projection,
        keys: Sequence[str],
        **bounds: float,
    ) -> Retry:
        """A retry of parked keys, or of all if none is said, under the `lease` that the caller has
        just taken.
        """
        marks = await self.newest_marks(document)
        sealed = await self.sealed(generation_no)
        generation = self._generation(generation_no, document, bounds, sealed)
        retry = self._projector.retry(
            document,
            lease=lease,
            **generation,
            rules=self._reads.rules,
            marks=marks,
            retry={
                "keys": self._queries["projection_parked_batch"],
                "events": self._queries["projection_parked_list"],
                "hold": self._queries["projection_hold"],
            },
            keys=list(keys) or None,
        )
        return Retry(self._bridge, retry)

    async def trial(
        self,
        document: _core.Projection,
        *,
        after: int,
        up_to: int,
        events_max: int,
        personal: bool,
        **bounds: float,
    ) -> Trial:
        """A trial of a document with events behind a position, up to another that is not above the
        head. `personal`: what is sealed is opened for it; else it is withheld.
        """
        parts = self._generation(0, document, bounds)
        del parts["generation_no"]
        marks = await self.newest_marks(document)
        trial = self._projector.trial(
            document,
            **parts,
            rules=self._reads.rules_for(View(personal=personal)),
            marks=marks,
            after=after,
            up_to=up_to,
            events_max=events_max,
        )
        return Trial(self._bridge, trial)

    def _generation(
        self,
        generation_no: int,
        document: _core.Projection,
        bounds: dict[str, float],
        sealed: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What Rust is told of a generation."""
        table = ProjectionTable(self._queries, generation_no, document, sealed)
        window, page = CATEGORY_WINDOW_POSITIONS, "projection_categories_page"
        if document.categories is None:
            window, page = LOG_WINDOW_POSITIONS, "projection_log_page"
        elif len(document.categories) == 1:
            page = "projection_category_page"
        if document.skip_cancelled:
            page = f"{page}_skipping"
        return {
            "generation_no": generation_no,
            "sealed": [name in sealed for name, _ in document.columns],
            "statements": {
                "page": self._queries[page],
                "key_events": self._queries["projection_key_events"],
                "targets": self._queries["projection_targets"],
                "anchor": self._queries["event_ids_at"],
                "streams": self._queries["projection_streams"],
                "progress": self._queries["projection_progress"],
                "rows": table.rows,
                "advance": self._queries["projection_advance"],
                "upsert": table.upsert,
                "delete": table.delete,
                "park_keys": self._queries["park_keys"],
                "park_events": self._queries["park_events"],
                "unpark_keys": self._queries["unpark_keys"],
                "park_again": self._queries["park_again"],
            },
            "bounds": {
                "page_bytes": PROJECTION_PAGE_BYTES,
                "page_age_s": PROJECTION_PAGE_AGE_S,
                "window": window,
                "span": window * PROJECTION_SPAN_WINDOWS,
                "targets_bytes": PROJECTION_TARGETS_BYTES,
                "targets_max": PROJECTION_TARGETS_MAX,
                "cache_bytes": PROJECTION_CACHE_BYTES,
                "rows_bytes": PROJECTION_ROWS_BYTES,
                "batch_bytes": PROJECTION_BATCH_BYTES,
                "batch_events": PROJECTION_BATCH_EVENTS,
                "batch_s": PROJECTION_BATCH_S,
                "batches": PROJECTION_STEP_BATCHES,
                "lease_s": PROJECTION_LEASE_S,
                "quiet_s": PROJECTION_QUIET_S,
                "sheet_bytes": PROJECTION_SHEET_BYTES,
                "draw_s": PROJECTION_DRAW_S_MAX,
                "retry_keys": PROJECTION_RETRY_KEYS,
                "retry_events": PROJECTION_RETRY_EVENTS,
                **bounds,
            },
        }

    async def close(self) -> None:
        """Ends the thread; steps under way fail."""
        if "_bridge" in self.__dict__:
            await self._bridge.close()
