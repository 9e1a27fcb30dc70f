"""Generations that have read events before the mapping of their type changed."""

from dataclasses import dataclass, replace

from eventfold import _core
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.limits import LIST_PAGE_SIZE_MAX
from eventfold_server.storage.projections import ProjectionRow, ProjectionStorage


@dataclass(frozen=True)
class StaleGeneration:
    """A generation that should be rebuilt."""

    projection: str
    generation: int


class Remapped:
    """Finds such generations among the projections of one store."""

    def __init__(self, storage: ProjectionStorage, documents: Documents) -> None:
        self._storage = storage
        self._documents = documents

    async def stale(self, event_type: str, *, if_put: bool = False) -> list[StaleGeneration]:
        """Generations that read events of the type and were put before its mapping changed last,
        by their projections in byte order. `if_put`: if it changed now, which are all that read it.
        """
        found: list[StaleGeneration] = []
        after = ""
        while True:
            projections = await self._storage.page(after, LIST_PAGE_SIZE_MAX)
            for projection in projections:
                for row in projection.generations:
                    if (if_put or event_type in row.remapped_types) and _reads(
                        await self._documents.of(row), event_type
                    ):
                        found.append(StaleGeneration(projection.name, row.generation))
            if len(projections) < LIST_PAGE_SIZE_MAX:
                return found
            after = projections[-1].name


async def of_types_read(projection: ProjectionRow, documents: Documents) -> ProjectionRow:
    """The projection with remapped types that its generations read, and no others."""
    if not any(row.remapped_types for row in projection.generations):
        return projection
    generations = []
    for row in projection.generations:
        types = row.remapped_types
        if types:
            document = await documents.of(row)
            types = [type_ for type_ in types if _reads(document, type_)]
        generations.append(replace(row, remapped_types=types))
    return replace(projection, generations=generations)


def _reads(document: _core.Projection, event_type: str) -> bool:
    """Whether its rows may be of events of the type: one that resolves may meet events of any."""
    return document.resolves or event_type in document.types
