"""Goal: a filter becomes the SQL that its author means, or is refused with the place, the trouble
and what to write instead.

Method: filters of every form and what they become; one filter for each refusal; values of the clock
at the edges of the calendar; limits at their edge.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventfold import _core

COLUMNS = [
    ("name", "text"),
    ("active", "boolean"),
    ("age", "integer"),
    ("points", "bigint"),
    ("total", "numeric"),
    ("share", "double precision"),
    ("born_on", "date"),
    ("seen_at", "timestamptz"),
    ("account", "uuid"),
    ("extra", "jsonb"),
    ("tags", "text[]"),
    ("in", "boolean"),
    ("now", "integer"),
]


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


NOW = at("2024-02-29T12:30:00Z")


def compiled(filter_: str = "", **asked: Any) -> _core.ProjectionQuery:
    asked = {"now_us": NOW, "first_parameter": 1, **asked}
    return _core.ProjectionQuery(COLUMNS, filter=filter_, **asked)


def refused(filter_: str = "", **asked: Any) -> _core.CoreError:
    with pytest.raises(_core.CoreError) as caught:
        compiled(filter_, **asked)
    return caught.value


@pytest.mark.parametrize(
    ("filter_", "condition", "parameters"),
    [
        ("age > 18", '("age" > $1::text::integer)', ["18"]),
        ("18 < age", '("age" > $1::text::integer)', ["18"]),
        ("age >= 18 + 3", '("age" >= $1::text::integer)', ["21"]),
        ("age == 0x10", '("age" = $1::text::integer)', ["16"]),
        # What the column cannot hold is compared as a wider type, and leaves the index alone.
        ("age < 2147483648", '("age" < $1::text::numeric)', ["2147483648"]),
        ("age < 1.5", '("age" < $1::text::numeric)', ["1.5"]),
        ("points == 18446744073709551615u", None, ["18446744073709551615"]),
        ("total == 0.1", '("total" = $1::text::numeric)', ["0.1"]),
        ("total <= decimal('0.1000000000000000000000001')", None, ["0.1000000000000000000000001"]),
        ("share > 0.1", '("share" > $1::text::double precision)', ["1e-1"]),
        ("name != 'x'", '("name" IS DISTINCT FROM $1::text)', ["x"]),
        ("name == null", '("name" IS NULL)', []),
        ("null != name", '("name" IS NOT NULL)', []),
        ("!(age > 18)", '(("age" > $1::text::integer) IS NOT TRUE)', ["18"]),
        ("active", '"active"', []),
        ("!active", '("active" IS NOT TRUE)', []),
        ("active == false", '("active" = $1::text::boolean)', ["false"]),
        ("row.in && row.age == row.now", '("in" AND ("age" IS NOT DISTINCT FROM "now"))', []),
        ("active || age > 1 && true",
         '("active" OR (("age" > $1::text::integer) AND TRUE))', ["1"]),
        ("age in [1, 2]", '("age" = ANY ($1::text[]::integer[]))', [["1", "2"]]),
        ("age in [1, 2.5]", '("age" = ANY ($1::text[]::numeric[]))', [["1", "2.5"]]),
        ("age in [null, 1]", '("age" IS NULL OR ("age" = ANY ($1::text[]::integer[])))', [["1"]]),
        ("age in []", "FALSE", []),
        ("'x' in tags", '("tags" @> ARRAY[$1::text])', ["x"]),
        ("name in tags", '("name" = ANY ("tags"))', []),
        ("tags != null && extra != null", '(("tags" IS NOT NULL) AND ("extra" IS NOT NULL))', []),
        ("name.startsWith('ab')", '("name" >= $1::text AND "name" < $2::text)', ["ab", "ac"]),
        ("name.startsWith('\ud7ff')", None, ["\ud7ff", "\ue000"]),
        ("name.startsWith('a\U0010ffff')", None, ["a\U0010ffff", "b"]),
        ("name.startsWith('\U0010ffff')", '("name" >= $1::text)', ["\U0010ffff"]),
        ("name.startsWith('')", '("name" >= $1::text)', [""]),
        ("age < points", '("age" < "points")', []),
        ("name == key", '("name" IS NOT DISTINCT FROM "key")', []),
        ("position > 5 && version == 1", None, ["5", "1"]),
        ("born_on == '2024-02-29'", '("born_on" = $1::text::date)', ["2024-02-29"]),
        ("born_on < date('2024-02-29')", '("born_on" < $1::text::date)', ["2024-02-29"]),
        ("seen_at < '2024-02-29T12:00:00+02:00'", None, ["2024-02-29T10:00:00Z"]),
        ("seen_at < timestamp('2024-02-29T12:00:00.5Z')", None, ["2024-02-29T12:00:00.5Z"]),
        ("seen_at > now - duration('90m')", None, ["2024-02-29T11:00:00Z"]),
        ("seen_at >= today", '("seen_at" >= $1::text::timestamptz)', ["2024-02-29T00:00:00Z"]),
        ("account == 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", None,
         ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ],
)  # fmt: skip
def test_filters(filter_: str, condition: str | None, parameters: list[Any]) -> None:
    query = compiled(filter_)
    if condition is not None:
        assert query.condition == condition
    assert query.parameters == parameters


@pytest.mark.parametrize(
    ("now", "value", "expected"),
    [
        ("2024-02-29T23:59:59.999999Z", "today", "2024-02-29"),
        ("2024-02-29T12:30:00Z", "years_before(today, 18)", "2006-02-28"),
        ("2024-02-29T12:30:00Z", "years_before(today, 4)", "2020-02-29"),
        ("2024-02-28T12:30:00Z", "years_before(today, 18)", "2006-02-28"),
        ("2024-03-01T00:00:00Z", "years_before(today, 18)", "2006-03-01"),
        # Who was born on 29 February comes of age on 1 March of a year that has none.
        ("2026-02-28T23:59:59Z", "years_before(today, 18)", "2008-02-28"),
        ("2026-03-01T00:00:00Z", "years_before(today, 18)", "2008-03-01"),
        ("2024-03-01T00:00:00Z", "days_before(today, 1)", "2024-02-29"),
        ("2024-03-01T00:00:00Z", "days_before(today, 0)", "2024-03-01"),
        ("2024-03-01T00:00:00Z", "days_before(years_before(today, 1), 1)", "2023-02-28"),
        ("9999-12-31T23:59:59Z", "years_before(today, 9998)", "0001-12-31"),
        ("9999-12-31T23:59:59Z", "days_before(today, 3652058)", "0001-01-01"),
    ],
)
def test_days_of_the_clock(now: str, value: str, expected: str) -> None:
    assert compiled(f"born_on <= {value}", now_us=at(now)).parameters == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("now", "2024-02-29T12:30:00.123456Z"),
        ("days_before(now, 7)", "2024-02-22T12:30:00.123456Z"),
        ("years_before(now, 1)", "2023-02-28T12:30:00.123456Z"),
        ("years_before(timestamp('2024-02-29T01:00:00Z'), 4)", "2020-02-29T01:00:00Z"),
    ],
)
def test_times_of_the_clock(value: str, expected: str) -> None:
    query = compiled(f"seen_at <= {value}", now_us=at("2024-02-29T12:30:00.123456Z"))
    assert query.parameters == [expected]


@pytest.mark.parametrize(
    ("filter_", "line", "column", "problem", "hint"),
    [
        ("nope == 1", 1, 1, "`nope` is no column; there are name,", "put texts in quotes"),
        ("name == Anna", 1, 9, "`Anna` is no column", "put texts in quotes"),
        ("true &&\n  row.nope", 2, 3, "`nope` is no column", "put texts in quotes"),
        ("age", 1, 1, "not true or false", "compare it with a value"),
        ("'x'", 1, 1, "cannot stand in a filter", "comparisons"),
        ("age + 1 > 2", 1, 1, "nothing is computed of columns", "as it is"),
        ("-age > 2", 1, 1, "nothing is computed of columns", "as it is"),
        ("row.age + 1 > 2", 1, 1, "nothing is computed of columns", "as it is"),
        ("size(name) > 2", 1, 1, "nothing is computed of columns", "as it is"),
        ("name.contains('x')", 1, 1, "cannot stand in a filter", "startsWith"),
        ("active ? true : false", 1, 1, "cannot stand in a filter", "&&"),
        ("(age > 1) == true", 1, 2, "nothing is computed of columns", "as it is"),
        ("1 == 1", 1, 1, "neither side is a column", "compare a column with a value"),
        ("age == '18'", 1, 8, "`age` is integer: a number is compared with", "without quotes"),
        ("name == 18", 1, 9, "`name` is text: a text is compared with texts", "in quotes"),
        ("name == 'a\\x00b'", 1, 9, "no text has a NUL", "leave it out"),
        ("active == 1", 1, 11, "`active` is boolean", "true or false"),
        ("active > true", 1, 1, "booleans have no order", "column alone"),
        ("share > 1e400", 1, 9, "out of range", None),
        ("total == 1.2345678901234567", 1, 10, "a double keeps 15 digits", "decimal"),
        ("age == 9223372036854775808", 1, 8, "the int leaves 64 bits", "decimal"),
        ("born_on == '2024-02-30'", 1, 12, "`born_on` is date", "YYYY-MM-DD"),
        ("born_on == '24-2-3'", 1, 12, "`born_on` is date", "YYYY-MM-DD"),
        ("born_on > now", 1, 11, "`born_on` is date", "today"),
        ("born_on > date('x')", 1, 16, "this is no date", "YYYY-MM-DD"),
        ("born_on > date()", 1, 11, "`date` takes one text", "YYYY-MM-DD"),
        ("seen_at > '2024-02-29'", 1, 11, "`seen_at` is timestamptz", "T12:00:00Z"),
        ("seen_at > '2024-02-29T00:00:00.0000001Z'", 1, 11, "whole microseconds", "six digits"),
        ("born_on > years_before(18)", 1, 11, "takes a date or a time", "years_before(today, 18)"),
        ("born_on > years_before(today, -1)", 1, 31, "from 0 to 9998", None),
        ("born_on > years_before(today, 1.5)", 1, 31, "from 0 to 9998", None),
        ("born_on > years_before(today, 2024)", 1, 11, "years 1 and 9999", None),
        ("born_on > days_before('x', 1)", 1, 23, "a date or a time", "today"),
        ("born_on > days_before(today, 3652060)", 1, 30, "from 0 to 3652059", None),
        ("born_on > years_before(born_on, 1)", 1, 11, "nothing is computed of columns", "as it is"),
        ("account == 'x'", 1, 12, "`account` is uuid", "a0eebc99"),
        ("extra == 'x'", 1, 10, "`extra` is jsonb", "a column"),
        ("tags == ['x']", 1, 9, "no column has values of type list", "a text"),
        ("1 in tags", 1, 1, "a text[] column has texts only", "'text' in column"),
        ("name in 'x'", 1, 9, "this is no list", "['a', 'b']"),
        ("name in name", 1, 9, "this is no list", "['a', 'b']"),
        ("'x' in ['x']", 1, 1, "a list is compared with a column", "column in"),
        ("name in [key]", 1, 10, "has values only", "=="),
        ("name in [?'x']", 1, 11, "no optional items", None),
        ("name < null", 1, 8, "null has no place in an order", "== or !="),
        ("name < age", 1, 1, "these are not compared", "one kind"),
        ("share == total", 1, 1, "these are not compared", "one kind"),
        ("tags == tags", 1, 1, "these are not compared", "one kind"),
        ("active < in", 1, 10, "", None),
        ("age.startsWith('1')", 1, 1, "asked of a text column", "column.startsWith"),
        ("name.startsWith(1)", 1, 17, "the beginning must be a text", "column.startsWith"),
        ("name.startsWith()", 1, 1, "`startsWith` takes one text", "column.startsWith"),
        ("name = 'x'", 1, 6, "write `==` to compare", None),
        ("name == 'x", 1, 9, "the string does not end", None),
        ("age > 1 / 0", 1, 7, "division by zero", None),
        ("name == b'x'", 1, 9, "no column has values of type bytes", "a text"),
        ("state.name == 'x'", 1, 1, "`state` is no column", "quotes"),
    ],
)
def test_refusals(filter_: str, line: int, column: int, problem: str, hint: str | None) -> None:
    error = refused(filter_)
    assert error.reason == "INVALID_EXPRESSION"
    assert problem in error.facts["problem"]
    assert (error.facts["line"], error.facts["column"]) == (str(line), str(column)), error
    if hint is not None:
        assert hint in error.facts["hint"]
    assert error.facts["excerpt"].splitlines()[0] == filter_.splitlines()[line - 1]


def test_filters_at_their_limits() -> None:
    longest = f"name == '{'x' * (4096 - 10)}'"
    assert len(longest) == 4096
    compiled(longest)
    error = refused(longest + " ")
    assert (error.reason, error.facts["limit"]) == ("EXPRESSION_TOO_LONG", "4096")
    # The column itself is the 96th level.
    compiled("!" * 95 + "active")
    error = refused("!" * 96 + "active")
    assert (error.reason, error.facts["limit"]) == ("EXPRESSION_TOO_DEEP", "96")
    many = " || ".join(f"age=={n}" for n in range(330))
    assert len(compiled(many).parameters) == 330


def test_values_of_a_filter_take_a_bounded_number_of_steps() -> None:
    ten = "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"
    # Of names that a macro could bind only `now` and `today` are none of columns.
    compiled(f"age in [size({ten}.map(now, {ten}.map(now, {ten}.map(now, 0))))]")
    error = refused(
        f"age in [size({ten}.map(now, {ten}.map(now, {ten}.map(now, {ten}.map(now, 0)))))]"
    )
    assert error.reason == "INVALID_EXPRESSION"
    assert "more steps than allowed" in error.facts["problem"]


def test_orders() -> None:
    assert compiled().branches == [("TRUE", '"key"')]
    assert compiled(order=[("age", False)]).branches == [("TRUE", '"age", "key"')]
    assert compiled(order=[("age", True), ("name", True)]).branches == [
        ('"age" IS NOT NULL', '"age" DESC, "name" DESC NULLS LAST, "key"'),
        ('"age" IS NULL', '"name" DESC NULLS LAST, "key"'),
    ]
    # Behind the key no column tells anything.
    assert compiled(order=[("key", True), ("age", False)]).branches == [("TRUE", '"key" DESC')]
    assert compiled(order=[("version", True)]).branches == [("TRUE", '"version" DESC, "key"')]


def test_places_in_orders() -> None:
    query = compiled("active", order=[("age", True), ("name", False)], after=["5", None, "k"])
    assert query.branches == [
        ('"age" = $1::text::integer AND "name" IS NULL AND "key" > $2::text', '"key"'),
        ('"age" < $1::text::integer', '"age" DESC, "name", "key"'),
        ('"age" IS NULL', '"name", "key"'),
    ]
    assert query.parameters == ["5", "k"]
    assert query.names == ['"name"', '"active"', *(f'"{name}"' for name, _ in COLUMNS[2:])]


def test_a_query_reads_only_the_columns_that_it_needs() -> None:
    query = compiled("active", order=[("age", False)], columns=["name", "born_on"])
    assert query.names == ['"name"', '"born_on"', '"age"']


@pytest.mark.parametrize(
    ("asked", "field", "problem"),
    [
        ({"order": [("nope", False)]}, "order", "one is no column; there are name,"),
        ({"order": [("extra", False)]}, "order", "`extra` is jsonb, which has no order"),
        ({"order": [("tags", False)]}, "order", "`tags` is text[], which has no order"),
        ({"order": [("age", False), ("age", True)]}, "order", "`age` is there twice"),
        ({"columns": ["nope"]}, "columns", "one is no column; there are name,"),
        ({"columns": ["key"]}, "columns", "one is no column; there are name,"),
        ({"order": [("age", True)], "after": ["5"]}, "page_token", "of another order"),
        ({"order": [("age", True)], "after": ["x", "k"]}, "page_token", "of another order"),
    ],
)
def test_requests_that_are_refused(asked: dict[str, Any], field: str, problem: str) -> None:
    error = refused(**asked)
    assert (error.reason, error.facts["field"]) == ("INVALID_REQUEST", field)
    assert problem in error.facts["problem"]


def test_orders_at_their_limit() -> None:
    names = ["name", "active", "age", "points", "total", "share", "born_on", "seen_at"]
    compiled(order=[(name, True) for name in names])
    error = refused(order=[(name, True) for name in [*names, "account"]])
    assert (error.facts["field"], error.facts["limit"]) == ("order", "8")
    longest = "x" * 2000
    compiled(order=[("name", False)], after=[longest, "k"])
    assert refused(order=[("name", False)], after=[longest + "x", "k"]).reason == "INVALID_REQUEST"
