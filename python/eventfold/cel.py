"""Expressions of folds, on values of Python: CEL with exact numbers.

    >>> from decimal import Decimal
    >>> from eventfold import cel
    >>> cel.evaluate("amount * 3 > limit", {"amount": Decimal("0.1"), "limit": 0})
    True

The core is the one that folds. What stands for what, in both directions:

| Python | CEL |
| --- | --- |
| `None`, `bool`, `str`, `bytes` | null, bool, string, bytes |
| `int` | int; beyond 64 bits decimal, which comes back as `Decimal` |
| `UInt` | uint |
| `float`, `Decimal` | double, decimal |
| `list`, also `tuple` | list |
| `dict`, also other mappings | map; keys are `str`, `int`, `UInt` or `bool` |
| `datetime` with a time zone | timestamp; comes back in UTC, without its part below a microsecond |
| `timedelta` | duration; comes back without its part below a microsecond |
| `Optional`, `Type` | optional, type |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from eventfold import _core
from eventfold._errors import EventfoldError, InvalidValue

__all__ = [
    "EvaluationFailed",
    "InvalidExpression",
    "Optional",
    "Program",
    "Type",
    "UInt",
    "compile",
    "evaluate",
]


class UInt(int):
    """An unsigned integer of 64 bits, `1u` in expressions; else an `int`.

    Raises:
        ValueError: it is negative, or has more than 64 bits.
    """

    __slots__ = ()

    def __new__(cls, value: Any = 0) -> Self:
        """Makes one of whatever `int` takes."""
        made = super().__new__(cls, value)
        if not 0 <= made < 1 << 64:
            raise ValueError(f"{int(made)} is no uint: it takes 0 to 2**64 - 1")
        return made

    def __repr__(self) -> str:
        return f"UInt({int(self)})"

    __str__ = int.__repr__


class Optional:
    """A value that may be absent: `optional.of(1)`, `optional.none()`, `map.?key`."""

    __slots__ = ("_value", "present")

    present: bool
    """Whether there is a value."""

    def __init__(self) -> None:
        self.present = False
        self._value: Any = None

    @classmethod
    def of(cls, value: Any) -> "Optional":
        """An optional that holds a value."""
        made = cls()
        made.present = True
        made._value = value
        return made

    @classmethod
    def none(cls) -> "Optional":
        """An optional that holds nothing."""
        return cls()

    @property
    def value(self) -> Any:
        """The value.

        Raises:
            LookupError: there is none.
        """
        if not self.present:
            raise LookupError("the optional holds nothing")
        return self._value

    def or_value(self, default: Any) -> Any:
        """The value, or `default` if there is none."""
        return self._value if self.present else default

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Optional):
            return NotImplemented
        return (self.present, self._value) == (other.present, other._value)

    def __hash__(self) -> int:
        return hash((self.present, self._value))

    def __repr__(self) -> str:
        return f"Optional.of({self._value!r})" if self.present else "Optional.none()"


@dataclass(frozen=True, slots=True)
class Type:
    """A type, as the function `type` gives it.

    Attributes:
        name: such as `int`, `decimal` or `google.protobuf.Timestamp`.
    """

    name: str


class _ExpressionError(EventfoldError, ValueError):
    """An error at a place of an expression."""

    code = "INVALID_ARGUMENT"

    @property
    def offset(self) -> int | None:
        """Index in the expression at which the trouble begins."""
        return self._number("offset")


class InvalidExpression(_ExpressionError):
    """The expression does not compile.

    `str()` of it shows the place. `reason` is `EXPRESSION_INVALID`, `EXPRESSION_TOO_LONG` or
    `EXPRESSION_TOO_DEEP`.
    """

    reason = "EXPRESSION_INVALID"

    @property
    def line(self) -> int | None:
        """Line of the expression, from 1."""
        return self._number("line")

    @property
    def column(self) -> int | None:
        """Column in that line in characters, from 1."""
        return self._number("column")

    @property
    def excerpt(self) -> str | None:
        """The line, and below it carets under the place."""
        return self._text("excerpt")

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})\n{self.excerpt}"
        return super().__str__() + (place if self.excerpt else "")


class EvaluationFailed(_ExpressionError):
    """The expression has no value for these variables.

    `reason` is `EVALUATION_FAILED`, `NUMBER_RANGE` (more than 28 digits) or `EVALUATION_LIMIT` (too
    many steps, or too large a value). The message names types, never values.
    """

    reason = "EVALUATION_FAILED"


class Program:
    """A compiled expression; made by `compile`, and free to be used from many threads.

    Attributes:
        expression: its text.
        variables: the variables that it uses, in byte order.
    """

    __slots__ = ("_program", "expression", "variables")

    def __init__(self, expression: str, variables: Iterable[str] | None = None) -> None:
        names = None if variables is None else sorted(set(variables))
        try:
            self._program = _core.CelProgram(expression, names)
        except _core.CoreError as error:
            raise _error_of(InvalidExpression, error, expression) from None
        self.expression = expression
        self.variables = tuple(self._program.variables)

    def evaluate(self, variables: Mapping[str, Any] | None = None) -> Any:
        """The value of the expression.

        Args:
            variables: values by name. Those that the expression does not use are not looked at;
                one that it uses and that is missing fails when its turn comes: `true || x` is
                true without `x`.

        Raises:
            EvaluationFailed: there is no value.
            InvalidValue: a variable is nothing that an expression knows, or the value is nothing
                that Python knows (a map with the keys `1` and `true`).
        """
        try:
            return self._program.evaluate(dict(variables or {}))
        except _core.CoreError as error:
            raise _error_of(EvaluationFailed, error, self.expression) from None

    def __repr__(self) -> str:
        return f"<Program {self.expression!r}>"


def compile(  # noqa: A001 - `re` and `ast` have a word of that name too
    expression: str, variables: Iterable[str] | None = None
) -> Program:
    """Compiles an expression, to be evaluated many times.

    Args:
        expression: at most 4 KiB.
        variables: the names that the expression may use. Default: whatever it uses.

    Raises:
        InvalidExpression: it is no expression, or calls a function that there is not, or uses a
            name that is not among `variables`.
    """
    return Program(expression, variables)


def evaluate(expression: str, variables: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression; `compile` it to evaluate it many times.

    Args:
        expression: at most 4 KiB.
        variables: values by name.

    Raises:
        InvalidExpression: it is no expression, or uses a name that is not among `variables`.
        EvaluationFailed: there is no value for these variables.
        InvalidValue: see `Program.evaluate`.
    """
    return Program(expression, variables or {}).evaluate(variables)


def _error_of(
    cls: type[_ExpressionError], error: _core.CoreError, expression: str
) -> EventfoldError:
    if error.reason == "INVALID_VALUE":
        return InvalidValue(error.message, {"problem": error.message})
    facts = dict(error.facts)
    if "offset" in facts:
        # The core counts bytes.
        before = expression.encode()[: int(facts["offset"])]
        facts["offset"] = str(len(before.decode(errors="ignore")))
    code = "INTERNAL" if error.reason == "BUG" else None
    return cls._make(error.message, facts, error.reason, code)
