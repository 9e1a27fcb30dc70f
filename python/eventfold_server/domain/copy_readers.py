"""Consumer groups and projections that a transform concerns: those that nobody could tell any more
whether they get copies, and those that read what is to be cut over.
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass

from eventfold_server.domain.copies import Copies, said_by
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.errors import Refusal
from eventfold_server.limits import LIST_PAGE_SIZE_MAX
from eventfold_server.storage.groups import GroupStorage
from eventfold_server.storage.projections import ProjectionStorage

# As a source: every category that is no target.
WHOLE_LOG = "*"


@dataclass(frozen=True)
class CopyReader:
    """A consumer group, or a generation of a projection."""

    name: str
    # 0: it is a group.
    generation: int
    # Of a generation, as in the proto's GenerationState; 0: it is a group.
    state: int
    # None: it reads the whole log.
    categories: Collection[str] | None
    copies: Copies

    def ambiguous(self, sources: Collection[str], targets: Collection[str]) -> Refusal:
        """Why a transform with both does not start as long as this one says nothing of copies."""
        named = self.categories or ()
        reader = (
            {"projection": self.name, "generation": self.generation}
            if self.generation
            else {"group": self.name}
        )
        return Refusal(
            "COPIES_AMBIGUOUS",
            f"{' '.join(map(str, next(iter(reader.items()))))} reads originals and copies and does "
            "not say whether copies are to be included or excluded",
            source=min(name for name in named if is_source(name, sources, targets)),
            target=min(name for name in named if name in targets),
            **reader,
        )


class CopyReaders:
    """Those of one store."""

    def __init__(
        self, groups: GroupStorage, projections: ProjectionStorage, documents: Documents
    ) -> None:
        self._groups = groups
        self._projections = projections
        self._documents = documents

    async def made_ambiguous(
        self, sources: Collection[str], targets: Collection[str]
    ) -> list[CopyReader]:
        """Those that a transform would make ambiguous; groups, then projections, by name."""
        async with aclosing(self._all()) as readers:
            return [
                reader
                async for reader in readers
                if reader.copies is Copies.UNSPECIFIED
                and is_ambiguous(reader.categories or (), sources, targets)
            ]

    async def refuse_ambiguous(self, sources: Collection[str], targets: Collection[str]) -> None:
        """COPIES_AMBIGUOUS with the first of those, if there is any."""
        if found := await self.made_ambiguous(sources, targets):
            raise found[0].ambiguous(sources, targets)

    async def over(self, sources: Collection[str], targets: Collection[str]) -> list[CopyReader]:
        """Those that name one of the sources, or a stream of one, whatever they say of copies; in
        the same order.
        """
        async with aclosing(self._all()) as readers:
            return [
                reader
                async for reader in readers
                if any(is_source(name, sources, targets) for name in reader.categories or ())
            ]

    async def _all(self) -> AsyncGenerator[CopyReader]:
        after = ""
        while page := await self._groups.page(after, LIST_PAGE_SIZE_MAX):
            for group in page:
                categories, copies = group.spec.categories, Copies(group.spec.copies or 0)
                if group.spec.stream is not None:
                    # It names what it wants: copies or originals, never both.
                    categories, copies = [group.spec.stream.partition("-")[0]], Copies.INCLUDE
                yield CopyReader(group.name, 0, 0, categories, copies)
            after = page[-1].name
        after = ""
        while found := await self._projections.page(after, LIST_PAGE_SIZE_MAX):
            for projection in found:
                for row in projection.generations:
                    document = await self._documents.of(row)
                    yield CopyReader(
                        projection.name,
                        row.generation,
                        row.state,
                        document.categories,
                        said_by(document),
                    )
            after = found[-1].name


def is_ambiguous(
    categories: Collection[str], sources: Collection[str], targets: Collection[str]
) -> bool:
    """Whether both a source and a target of a transform are among the categories."""
    return any(category in targets for category in categories) and any(
        is_source(category, sources, targets) for category in categories
    )


def is_source(category: str, sources: Collection[str], targets: Collection[str]) -> bool:
    """Whether a transform reads a category."""
    return category in sources or (WHOLE_LOG in sources and category not in targets)
