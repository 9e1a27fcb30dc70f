"""The part of the Rust core that makes SQL of queries of projections; not a module of its own:
`eventfold._core` has all of it.
"""

from collections.abc import Sequence
from typing import Self, final

@final
class ProjectionQuery:
    """The parts of the statement that answers a query.

    Names in them are those of the document, quoted; whatever a caller wrote is a parameter.
    """

    def __new__(
        cls,
        table: Sequence[tuple[str, str]],
        *,
        filter: str,
        order: Sequence[tuple[str, bool]] = (),
        columns: Sequence[str] = (),
        after: Sequence[str | None] | None = None,
        now_us: int,
        first_parameter: int,
        sealed: Sequence[str] = (),
    ) -> Self:
        """Compile a query.

        Args:
            table: Name and type of the columns of the document, as `Projection.columns` has them.
            filter: An expression that must be true of a row; empty: all rows.
            order: Names of columns, and whether from the largest value to the smallest.
            columns: Names of the columns to return; empty: all.
            after: The place of the row behind which rows begin; None: with the first.
            now_us: What `now` is, in microseconds since 1970.
            first_parameter: Number of the first parameter.
            sealed: Names of the columns whose values are sealed.

        Raises:
            CoreError: INVALID_EXPRESSION, EXPRESSION_TOO_LONG, EXPRESSION_TOO_DEEP; PERSONAL_COLUMN
                for a filter or an order by one that is sealed; INVALID_REQUEST with `field`
                `order`, `columns` or `page_token`.
        """
    @property
    def condition(self) -> str:
        """What must be true of a row."""
    @property
    def branches(self) -> list[tuple[str, str]]:
        """Condition and order of parts of the rows, all of one before those of the next."""
    @property
    def names(self) -> list[str]:
        """The columns of the document that the parts read, quoted."""
    @property
    def json(self) -> str:
        """JSON text of a row `u`."""
    @property
    def bytes(self) -> str:
        """About as many bytes as that has, told without reading long values."""
    @property
    def place(self) -> str:
        """The place of a row `u` in the order: an array of texts."""
    @property
    def parameters(self) -> list[str | list[str]]:
        """What the parts refer to as `$n`, from the first parameter on."""
