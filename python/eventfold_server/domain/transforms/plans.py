"""What a transform meets in its store: others that it would run in a circle with, and readers of
its sources, which a cut-over does not switch by itself.
"""

from dataclasses import dataclass

from eventfold_server.domain.copy_readers import CopyReaders
from eventfold_server.domain.transforms.documents import Document, compiled
from eventfold_server.errors import Refusal
from eventfold_server.storage.transforms import TransformRow, TransformStorage


@dataclass(frozen=True)
class Plan:
    """What is to be done along with a cut-over; see the proto."""

    projections: list[str]
    groups: list[str]
    successors: int
    without_successor: int


class Planner:
    """Knows who reads what."""

    def __init__(self, storage: TransformStorage, readers: CopyReaders) -> None:
        self._storage = storage
        self.readers = readers

    async def plan(self, transform: TransformRow) -> Plan:
        """The plan for a transform."""
        document = await compiled(transform.source)
        # Those of all the log leave copies out, so that nothing changes for them.
        over = await self.readers.over(document.read_categories, document.into)
        # A projection with several generations is there once.
        projections = dict.fromkeys(one.name for one in over if one.generation)
        successors = await self._storage.pairs_count(transform.transform_no)
        return Plan(
            list(projections),
            [one.name for one in over if not one.generation],
            successors,
            transform.sources - successors,
        )


async def refusal_of_circle(
    storage: TransformStorage, document: Document, but: int = 0
) -> Refusal | None:
    """Why a transform would read what it writes, by itself or by way of others under way, without
    an end. `but`: its number, if it has one.
    """
    categories = sorted(document.transform.categories or ())
    category = await storage.circle(categories, sorted(document.into), but)
    if category is None:
        return None
    return Refusal(
        "TRANSFORM_INTO_SOURCE",
        "the transform would write into a category that it reads"
        + ("" if category in document.into else ", by way of transforms that are under way"),
        category=category,
    )
