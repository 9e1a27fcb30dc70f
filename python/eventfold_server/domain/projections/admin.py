"""Registering, showing, rebuilding, switching and dropping projections."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from eventfold_server import failpoints, limits
from eventfold_server.domain import requests
from eventfold_server.domain.copies import refuse_ambiguous_document
from eventfold_server.domain.projections.documents import Documents, personal_column
from eventfold_server.domain.projections.remapped import of_types_read
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.projections import (
    Document,
    GenerationRow,
    ParkedKeyRow,
    ProjectionRow,
    ProjectionStorage,
)
from eventfold_server.storage.projector import Projector

log = logging.getLogger(__name__)

# What the domain knows of a projection, a generation and a parked key is their rows.
Projection = ProjectionRow
Generation = GenerationRow
ParkedKey = ParkedKeyRow

# Numbers of the proto's GenerationState.
BUILDING, READY, ACTIVE, STANDBY = 1, 2, 3, 4
# Of its ProjectionSwitch.
WHEN_VERIFIED, WHEN_CAUGHT_UP, BY_HAND = 1, 2, 3

# Between two attempts of a call, and how many of them insist that nobody goes back in time.
_PAUSE_S = 0.1
_ATTEMPTS_AHEAD = 5


class ProjectionAdmin:
    """The projections of one store."""

    def __init__(
        self,
        storage: ProjectionStorage,
        documents: Documents,
        projector: Projector | None = None,
    ) -> None:
        """Without a projector nothing is known to be personal."""
        self._storage = storage
        self._documents = documents
        self._projector = projector

    async def put(
        self, caller: Caller, source: str, switch: int, *, in_place: bool
    ) -> tuple[Projection, int, bool]:
        """The projection, the number of the generation that has the document, and whether that is
        new.
        """
        document = await self._sealing(await self._documents.read(source))
        await refuse_ambiguous_document(self._storage.ambiguous_transform, document.compiled)
        generation = None
        if in_place:
            generation = await self._replace(caller, document, switch)
        created = False
        if generation is None:
            outcome, generation = await self._storage.put(document, switch, caller.writer)
            created = outcome == "created"
        if created:
            failpoints.reach("generation_made")
        await self._sweep()
        return await self.get(document.compiled.name), generation, created

    async def get(self, name: str) -> Projection:
        """The projection."""
        found = await self._storage.get(requests.text("name", name))
        if found is None:
            raise no_projection(name)
        return await of_types_read(found, self._documents)

    async def page(self, after: str, limit: int) -> list[Projection]:
        """Projections named above `after`, in byte order."""
        return [
            await of_types_read(one, self._documents)
            for one in await self._storage.page(after, limit)
        ]

    async def rebuild(self, caller: Caller, name: str, switch: int) -> tuple[Projection, int]:
        """The projection with a new generation, and the number of that."""
        outcome = "moved"
        while outcome == "moved":
            generations = (await self.get(name)).generations
            last = max(generations, key=lambda one: (one.put_at, one.generation))
            document = await self._sealing(await self._documents.read(last.source))
            await refuse_ambiguous_document(self._storage.ambiguous_transform, document.compiled)
            outcome, generation = await self._storage.put(
                document, switch, caller.writer, last.generation_no
            )
        failpoints.reach("generation_made")
        await self._sweep()
        return await self.get(name), generation

    async def switch(self, name: str, generation: int) -> Projection:
        """Lets queries see another generation; the projection after that."""
        requests.at_least("generation", generation, 0)
        found = await self.get(name)
        wanted = chosen(found, generation) if generation else found.generations[-1]
        document = await self._documents.of(wanted)

        async def attempt(number: int, wait_s: float) -> str:
            failpoints.reach("before_switch")
            # A generation that stopped never gets what the active one has.
            ahead = number < _ATTEMPTS_AHEAD and wanted.stopped is None
            return await self._storage.switch(
                wanted.generation_no, document, lease=None, ahead=ahead, wait_s=wait_s
            )

        match await _repeated(attempt):
            case "switched":
                failpoints.reach("after_switch")
            case "gone":
                raise no_projection(name, wanted.generation)
            case "building":
                raise not_ready(found, wanted)
            case "held" | "used" as outcome:
                raise _in_use(name, wanted.generation, outcome)
        await self._sweep()
        return await self.get(name)

    async def drop(self, name: str, generation: int) -> None:
        """Drops a generation, or with 0 the projection."""
        requests.text("name", name)
        requests.at_least("generation", generation, 0)
        match await _repeated(
            lambda _, wait_s: self._storage.drop(name, generation, wait_s=wait_s)
        ):
            case "gone":
                raise no_projection(name, generation)
            case "active":
                raise Refusal(
                    "PROJECTION_IN_USE",
                    "queries see the generation",
                    projection=name,
                    generation=generation,
                )
            case "held" | "used" as outcome:
                raise _in_use(name, generation, outcome)
        failpoints.reach("dropped")
        await self._sweep()

    async def parked(
        self, name: str, generation: int, after: str, limit: int
    ) -> Sequence[ParkedKey]:
        """Parked keys of a generation above `after`, in byte order."""
        wanted = shown(await self.get(name), generation)
        return await self._storage.parked(wanted.generation_no, after, limit)

    async def _sealing(self, document: Document) -> Document:
        """The document with the columns that have to be sealed; PERSONAL_COLUMN where they cannot
        be, PERSONAL_KEY.
        """
        if self._projector is None:
            return document
        marks = await self._projector.newest_marks(document.compiled)
        indexed = {name for index in document.compiled.indexes for name in index}
        refused = ["key"] if marks.key else [name for name in marks.columns if name in indexed]
        if refused:
            raise personal_column(document.compiled.name, refused[0])
        return replace(document, sealed=marks.columns)

    async def _replace(self, caller: Caller, document: Document, switch: int) -> int | None:
        """Number of the active generation, with another document; None: it has this one."""
        generation = None
        while generation is None:
            found = await self._storage.get(document.compiled.name)
            if found is None or not found.active:
                raise requests.invalid("in_place", "no generation of the projection is active")
            active = chosen(found, found.active)
            if active.digest == document.compiled.digest:
                return None
            if not document.compiled.compatible_with(await self._documents.of(active)):
                raise requests.invalid(
                    "in_place", "source, key, columns and indexes must be the same"
                )
            generation = await self._storage.replace(active, document, switch, caller.writer)
        return generation

    async def _sweep(self) -> None:
        """Drops tables that nobody needs; the runner does so too, so that it may fail."""
        try:
            await self._storage.sweep(wait_s=limits.PROJECTION_VIEW_WAIT_S_MIN)
        except Refusal as refusal:
            log.debug("tables of projections were not swept: %s", refusal.reason)


async def _repeated(attempt: Callable[[int, float], Awaitable[str]]) -> str:
    """The outcome of what is tried again while others hold it up."""
    wait_s = limits.PROJECTION_VIEW_WAIT_S_MIN
    outcome = ""
    for number in range(limits.PROJECTION_VIEW_ATTEMPTS_MAX):
        outcome = await attempt(number, wait_s)
        if outcome not in ("held", "behind"):
            break
        if outcome == "held":
            wait_s = min(2 * wait_s, limits.PROJECTION_VIEW_WAIT_S_MAX)
        await asyncio.sleep(_PAUSE_S)
    return outcome


def chosen(projection: Projection, generation: int) -> Generation:
    """The generation with a number."""
    for one in projection.generations:
        if one.generation == generation:
            return one
    raise no_projection(projection.name, generation)


def shown(projection: Projection, generation: int) -> Generation:
    """The generation with a number; 0: the active one, or the newest if none is active."""
    requests.at_least("generation", generation, 0)
    if generation or projection.active:
        return chosen(projection, generation or projection.active)
    return projection.generations[-1]


def no_projection(name: str, generation: int = 0) -> Refusal:
    """The refusal for a projection or a generation that does not exist, or no more."""
    return Refusal(
        "PROJECTION_NOT_FOUND",
        "the projection has no such generation" if generation else "there is no such projection",
        projection=name,
        generation=generation or None,
    )


def not_ready(projection: Projection, generation: Generation) -> Refusal:
    """The refusal for a generation that has not caught up."""
    return Refusal(
        "PROJECTION_NOT_READY",
        f"generation {generation.generation} has not caught up with the log yet",
        projection=projection.name,
        generation=generation.generation,
        position=generation.position,
        head=projection.head,
    )


def _in_use(name: str, generation: int, outcome: str) -> Refusal:
    how = "somebody reads it for long" if outcome == "held" else "other objects depend on it"
    return Refusal(
        "PROJECTION_IN_USE",
        f"the view of the projection cannot be changed: {how}",
        projection=name,
        generation=generation or None,
    )
