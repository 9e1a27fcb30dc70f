"""Trying documents of projections out: a bounded number of events is folded, and nothing kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from eventfold_server.domain import requests
from eventfold_server.domain.copies import refuse_ambiguous_document
from eventfold_server.domain.projections.documents import Documents, personal_column
from eventfold_server.domain.projections.query import compiled_query
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    PAGE_BYTES,
    PROJECTION_TRY_EVENTS_DEFAULT,
    PROJECTION_TRY_EVENTS_MAX,
    PROJECTION_TRY_SHARE,
)
from eventfold_server.storage import projection_rows, refolding
from eventfold_server.storage.projection_rows import ROWS_FIRST_PARAMETER
from eventfold_server.storage.projections import ProjectionStorage
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.refolding import RefoldStorage
from eventfold_server.storage.stored_errors import restored

# What the domain knows of a row, and of a key that was set aside.
Row = projection_rows.Row
SetAside = refolding.SetAside


@dataclass(frozen=True)
class Asked:
    """What is to be tried."""

    source: str
    # 0: the first of the log.
    from_position: int
    # 0: the default.
    events_max: int
    filter: str
    # Names of columns, and whether from the largest value to the smallest.
    order: Sequence[tuple[str, bool]]
    page_size: int


@dataclass(frozen=True)
class Tried:
    """What came of it."""

    rows: Sequence[Row]
    passing: int
    shown: int
    hidden: int
    events: int
    # Up to where events were looked at.
    position: int
    # Of the log.
    head: int
    # Why folding ended at the event behind `position`; None: it did not fail.
    stopped: Refusal | None
    # The first of them.
    parked: Sequence[SetAside]


class ProjectionTrials:
    """Tries documents on the log of one store."""

    def __init__(
        self,
        storage: ProjectionStorage,
        refolds: RefoldStorage,
        projector: Projector,
        documents: Documents,
    ) -> None:
        self._storage = storage
        self._refolds = refolds
        self._projector = projector
        self._documents = documents

    async def attempt(self, asked: Asked, caller: Caller) -> Tried:
        """Folds events until there are enough of them, none is left, one fails, or half of the
        call's time is over; and answers rows.
        """
        requests.at_least("from_position", asked.from_position, 0)
        events_max = asked.events_max or PROJECTION_TRY_EVENTS_DEFAULT
        if not 0 < events_max <= PROJECTION_TRY_EVENTS_MAX:
            problem = f"must be from 1 to {PROJECTION_TRY_EVENTS_MAX}"
            raise requests.invalid("events_max", problem, PROJECTION_TRY_EVENTS_MAX)
        document = (await self._documents.read(asked.source)).compiled
        await refuse_ambiguous_document(self._storage.ambiguous_transform, document)
        # What can be personal, they do not show.
        marks = await self._projector.newest_marks(document)
        if marks.key:
            raise personal_column(document.name, "key")
        query = compiled_query(
            document,
            marks.columns,
            filter=asked.filter,
            order=asked.order,
            now_us=await self._refolds.clock_us(),
            first_parameter=ROWS_FIRST_PARAMETER,
        )
        head = await self._storage.head()
        if asked.from_position > head + 1:
            raise Refusal(
                "POSITION_AHEAD",
                f"position {asked.from_position} lies beyond the head {head}",
                requested=asked.from_position,
                head=head,
            )
        clock = asyncio.get_running_loop().time
        until = clock() + requests.waiting_time(caller)[0] * PROJECTION_TRY_SHARE
        after = max(asked.from_position - 1, 0)
        async with self._projector.aside:
            trial = await self._projector.trial(
                document,
                after=after,
                up_to=head,
                events_max=events_max,
                personal=caller.personal,
            )
            tried = await trial.go_on()
            while not tried.done and clock() < until:
                tried = await trial.go_on()
            found = await trial.rows()
        passing, rows = await self._refolds.tried_rows(
            document, found, query, marks.columns, asked.page_size, PAGE_BYTES
        )
        return Tried(
            rows=rows,
            passing=passing,
            shown=len(found.keys),
            hidden=found.hidden,
            events=tried.events,
            position=tried.position,
            head=head,
            stopped=None if tried.stopped is None else restored(tried.stopped),
            parked=refolding.set_aside(found),
        )
