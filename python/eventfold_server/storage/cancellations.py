"""What is cancelled in a stream, for folds that skip it."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Cancellations:
    """The cancellations of a stream, in order."""

    versions: Sequence[int] = ()
    # What they cancel.
    ids: Sequence[UUID] = ()

    def up_to(self, version: int) -> tuple[UUID, ...]:
        """What those cancel that have at most this version."""
        return tuple(self.ids[: bisect_right(self.versions, version)])

    def any_between(self, version: int, last: int) -> bool:
        """Whether there is one behind the one version and up to the other."""
        return bisect_right(self.versions, version) < bisect_right(self.versions, last)
