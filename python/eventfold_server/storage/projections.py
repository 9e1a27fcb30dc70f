"""Statements on projections and their generations: what there is, and who builds it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import asyncpg

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage.copies import Ambiguity, ambiguous_transform
from eventfold_server.storage.database import Database
from eventfold_server.storage.projection_calls import dropped_is_refused
from eventfold_server.storage.projection_table import ProjectionTable
from eventfold_server.storage.queries import query_schema
from eventfold_server.storage.stored_errors import restored


@dataclass(frozen=True)
class Document:
    """A document with the fold that it reuses, if it does."""

    source: str
    compiled: _core.Projection
    fold: str | None
    fold_revision: int | None
    fold_source: str | None
    # Names of columns that can hold personal values, by the rules in force.
    sealed: Sequence[str] = ()


@dataclass(frozen=True)
class GenerationRow:
    """A generation, and how far it is; states and switches are numbered as in the proto."""

    generation_no: int
    generation: int
    source: str
    # Document of the registered fold that it reuses; None: its fold is its own.
    fold_source: str | None
    digest: str
    state: int
    switch: int
    # The fields of the proto's Verification as JSON; None: there was none.
    verification: str | None
    put_at: datetime
    put_by: str
    caught_up_at: datetime | None
    switched_at: datetime | None
    # Empty: the fold is its own.
    fold: str
    fold_revision: int
    position: int
    events: int
    # Positions in a second.
    rate: float
    stopped: Refusal | None
    parked_keys: int
    # Event types whose mapping changed after it was put, in byte order; also such as it does not
    # read.
    remapped_types: Sequence[str]

    def seconds_left(self, head: int) -> float | None:
        """Seconds until it will have caught up with the head; None: unknown, or it has."""
        if self.rate <= 0 or self.position >= head or self.stopped is not None:
            return None
        return (head - self.position) / self.rate


@dataclass(frozen=True)
class ProjectionRow:
    """A projection with its generations, the oldest first, of which there is at least one."""

    name: str
    # Number of the active one; 0: none.
    active: int
    generations: Sequence[GenerationRow]
    # Of the log.
    head: int
    # With its schema.
    view: str


@dataclass(frozen=True)
class ParkedKeyRow:
    """A key whose events are set aside."""

    key: str
    error: Refusal
    parked_at: datetime
    # Of the first of them.
    position: int
    events: int


@dataclass(frozen=True)
class Claimed:
    """A generation that this process has taken."""

    name: str
    generation: int
    source: str
    fold_source: str | None
    state: int
    generation_no: int
    lease: int
    # Queries see it, but there is no view of it.
    lacks_view: bool

    @property
    def number(self) -> int:
        """What its lease is of."""
        return self.generation_no

    @property
    def label(self) -> str:
        """What logs call it."""
        return f"generation {self.generation} of projection {self.name}"


@dataclass(frozen=True)
class Waiting:
    """What a generation that has caught up waits for before queries see it."""

    switch: int
    # Whether queries see another one.
    has_active: bool
    # Of the last verification; None: there was none.
    keys_differing: int | None


class ProjectionStorage:
    """Projections of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries
        self._query_schema = query_schema(database.queries.schema)

    async def get(self, name: str) -> ProjectionRow | None:
        """The projection; None if there is none of this name."""
        found = self._projections(await self._fetch("projection", name, self._query_schema))
        return found[0] if found else None

    async def page(self, after: str, limit: int) -> list[ProjectionRow]:
        """Projections named above `after`, in byte order."""
        rows = await self._fetch("projections_page", after, self._query_schema, limit)
        return self._projections(rows)

    async def ambiguous_transform(self, categories: Sequence[str]) -> Ambiguity | None:
        """A transform of which both a source and a target are among the categories."""
        return await ambiguous_transform(self._database, categories)

    async def put(
        self, document: Document, switch: int, by: str, basis: int | None = None
    ) -> tuple[str, int]:
        """What became of a put, `created` or `same`, and the number of the generation that has the
        document. `basis`: it is the document of this generation, to be built anew; `moved` if
        that is not the one that was put last.
        """
        [number] = await self._database.write(self._queries["projection_number"])
        table = ProjectionTable(self._queries, number[0], document.compiled, document.sealed)
        [row] = await self._database.write(
            self._queries["put_projection"],
            document.compiled.name,
            number[0],
            document.source,
            document.fold,
            document.fold_revision,
            document.fold_source,
            document.compiled.digest,
            switch,
            by,
            ";\n".join(statement.rstrip("; \n") for statement in table.create()),
            basis,
        )
        return row["outcome"], row["generation"]

    async def replace(
        self, active: GenerationRow, document: Document, switch: int, by: str
    ) -> int | None:
        """Gives the active generation another document; None: it is not the same any more."""
        [row] = await self._database.write(
            self._queries["replace_projection"],
            active.generation_no,
            active.digest,
            document.source,
            document.fold,
            document.fold_revision,
            document.fold_source,
            document.compiled.digest,
            switch,
            by,
        )
        generation: int | None = row["generation"]
        return generation

    async def switch(
        self,
        generation_no: int,
        document: _core.Projection,
        *,
        lease: int | None,
        ahead: bool,
        wait_s: float,
    ) -> str:
        """Lets queries see a generation: `switched`, or why not: `active` already, `gone`,
        `building`, `behind`, `held`, `used`.

        `ahead`: not before it has what the active one has. `lease`: only if that has it still.
        `wait_s`: how long others who read the view may hold it up.
        """
        table = ProjectionTable(self._queries, generation_no, document)
        return await _outcome(
            self._database.write(
                self._queries["switch_projection"],
                generation_no,
                lease,
                ahead,
                self._query_schema,
                table.shown,
                timedelta(seconds=wait_s),
            )
        )

    async def show(self, generation_no: int, document: _core.Projection, *, wait_s: float) -> None:
        """Makes the view of an active generation again."""
        with dropped_is_refused():
            await self._database.write(
                self._queries["show_projection"],
                generation_no,
                self._query_schema,
                ProjectionTable(self._queries, generation_no, document).shown,
                timedelta(seconds=wait_s),
            )

    async def drop(self, name: str, generation: int, *, wait_s: float) -> str:
        """Drops a generation, or with 0 the projection: `dropped`, or why not: `gone`, `active`,
        `held`, `used`.
        """
        return await _outcome(
            self._database.write(
                self._queries["drop_projection"],
                name,
                generation,
                self._query_schema,
                timedelta(seconds=wait_s),
            )
        )

    async def sweep(self, *, wait_s: float) -> int:
        """Drops tables of generations that are gone; how many are left, since they are read."""
        [row] = await self._database.write(
            self._queries["sweep_projections"], self._queries.schema, timedelta(seconds=wait_s)
        )
        return int(row["tables_left"])

    async def parked(self, generation_no: int, after: str, limit: int) -> list[ParkedKeyRow]:
        """Parked keys above `after`, in byte order."""
        rows = await self._fetch("projection_parked_page", generation_no, after, limit)
        return [ParkedKeyRow(**{**row, "error": restored(row["error"])}) for row in rows]

    async def head(self) -> int:
        """Position of the newest event of the log; 0: none."""
        [row] = await self._fetch("log_head")
        return int(row[0])

    async def claim(self, lease_s: float, excepted: Sequence[int]) -> list[Claimed]:
        """Takes some of the generations that nobody has."""
        rows = await self._database.write(
            self._queries["claim_projections"],
            timedelta(seconds=lease_s),
            excepted,
            self._query_schema,
        )
        return [Claimed(**row) for row in rows]

    async def renew(self, leases: dict[int, int], lease_s: float) -> None:
        """Keeps generations, told with their leases, for longer."""
        await self._database.write(
            self._queries["renew_projections"],
            list(leases),
            list(leases.values()),
            timedelta(seconds=lease_s),
        )

    async def release(self, leases: dict[int, int]) -> None:
        """Gives generations back, told with their leases."""
        await self._database.write(
            self._queries["release_projections"], list(leases), list(leases.values())
        )

    async def caught_up(self, generation_no: int, lease: int, document: _core.Projection) -> None:
        """Notes that a generation has caught up with the log, and can be asked."""
        table = ProjectionTable(self._queries, generation_no, document)
        with dropped_is_refused():
            await self._database.write(table.analyze)
        await self._database.write(self._queries["projection_caught_up"], generation_no, lease)

    async def waiting(self, generation_no: int, lease: int) -> Waiting | None:
        """What a generation that has caught up waits for; None: for nothing any more."""
        rows = await self._fetch("projection_waiting", generation_no, lease)
        return Waiting(**rows[0]) if rows else None

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)

    def _projections(self, rows: list[Any]) -> list[ProjectionRow]:
        found = []
        for _, group in groupby(rows, key=lambda row: row["name"]):
            of_one = list(group)
            found.append(
                ProjectionRow(
                    name=of_one[0]["name"],
                    active=next((row["generation"] for row in of_one if row["state"] == 3), 0),
                    generations=[_generation(row) for row in of_one],
                    head=of_one[0]["head"],
                    view=of_one[0]["view"],
                )
            )
        return found


async def _outcome(statement: Awaitable[list[Any]]) -> str:
    """The outcome of a statement that changes a view: `held` if others read it for too long, `used`
    if other objects of the database depend on what would have to go; nothing was done then.
    """
    try:
        [row] = await statement
    except asyncpg.DependentObjectsStillExistError:
        return "used"
    except Refusal as refusal:
        if isinstance(refusal.__cause__, asyncpg.LockNotAvailableError):
            return "held"
        raise
    return str(row["outcome"])


def _generation(row: Any) -> GenerationRow:
    fields = {name: row[name] for name in GenerationRow.__dataclass_fields__}
    stopped = fields["stopped"]
    return replace(GenerationRow(**fields), stopped=None if stopped is None else restored(stopped))
