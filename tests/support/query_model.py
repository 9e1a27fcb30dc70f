"""A model of filters and orders: what queries of projections mean, in plain Python.

Filters are drawn with the function that says of which rows they are true.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from hypothesis import strategies as st

# The values of a row as Python has them; None: it has none.
Row = Mapping[str, Any]
Predicate = Callable[[Row], bool]


@dataclass(frozen=True)
class Filter:
    """A filter and its meaning."""

    text: str
    passes: Predicate

    def __repr__(self) -> str:
        return self.text


LAYOUT: list[tuple[str, str]] = [
    ("t", "text"),
    ("s", "text"),
    ("b", "boolean"),
    ("i", "integer"),
    ("g", "bigint"),
    ("n", "numeric"),
    ("m", "numeric(10,2)"),
    ("f", "double precision"),
    ("d", "date"),
    ("z", "timestamptz"),
    ("u", "uuid"),
    ("j", "jsonb"),
    ("a", "text[]"),
]

# What is special in SQL, in patterns, in UTF-8's order, and at the edge of types.
TEXTS = ["", "a", "A", "ab", "a'b", 'a"b', "%", "_", "\\", "é", "\ud7ff", "\U0001f600", "ab; --"]
INTEGERS = [-(2**31), -1, 0, 1, 2, 2**31 - 1]
BIGINTS = [-(2**63), -1, 0, 1, 2, 2**31, 2**63 - 1]
NUMERICS = [Decimal(x) for x in ("-1.5", "0", "0.1", "1", "1.50", "2", "1e25", "9007199254740993")]
MONEY = [Decimal(x) for x in ("-0.01", "0.00", "1.50", "2.00", "99999999.99")]
DOUBLES = [-1.5, 0.0, 0.1, 1.0, 1e300, 5e-324, 9007199254740992.0]
DATES = [date(1, 1, 1), date(2006, 2, 28), date(2024, 2, 29), date(9999, 12, 31)]
TIMES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 30, 0, 120000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
UUIDS = [f"{x}0000000-0000-4000-8000-00000000000{x}" for x in "0a9f"]
LISTS = [[], ["a"], ["a", "ab"], ["a'b", "%"]]
POOLS: dict[str, list[Any]] = {
    "t": TEXTS,
    "s": TEXTS,
    "b": [True, False],
    "i": INTEGERS,
    "g": BIGINTS,
    "n": NUMERICS,
    "m": MONEY,
    "f": DOUBLES,
    "d": DATES,
    "z": TIMES,
    "u": UUIDS,
    "j": [{"x": 1}],
    "a": LISTS,
}
NUMBERS = ("i", "g", "n", "m")
ORDERED = "tsbigndzumf"


def literal(column: str, value: Any) -> str:
    """The value as a filter writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Decimal() if value == value.to_integral_value() and abs(value) < 2**63:
            return str(int(value))
        case Decimal():
            return f"decimal('{value}')"
        case date() | datetime():
            return f"'{stored(value)}'"
        case float() if abs(value) > 2**52:
            # No literal has so many digits.
            return f"decimal('{value!r}')"
    return repr(value)


def stored(value: Any) -> str | None:
    """The value as a text that PostgreSQL casts."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case datetime():
            text = f"{value:%H:%M:%S}"
            fraction = f".{value:%f}".rstrip("0").rstrip(".")
            return f"{value.date().isoformat()}T{text}{fraction}Z"
        case date():
            return value.isoformat()
        case list():
            return "{" + ",".join(json.dumps(item) for item in value) + "}"
        case dict():
            return json.dumps(value)
    return str(value)


def _compare(left: Any, right: Any) -> int:
    if isinstance(left, str):
        left, right = left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass")
    return (left > right) - (left < right)


OPERATORS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def related(left: Any, operator: str, right: Any) -> bool:
    """What a comparison says: a missing value is equal to null alone, and has no place in an
    order.
    """
    if operator in ("==", "!="):
        equal = left is right if left is None or right is None else _compare(left, right) == 0
        return equal == (operator == "==")
    if left is None or right is None:
        return False
    return OPERATORS[operator](_compare(left, right))


def _operators(column: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["==", "!="] if column == "b" else ["==", "!=", *OPERATORS])


@st.composite
def _with_value(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(ORDERED))
    # Numbers meet those of wider types too.
    pool = NUMBERS if column in NUMBERS else (column,)
    value = draw(st.sampled_from([x for name in pool for x in POOLS[name]]))
    operator = draw(_operators(column))
    text = literal(column, value)
    if draw(st.booleans()):
        return Filter(
            f"{column} {operator} {text}", lambda row: related(row[column], operator, value)
        )
    return Filter(f"{text} {operator} {column}", lambda row: related(value, operator, row[column]))


@st.composite
def _with_null(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from([name for name, _ in LAYOUT]))
    operator = draw(st.sampled_from(["==", "!="]))
    return Filter(f"{column} {operator} null", lambda row: related(row[column], operator, None))


@st.composite
def _of_columns(draw: st.DrawFn) -> Filter:
    left, right = draw(
        st.sampled_from([("t", "s"), ("i", "g"), ("n", "i"), ("m", "n"), ("d", "d")])
    )
    operator = draw(_operators(left))
    return Filter(
        f"{left} {operator} {right}", lambda row: related(row[left], operator, row[right])
    )


@st.composite
def _within(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(ORDERED))
    pool = NUMBERS if column in NUMBERS else (column,)
    values = draw(
        st.lists(st.sampled_from([None, *(x for name in pool for x in POOLS[name])]), max_size=4)
    )
    text = ", ".join(literal(column, value) for value in values)
    return Filter(
        f"{column} in [{text}]",
        lambda row: any(related(row[column], "==", value) for value in values),
    )


@st.composite
def _other(draw: st.DrawFn) -> Filter:
    text = draw(st.sampled_from(TEXTS))
    written = literal("t", text)
    return draw(
        st.sampled_from(
            [
                Filter("b", lambda row: row["b"] is True),
                Filter("true", lambda row: True),
                Filter("false", lambda row: False),
                Filter(
                    f"t.startsWith({written})",
                    lambda row: row["t"] is not None and row["t"].startswith(text),
                ),
                Filter(f"{written} in a", lambda row: row["a"] is not None and text in row["a"]),
                Filter(
                    "t in a",
                    lambda row: None not in (row["a"], row["t"]) and row["t"] in row["a"],
                ),
            ]
        )
    )


def _combined(parts: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    def negated(one: Filter) -> Filter:
        return Filter(f"!({one.text})", lambda row: not one.passes(row))

    def joined(operands: list[Filter], operator: str) -> Filter:
        holds = all if operator == "&&" else any
        text = f" {operator} ".join(f"({one.text})" for one in operands)
        return Filter(text, lambda row: holds([one.passes(row) for one in operands]))

    several = st.lists(parts, min_size=2, max_size=3)
    return st.builds(negated, parts) | st.builds(joined, several, st.sampled_from(["&&", "||"]))


def filters() -> st.SearchStrategy[Filter]:
    """Filters of all kinds, up to a few levels deep."""
    atoms = st.one_of(_with_value(), _with_null(), _of_columns(), _within(), _other())
    return st.recursive(atoms, _combined, max_leaves=8)


def orders() -> st.SearchStrategy[list[tuple[str, bool]]]:
    """Orders of up to three columns, in either direction."""
    names = st.sampled_from([*ORDERED, "key", "version", "position"])
    return st.lists(st.tuples(names, st.booleans()), max_size=3, unique_by=lambda one: one[0])


def rows(keys: Sequence[str]) -> st.SearchStrategy[list[Row]]:
    """A row for each key, with values from the pools and without."""
    values = {name: st.none() | st.sampled_from(POOLS[name]) for name, _ in LAYOUT}
    row = st.fixed_dictionaries(values)
    return st.tuples(*(row for _ in keys)).map(
        lambda found: [
            {**one, "key": key, "version": 1, "position": n}
            for n, (key, one) in enumerate(zip(keys, found, strict=True), 1)
        ]
    )


def in_order(listed: list[Row], order: list[tuple[str, bool]]) -> list[str]:
    """Keys of the rows in the order; those without a value come last, the key decides at last."""

    def compare(left: Row, right: Row) -> int:
        for column, descending in [*order, ("key", False)]:
            mine, other = left[column], right[column]
            if mine is None or other is None:
                by_value = (mine is None) - (other is None)
            else:
                by_value = -_compare(mine, other) if descending else _compare(mine, other)
            if by_value:
                return by_value
        return 0

    return [row["key"] for row in sorted(listed, key=cmp_to_key(compare))]
