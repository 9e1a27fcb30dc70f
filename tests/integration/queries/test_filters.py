"""Goal: a filter passes exactly the rows of which it is true, an order is kept over pages of any
size, and nothing that a caller writes gets into SQL.

Method: random filters, orders and rows, with missing values and negations, on a real PostgreSQL
beside a model in plain Python; then what attackers would write.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.queries.conftest import Projection, Store
from tests.support import query_model as model
from tests.support.generations import Layout, fill
from tests.support.query_model import Filter, Row

from eventfold import _core

KEYS = ["", "a", "b'", "k-1", "k-2", "Ä", *(f"r{n:02}" for n in range(24))]
STORED = [("t", "text")]


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(model.LAYOUT, [["t"], ["i", "t"], ["d"]])


def refill(projection: Projection, rows: list[Row]) -> None:
    """Gives the table other rows; hidden ones are like them, and must never be seen."""
    store = projection.store
    table = f"{store.queries.schema}.projection_{projection.generation_no}"
    store.run(store.connection.execute(f"TRUNCATE {table}"))
    values = [
        (row["key"], True, {name: model.stored(row[name]) for name, _ in model.LAYOUT})
        for row in rows
    ]
    hidden = [(f"hidden {key}", False, one) for key, _, one in values]
    number, layout = projection.generation_no, projection.layout
    store.run(fill(store.connection, store.queries, number, layout, values + hidden))


@pytest.fixture(scope="module")
def projection(store: Store, layout: Layout) -> Projection:
    return store.make(layout, [])


@pytest.mark.timeout(300)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(rows=model.rows(KEYS), data=st.data())
def test_queries_are_those_of_the_model(
    projection: Projection, rows: list[Row], data: st.DataObject
) -> None:
    refill(projection, rows)
    for _ in range(8):
        wanted = data.draw(model.filters())
        order = data.draw(model.orders())
        size = data.draw(st.integers(1, 9))
        passing = [row for row in rows if wanted.passes(row)]
        expected = model.in_order(passing, order)
        assert projection.keys(wanted.text, order=order, size=size) == expected
        assert projection.count(wanted.text) == len(expected)


@pytest.mark.timeout(300)
@settings(max_examples=200, deadline=None)
@given(wanted=model.filters())
def test_a_filter_or_its_negation_is_true_of_each_row(
    projection: Projection, wanted: Filter
) -> None:
    everything = projection.count()
    assert projection.count(wanted.text) + projection.count(f"!({wanted.text})") == everything


INJECTIONS = [
    "'; DROP TABLE x; --",
    "x' OR '1'='1",
    "\\'; SELECT 1 --",
    "$1",
    "$$; SELECT 1; $$",
    '"; DROP TABLE x; --',
    "{table}",
    "%s",
    "/*",
    "\u2019 OR TRUE",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_texts_of_filters_are_values(store: Store, text: str) -> None:
    projection = store.make(
        Layout(STORED), [(text, True, {"t": text}), ("other", True, {"t": "x"})]
    )
    written = json.dumps(text, ensure_ascii=False)
    for filter_ in (
        f"t == {written}",
        f"key == {written}",
        f"t in [{written}]",
        f"t.startsWith({written})",
    ):
        assert projection.keys(filter_) == [text]
        assert text not in projection.compiled(filter_).condition
    for order in ([("t", False)], [("t", True)], [("key", True)]):
        # The text comes back from a page token, too.
        assert sorted(projection.keys(order=order, size=1)) == sorted([text, "other"])


@pytest.mark.parametrize("text", INJECTIONS)
def test_names_come_from_the_document_alone(store: Store, text: str) -> None:
    projection = store.make(Layout(STORED), [])
    for asked in ({"order": [(text, False)]}, {"columns": [text]}):
        with pytest.raises(_core.CoreError) as refused:
            projection.compiled(**asked)
        assert refused.value.reason == "INVALID_REQUEST"
        assert refused.value.facts["field"] == next(iter(asked))
    with pytest.raises(_core.CoreError):
        projection.compiled(f"{text} == 'x'")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1; DROP TABLE x"),
        ("integer", "x"),
        ("bigint", "1e5"),
        ("bigint", "9" * 2001),
        ("numeric", "1e999999999"),
        ("numeric", "NaN"),
        ("numeric(5,2)", "1.0.0"),
        ("double precision", "1e400"),
        ("double precision", "infinity"),
        ("date", "2024-02-30"),
        ("date", "now"),
        ("timestamptz", "tomorrow"),
        ("timestamptz", "2024-02-29"),
        ("uuid", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"),
        ("boolean", "yes"),
        ("text", "a\0b"),
        ("text", "x" * 2001),
    ],
)
def test_a_place_that_somebody_made_up_is_refused(store: Store, kind: str, text: str) -> None:
    projection = store.make(Layout([("c", kind)]), [])
    with pytest.raises(_core.CoreError) as refused:
        projection.compiled(order=[("c", False)], after=[text, "key"])
    assert (refused.value.reason, refused.value.facts["field"]) == ("INVALID_REQUEST", "page_token")


@pytest.mark.parametrize("after", [[], ["x"], ["1", "key", "more"], ["1", None]])
def test_a_place_of_another_order_is_refused(store: Store, after: list[str | None]) -> None:
    projection = store.make(Layout([("c", "integer")]), [])
    with pytest.raises(_core.CoreError, match="page_token"):
        projection.compiled(order=[("c", False)], after=after)
