"""The part of the Rust core that filters pages of events; not a module of its own:
`eventfold._core` has all of it.
"""

from collections.abc import Sequence
from typing import Self, final

from eventfold._core import Batch, CoreError

@final
class Filter:
    """A compiled filter; immutable, and free to be used from many threads."""

    def __new__(
        cls,
        *,
        stream: str | None = None,
        categories: Sequence[str] = (),
        types: Sequence[str] = (),
        tags: Sequence[str] = (),
        with_system: bool = False,
        with_copies: bool = False,
        condition: str | None = None,
    ) -> Self:
        """Compile a filter. What is empty or None demands nothing.

        Args:
            stream: The stream; then `with_system` says nothing.
            categories: Categories, one of which the stream must have.
            types: Types, one of which the event must have.
            tags: Tags, all of which the event must have.
            with_system: Whether streams whose name starts with `$` pass.
            with_copies: Whether copies pass.
            condition: A CEL expression over `event` and `meta` that must be true.

        Raises:
            CoreError: INVALID_EXPRESSION, EXPRESSION_TOO_LONG, EXPRESSION_TOO_DEEP.
        """
    def reads(self, names: Sequence[str]) -> list[str]:
        """Those of some fields at the top of the data that the condition reads; `*` stands for any
        field.
        """
    def select(
        self, batch: Batch, first: int, *, stream: str | None = None, steps_max: int
    ) -> Selection:
        """Say what passes of a page, from a row on.

        Args:
            batch: The page.
            first: Index of the row to begin with.
            stream: Name of the stream, for pages that leave it out.
            steps_max: Evaluation steps of the condition after which to stop early.
        """

@final
class Selection:
    """What passed of a page."""

    @property
    def encoded(self) -> bytes:
        """The events as field 1 of a message."""
    @property
    def rows(self) -> int:
        """Number of events."""
    @property
    def positions(self) -> list[int]:
        """Positions of the events."""
    @property
    def next(self) -> int:
        """Index of the first row that was not looked at."""
    @property
    def position(self) -> int:
        """Position of the last row that was looked at; 0: none was."""
    @property
    def failure(self) -> CoreError | None:
        """Why the row at `next` cannot be told: FILTER_FAILED, EVENT_CORRUPT."""
