"""Documents of folds and events for the models, drawn by Hypothesis."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st
from tests.support.fold_model import ERASED, WITHHELD, Expr, lets_named, path_text

NAMES = ["a", "b", "m", "l"]
FIELDS = ["x", "y", "key"]
LETS = ["first", "second"]

LEAVES = st.one_of(
    st.tuples(st.just("literal"), st.sampled_from([0, 1, 2, "s", "", True, False, None])),
    st.tuples(st.just("decimal"), st.sampled_from(["0.1", "1.50", "-2.25"])),
    st.tuples(st.just("event"), st.sampled_from(FIELDS)),
    st.tuples(st.just("state"), st.sampled_from(NAMES)),
    st.tuples(st.just("has"), st.sampled_from(FIELDS)),
    st.tuples(st.just("size"), st.sampled_from(NAMES)),
    st.tuples(st.just("let"), st.sampled_from(LETS)),
    st.just(("version",)),
)
EXPRESSIONS: st.SearchStrategy[Expr] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "==", "<"]), inner, inner),
        st.tuples(st.just("+"), st.just(("state", "l")), st.tuples(st.just("list"), inner)),
        st.tuples(st.just("if"), inner, inner, inner),
        st.tuples(st.just("maybe"), st.sampled_from(FIELDS), inner),
        st.tuples(st.just("list"), inner),
        st.tuples(st.just("map"), inner),
    ),
    max_leaves=6,
)
PATHS = st.lists(
    st.one_of(st.sampled_from(NAMES), st.tuples(st.just("event"), st.sampled_from(FIELDS))),
    min_size=1,
    max_size=3,
).filter(lambda path: isinstance(path[0], str) or len(path) == 1)
OPTIONALS = st.one_of(
    st.just(("none",)),
    st.tuples(st.just("some"), EXPRESSIONS),
    st.tuples(st.just("optional"), st.sampled_from(FIELDS)),
)
ASSIGNMENTS = st.lists(
    st.tuples(PATHS, st.one_of(EXPRESSIONS, EXPRESSIONS, OPTIONALS)),
    max_size=3,
    unique_by=lambda pair: path_text(pair[0]),
)
CONDITIONS = st.one_of(
    st.tuples(st.just("has"), st.sampled_from(FIELDS)),
    st.tuples(st.sampled_from(["==", "<"]), EXPRESSIONS, EXPRESSIONS),
    st.tuples(st.just("event"), st.sampled_from(FIELDS)),
)
CASES = st.fixed_dictionaries(
    {
        "when": st.one_of(st.none(), st.none(), CONDITIONS),
        "assign": st.one_of(ASSIGNMENTS, ASSIGNMENTS, ASSIGNMENTS, st.none()),
    }
)
HANDLERS = st.fixed_dictionaries(
    {"A": st.lists(CASES, min_size=1, max_size=2), "B": st.lists(CASES, max_size=2)}
)
VALUES = st.recursive(
    st.sampled_from([0, 1, 7, -3, Decimal("0.10"), Decimal("2.5"), "a", "l", "", True, None]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["k", "7"]), inner)
    ),
    max_leaves=4,
)
SMALL = st.sampled_from([0, 1, Decimal("0.10"), 7, -3])
DATA = st.one_of(
    st.fixed_dictionaries({"x": SMALL, "y": VALUES, "key": st.sampled_from(["k", "l", 1, "7"])}),
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
)
# The same with values that are absent, here and there.
GONE = st.sampled_from([ERASED, ERASED, WITHHELD])
GONE_VALUES = st.one_of(
    GONE,
    VALUES,
    st.lists(st.one_of(GONE, SMALL), max_size=3),
    st.dictionaries(st.sampled_from(["k", "7"]), st.one_of(GONE, SMALL)),
)
GONE_DATA = st.one_of(
    st.fixed_dictionaries(
        {
            "x": st.one_of(GONE, SMALL),
            "y": GONE_VALUES,
            "key": st.one_of(GONE, st.sampled_from(["k", "l", 1, "7"])),
        }
    ),
    st.dictionaries(st.sampled_from(FIELDS), GONE_VALUES),
)
GONE_EVENTS = st.lists(
    st.tuples(st.sampled_from(["A", "A", "B", "C"]), GONE_DATA), min_size=1, max_size=8
)
EVENTS = st.lists(st.tuples(st.sampled_from(["A", "A", "B", "C"]), DATA), min_size=1, max_size=8)
# A `let` sees those before it.
FIRST_LET = EXPRESSIONS.filter(lambda expr: not lets_named(expr))
SECOND_LET = EXPRESSIONS.filter(lambda expr: lets_named(expr) <= {"first"})
DOCUMENTS = st.fixed_dictionaries(
    {
        "initial": st.just({"a": 0, "l": [], "m": {"k": [1, {"k": 2}]}}),
        "let": st.fixed_dictionaries({"first": FIRST_LET, "second": SECOND_LET}),
        "handlers": HANDLERS,
    }
)
