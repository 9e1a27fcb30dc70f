"""Queries of projections: which generation answers, from what position on, and page by page."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from eventfold import _core
from eventfold_server.domain import requests
from eventfold_server.domain.projections import page_tokens
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    LOG_WINDOW_POSITIONS,
    PAGE_BYTES,
    PROJECTION_CACHE_ENTRIES_MAX,
    QUERY_SWITCHES_MAX,
    QUERY_WAIT_PAUSE_S_MAX,
    QUERY_WAIT_PAUSE_S_MIN,
)
from eventfold_server.storage.projection_rows import (
    COUNT_FIRST_PARAMETER,
    ROWS_FIRST_PARAMETER,
    Fresh,
    ProjectionRows,
    Queried,
    Rows,
)

# What the domain knows of freshness and of pages is what storage gives.
Freshness = Fresh


@dataclass(frozen=True)
class Query:
    """What is asked of a projection; defaults are filled in."""

    projection: str
    filter: str = ""
    # Names of columns, and whether from the largest value to the smallest.
    order: Sequence[tuple[str, bool]] = ()
    # Empty: all.
    columns: Sequence[str] = ()
    at_least_position: int = 0
    page_size: int = 0
    page_token: str = ""

    @property
    def scope(self) -> bytes:
        """What a page token is good for."""
        return page_tokens.scope(self.projection, self.filter, self.order)


@dataclass(frozen=True)
class Page:
    """A page of rows; `token` asks for the next one, and is empty if there is none."""

    rows: Rows
    token: str = field(default="")


class ProjectionQueries:
    """Answers queries of the projections of one store."""

    def __init__(self, rows: ProjectionRows, documents: Documents, tail: Tail) -> None:
        self._rows = rows
        self._documents = documents
        self._tail = tail
        # Documents by generation, with the digest that they had.
        self._known: OrderedDict[int, tuple[str, _core.Projection]] = OrderedDict()
        # Names of the columns of generations whose values are sealed, which never change.
        self._sealed_of: OrderedDict[int, list[str]] = OrderedDict()

    async def page(self, query: Query, caller: Caller) -> Page:
        """A page of rows."""
        after = page_tokens.read(query.page_token, query.scope)
        for _ in range(QUERY_SWITCHES_MAX):
            generation, document = await self._generation(query, caller)
            sealed = await self._sealed(generation)
            compiled = compiled_query(
                document,
                sealed,
                filter=query.filter,
                order=query.order,
                columns=query.columns,
                after=after,
                now_us=generation.now_us,
                first_parameter=ROWS_FIRST_PARAMETER,
            )
            found = await self._rows.rows(
                query.projection, generation.generation_no, compiled, query.page_size, PAGE_BYTES
            )
            if found is None:
                continue
            if sealed:
                rows = await self._rows.opened(
                    generation.generation_no,
                    document,
                    sealed,
                    found.rows,
                    personal=caller.personal,
                )
                found = replace(found, rows=rows)
            if found.place is None:
                return Page(found)
            return Page(found, page_tokens.make(found.place, query.scope))
        raise _switched(query)

    async def count(self, query: Query, caller: Caller) -> tuple[int, Freshness]:
        """The number of rows that pass the filter, and how fresh that is."""
        for _ in range(QUERY_SWITCHES_MAX):
            generation, document = await self._generation(query, caller)
            compiled = compiled_query(
                document,
                await self._sealed(generation),
                filter=query.filter,
                now_us=generation.now_us,
                first_parameter=COUNT_FIRST_PARAMETER,
            )
            found = await self._rows.count(query.projection, generation.generation_no, compiled)
            if found is not None:
                return found
        raise _switched(query)

    async def _generation(self, query: Query, caller: Caller) -> tuple[Queried, _core.Projection]:
        """The generation that queries see, with its document, once it has the position that is
        waited for. While there is none, that wait is for one too.
        """
        wanted = query.at_least_position
        waiting_s, left = requests.waiting_time(caller)
        ends = asyncio.get_running_loop().time() + waiting_s
        pause_s = QUERY_WAIT_PAUSE_S_MIN
        while True:
            self._tail.check_open()
            found = await self._rows.generation(query.projection)
            if found is None:
                raise Refusal(
                    "PROJECTION_NOT_FOUND",
                    "there is no such projection",
                    projection=query.projection,
                )
            document = await self._document(found)
            if document is None:
                continue
            if found.is_active and await self._has(found, document, wanted):
                return found, document
            remaining = ends - asyncio.get_running_loop().time()
            _refuse(query, found, remaining, left)
            await asyncio.sleep(min(pause_s, max(remaining, 0.0)))
            pause_s = min(2 * pause_s, QUERY_WAIT_PAUSE_S_MAX)

    async def _has(self, found: Queried, document: _core.Projection, wanted: int) -> bool:
        """Whether all events of the source up to a position are in the rows."""
        if found.position >= wanted:
            return True
        # Until the log has it, events of the source may come. Far behind, they surely are there.
        if found.head < wanted or wanted - found.position > LOG_WINDOW_POSITIONS:
            return False
        return not await self._rows.source_has_events(document, found.position, wanted)

    async def _sealed(self, generation: Queried) -> list[str]:
        number = generation.generation_no
        if number not in self._sealed_of:
            self._sealed_of[number] = await self._rows.sealed(number)
            if len(self._sealed_of) > PROJECTION_CACHE_ENTRIES_MAX:
                self._sealed_of.popitem(last=False)
        return self._sealed_of[number]

    async def _document(self, generation: Queried) -> _core.Projection | None:
        """The document of a generation; None: it has another one by now."""
        known = self._known.get(generation.generation_no)
        if known is not None and known[0] == generation.digest:
            self._known.move_to_end(generation.generation_no)
            return known[1]
        found = await self._rows.document(generation)
        if found is None:
            return None
        document = await self._documents.compiled(*found)
        self._known[generation.generation_no] = (generation.digest, document)
        if len(self._known) > PROJECTION_CACHE_ENTRIES_MAX:
            self._known.popitem(last=False)
        return document


def _refuse(query: Query, found: Queried, remaining: float, left: float) -> None:
    """Raises if there is nothing to wait for, or no time left."""
    wanted = query.at_least_position
    if found.stopped is not None and wanted:
        raise Refusal(
            "PROJECTION_STOPPED",
            f"the projection stopped behind position {found.position}: {found.stopped.message}",
            projection=query.projection,
            generation=found.generation,
            position=found.position,
            requested=wanted,
            cause=found.stopped.reason,
        )
    if wanted and remaining > 0:
        return
    if not found.is_active:
        raise Refusal(
            "PROJECTION_NOT_READY",
            "no generation of the projection has caught up with the log yet",
            projection=query.projection,
            generation=found.generation,
            position=found.position,
            head=found.head,
        )
    problem = f"the projection had not reached position {wanted} in time; it is at {found.position}"
    raise requests.too_slow(problem, wanted, found.position, left)


def compiled_query(
    document: _core.Projection, sealed: Sequence[str], **asked: object
) -> _core.ProjectionQuery:
    """The query that is asked of the columns of a document, of which some are sealed."""
    try:
        return _core.ProjectionQuery(
            document.columns,
            sealed=sealed,
            **asked,  # type: ignore[arg-type]
        )
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


def _switched(query: Query) -> Refusal:
    return Refusal(
        "STORAGE_UNAVAILABLE",
        f"queries of {query.projection} were switched to other generations again and again",
    )
