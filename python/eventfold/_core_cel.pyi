"""Expressions alone: what `eventfold._core` re-exports of them."""

from collections.abc import Sequence
from typing import Any, Self, final

@final
class CelProgram:
    """A compiled expression; immutable, and free to be used from many threads."""

    def __new__(cls, expression: str, variables: Sequence[str] | None = None) -> Self:
        """Parse and compile an expression.

        Args:
            expression: At most 4 KiB.
            variables: The names that it may use; None: whatever it uses.

        Raises:
            CoreError: EXPRESSION_INVALID, EXPRESSION_TOO_LONG, EXPRESSION_TOO_DEEP, with the facts
                `line`, `column`, `offset` (in bytes) and `excerpt`.
        """
    @property
    def variables(self) -> list[str]:
        """The variables that the expression uses, in the order of their declaration."""
    def evaluate(self, variables: dict[str, Any]) -> Any:
        """Return the value of the expression; `eventfold.cel` says what stands for what.

        Raises:
            CoreError: EVALUATION_FAILED, NUMBER_RANGE, EVALUATION_LIMIT, with the fact `offset` (in
                bytes) where it is known; INVALID_VALUE for what has no form on the other side.
        """
