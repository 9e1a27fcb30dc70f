"""Goal: rows are answered exactly, page by page, whatever they weigh and whatever is switched
meanwhile.

Method: tables that hold what is hard to spell, rows of many sizes, and values changed, added and
removed between pages; another generation in the place of the first.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.queries.conftest import Projection, Store
from tests.support.generations import Layout, Values, fill, make_generation

from eventfold_server.domain.projections import page_tokens
from eventfold_server.errors import Refusal
from eventfold_server.limits import PAGE_BYTES

SPELLED: list[tuple[str, str, str, str]] = [
    # Column, type, text that is cast, JSON text.
    ("z_text", "text", "a\"\\\n\u0001é\U0001f600", '"a\\"\\\\\\n\\u0001é\U0001f600"'),
    ("yes", "boolean", "true", "true"),
    ("small", "integer", "-2147483648", "-2147483648"),
    ("large", "bigint", "9223372036854775807", "9223372036854775807"),
    ("exact", "numeric", "123456789012345678901234567890.10", "123456789012345678901234567890.10"),
    ("money", "numeric(10,2)", "1.5", "1.50"),
    ("share", "double precision", "0.1", "0.1"),
    ("tiny", "double precision", "5e-324", "5e-324"),
    ("born_on", "date", "0001-01-01", '"0001-01-01"'),
    ("midnight", "timestamptz", "2024-02-29T00:00:00Z", '"2024-02-29T00:00:00Z"'),
    ("half", "timestamptz", "2024-02-29T10:20:30.5Z", '"2024-02-29T10:20:30.5Z"'),
    ("micro", "timestamptz", "0001-01-01T00:00:00.000001Z", '"0001-01-01T00:00:00.000001Z"'),
    ("last", "timestamptz", "9999-12-31T23:59:59.999999Z", '"9999-12-31T23:59:59.999999Z"'),
    ("id", "uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
     '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ("extra", "jsonb", '{"b": 1.50, "a": [null]}', '{"a": [null], "b": 1.50}'),
    ("tags", "text[]", '{"x y","a\\"b",NULL}', '["x y","a\\"b",null]'),
    ("select", "text", "a column named as a word of SQL", '"a column named as a word of SQL"'),
]  # fmt: skip


def test_values_are_spelled_exactly_and_in_the_order_of_the_document(store: Store) -> None:
    layout = Layout([(name, kind) for name, kind, _, _ in SPELLED])
    values = {name: text for name, _, text, _ in SPELLED}
    projection = store.make(layout, [("full", True, values), ("none", True, {})])
    full, none = projection.page().rows
    expected = ",".join(f'"{name}":{written}' for name, _, _, written in SPELLED)
    assert full.columns == "{" + expected + "}"
    assert json.loads(none.columns) == dict.fromkeys(values)
    assert (full.key, full.version, full.position) == ("full", 1, 1)
    [some] = projection.page("key == 'full'", columns=["tags", "money"]).rows
    assert some.columns == '{"money":1.50,"tags":["x y","a\\"b",null]}'


def numbered(store: Store, count: int, text: str = "") -> Projection:
    layout = Layout([("n", "integer"), ("t", "text"), ("j", "jsonb")])
    return store.make(
        layout,
        [
            (f"{n:05}", True, {"n": str(n), "t": text, "j": json.dumps([text])})
            for n in range(count)
        ],
    )


@pytest.mark.parametrize(("rows", "size"), [(0, 1), (1, 1), (2, 1), (3, 3), (4, 3), (1001, 1000)])
def test_pages_end_at_their_size(store: Store, rows: int, size: int) -> None:
    projection = numbered(store, rows)
    first = projection.page(size=size)
    assert len(first.rows) == min(rows, size)
    assert (first.place is None) == (rows <= size)
    assert projection.keys(size=size) == [f"{n:05}" for n in range(rows)]


@pytest.mark.parametrize("columns", [["t"], ["j"], ["t", "j"], ["n"]])
def test_pages_end_at_about_a_mebibyte(store: Store, columns: list[str]) -> None:
    # As text it is what it weighs; as jsonb it is stored compressed, to a hundredth.
    projection = numbered(store, 40, "x" * 100_000)
    page = projection.page(columns=columns)
    weights = [len(row.columns) for row in page.rows]
    if columns == ["n"]:
        assert len(weights) == 40
        return
    # It ends before the row that would take it above.
    assert sum(weights) <= PAGE_BYTES < sum(weights) + weights[0]
    assert page.place is not None
    assert len(projection.keys(columns=columns)) == 40


def test_a_row_that_is_larger_than_a_page_comes_alone(store: Store) -> None:
    projection = numbered(store, 3, "x" * (2 * PAGE_BYTES))
    page = projection.page()
    assert len(page.rows) == 1
    assert len(page.rows[0].columns) > 2 * PAGE_BYTES
    assert len(projection.keys()) == 3


def test_rows_that_change_between_pages(store: Store) -> None:
    layout = Layout([("n", "integer")])
    rows: list[tuple[str, bool, Values]] = [(f"k{n}", True, {"n": str(n)}) for n in range(6)]
    projection = store.make(layout, [*rows, ("k6", True, {})])
    order = [("n", True)]
    first = projection.page(order=order, size=3)
    assert [row.key for row in first.rows] == ["k5", "k4", "k3"]
    table = f"{store.queries.schema}.projection_{projection.generation_no}"
    # The row at which the page ended goes; one comes up from behind, one falls back, one is new.
    for change in (
        f"DELETE FROM {table} WHERE key = 'k3'",
        f"UPDATE {table} SET n = 9 WHERE key = 'k2'",
        f"UPDATE {table} SET n = NULL WHERE key = 'k1'",
        f"INSERT INTO {table} VALUES ('k15', '', TRUE, 1, 1, 1)",
    ):
        store.run(store.connection.execute(change))
    second = projection.page(order=order, size=3, after=first.place)
    assert [row.key for row in second.rows] == ["k15", "k0", "k1"]
    third = projection.page(order=order, size=3, after=second.place)
    assert [row.key for row in third.rows] == ["k6"]
    assert third.place is None


def test_a_place_holds_in_another_generation(store: Store) -> None:
    rows: list[tuple[str, bool, Values]] = [(f"k{n}", True, {"n": str(n)}) for n in range(6)]
    old = store.make(Layout([("n", "integer")]), rows)
    place = old.page(order=[("n", False)], size=2).place
    layout = Layout([("t", "text"), ("n", "numeric")])
    number = store.run(make_generation(store.connection, store.queries, old.name, layout))
    store.run(fill(store.connection, store.queries, number, layout, rows))
    new = Projection(store, old.name, number, layout)
    found = new.page(order=[("n", False)], after=place, columns=["n"])
    assert [row.columns for row in found.rows] == [f'{{"n":{n}}}' for n in range(2, 6)]
    # Queries do not see the old one any more.
    assert store.run(store.rows.rows(old.name, old.generation_no, old.compiled(), 1, 1)) is None
    # Nor when it is gone.
    table = f"{store.queries.schema}.projection_{old.generation_no}"
    store.run(store.connection.execute(f"DROP TABLE {table}"))
    assert store.run(store.rows.rows(old.name, old.generation_no, old.compiled(), 1, 1)) is None


def test_an_answer_says_how_fresh_it_is(store: Store) -> None:
    projection = store.make(Layout([("n", "integer")]), [("k", True, {})], position=7)
    schema, number = store.queries.schema, projection.generation_no
    fresh = projection.page().fresh
    assert (fresh.generation, fresh.position, fresh.head) == (1, 7, 0)
    assert (fresh.stopped, fresh.parked_keys) == (None, 0)
    error = {"reason": "PROJECTION_FAILED", "message": "no", "facts": {"path": "key"}}
    store.run(
        store.connection.execute(
            f"UPDATE {schema}.projection_progress SET stopped = $1 WHERE generation_no = $2",
            json.dumps(error),
            number,
        )
    )
    store.run(
        store.connection.execute(
            f"INSERT INTO {schema}.projection_parked_keys (generation_no, key, error)"
            " SELECT $2, 'k' || n, $1 FROM generate_series(1, 3) n",
            json.dumps(error),
            number,
        )
    )
    # Of a page without rows too.
    for page in (projection.page(), projection.page("false")):
        assert page.fresh.stopped is not None
        assert page.fresh.stopped.reason == "PROJECTION_FAILED"
        assert page.fresh.stopped.facts == {"path": "key"}
        assert page.fresh.parked_keys == 3


SCOPE = page_tokens.scope("p", "a == 1", [("a", True)])


@pytest.mark.parametrize("place", [["k"], [None, "k"], ["", "é\U0001f600", "x" * 2000]])
def test_page_tokens(place: list[str | None]) -> None:
    token = page_tokens.make(place, SCOPE)
    assert token.isascii()
    assert page_tokens.read(token, SCOPE) == place
    assert page_tokens.read("", SCOPE) is None


@pytest.mark.parametrize(
    "other", [("q", "a == 1", [("a", True)]), ("p", "a == 2", [("a", True)]), ("p", "a == 1", [])]
)
def test_a_page_token_of_another_query_is_refused(other: Any) -> None:
    token = page_tokens.make(["1", "k"], SCOPE)
    with pytest.raises(Refusal) as refused:
        page_tokens.read(token, page_tokens.scope(*other))
    assert refused.value.facts["field"] == "page_token"


def test_page_tokens_that_are_none() -> None:
    token = page_tokens.make(["some", None, "k"], SCOPE)
    wrong = [
        "x",
        "é",
        "====",
        "AQ==",
        token[:-4],
        token + "AAAA",
        "B" + token[1:],
        "\0",
        "A" * 5000,
    ]
    for text in wrong:
        with pytest.raises(Refusal) as refused:
            page_tokens.read(text, SCOPE)
        assert (refused.value.reason, refused.value.facts["field"]) == (
            "INVALID_REQUEST",
            "page_token",
        ), text


def test_a_page_does_not_end_at_a_value_that_is_too_long(store: Store) -> None:
    projection = numbered(store, 2, "x" * 2001)
    place = projection.page(order=[("t", False)], size=1).place
    assert place is not None
    with pytest.raises(Refusal) as refused:
        page_tokens.make(place, SCOPE)
    assert (refused.value.reason, refused.value.facts["field"]) == ("INVALID_REQUEST", "order")
    # Ordered by something else it may be as long as it likes.
    assert page_tokens.make(projection.page(size=1).place or [], SCOPE)
