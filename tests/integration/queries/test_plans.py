"""Goal: what a document has an index for is found and ordered by it, however deep the page.

Method: a table of many rows, analysed; the very statements of the server under EXPLAIN ANALYZE, of
which no node may have looked at more than a few rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.queries.conftest import Projection, Store
from tests.support.generations import Layout, Values

from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.projection_rows import rows_statement
from eventfold_server.storage.projection_table import table_name

ROWS = 20_000
LAYOUT = Layout(
    [("born_on", "date"), ("country", "text"), ("name", "text"), ("score", "numeric")],
    [["born_on"], ["country", "name"], ["score"]],
)


@pytest.fixture(scope="module")
def projection(store: Store) -> Projection:
    rows: list[tuple[str, bool, Values]] = [
        (
            f"k{n:06}",
            n % 10 != 9,
            {
                "born_on": None if n % 7 == 0 else f"{1950 + n % 60}-0{1 + n % 9}-{10 + n % 19}",
                "country": f"c{n % 50:02}",
                "name": f"n{n * 7919 % ROWS:06}",
                "score": None if n % 3 == 0 else str(n),
            },
        )
        for n in range(ROWS)
    ]
    projection = store.make(LAYOUT, rows)
    table = f"{store.queries.schema}.projection_{projection.generation_no}"
    store.run(store.connection.execute(f"ANALYZE {table}"))
    return projection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def explained(
    projection: Projection, filter_: str, size: int, settings: str = "", **asked: Any
) -> dict[str, Any]:
    """The plan, as it was carried out."""
    store = projection.store
    query = projection.compiled(filter_, **asked)
    table = table_name(store.queries.schema, projection.generation_no)
    statement = rows_statement(store.queries, "queried_rows", table, query)

    async def explain() -> dict[str, Any]:
        async with store.database.querying() as connection, connection.transaction():
            if settings:
                await connection.execute(settings)
            told = await connection.fetchval(
                f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}",
                projection.name,
                projection.generation_no,
                size,
                PAGE_BYTES,
                *query.parameters,
            )
            plan: dict[str, Any] = json.loads(told)[0]["Plan"]
            return plan

    return store.run(explain())


def told(plan: dict[str, Any], level: int = 0) -> str:
    """The plan in short."""
    names = ("Node Type", "Index Name", "Relation Name", "Actual Rows", "Actual Loops")
    more = ("Rows Removed by Filter", "Index Cond", "Filter", "Sort Key", "Presorted Key")
    line = " ".join(f"{plan[name]}" for name in (*names, *more) if name in plan)
    return "\n".join([" " * level + line, *(told(one, level + 1) for one in plan.get("Plans", []))])


def check(plan: dict[str, Any], rows_max: int) -> set[str]:
    """Names of the indexes of the table that were used. Of its rows none was looked at in vain, and
    none that comes after the page is full.
    """
    used = set()
    for node in nodes(plan):
        if node["Actual Loops"] == 0:
            continue
        if re.fullmatch(r"projection_\d+_\w+", node.get("Index Name", "")):
            used.add(node["Index Name"])
        if node.get("Relation Name", "").removeprefix("projection_").isdigit():
            assert node["Node Type"] != "Seq Scan", told(plan)
            looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            assert looked_at <= rows_max, told(plan)
    return used


def index(projection: Projection, number: int) -> str:
    return f"projection_{projection.generation_no}_{number}"


@pytest.mark.parametrize(
    ("filter_", "number", "rows_max"),
    [
        ("born_on == '1961-03-12'", 1, 500),
        ("born_on in ['1961-03-12', '1962-04-13']", 1, 1000),
        ("born_on < '1950-02-01'", 1, 500),
        ("country == 'c07' && name.startsWith('n0000')", 2, 100),
        ("country == 'c07' && name > 'n0199'", 2, 400),
        ("country.startsWith('c07')", 2, 500),
        ("score >= 19990", 3, 20),
        ("score > decimal('19990.5') && score <= 19995", 3, 20),
    ],
)
def test_filters_use_indexes(
    projection: Projection, filter_: str, number: int, rows_max: int
) -> None:
    plan = explained(projection, filter_, 1000)
    assert index(projection, number) in check(plan, rows_max)


@pytest.mark.parametrize(
    ("order", "number"),
    [
        ([("country", False), ("name", False)], 2),
        ([("country", True), ("name", True)], 2),
        ([("country", False)], 2),
        ([("score", False)], 3),
        ([("score", True)], 3),
        ([("born_on", True)], 1),
    ],
)
def test_pages_follow_indexes_however_deep(
    projection: Projection, order: list[tuple[str, bool]], number: int
) -> None:
    whole = projection.keys(order=order)
    # At the beginning, in the middle, and where rows without a value begin, if there are some.
    for skipped in (0, 8_000, len(whole) - 60):
        after = place_of(projection, whole[skipped - 1], order) if skipped else None
        plan = explained(projection, "", 50, order=order, after=after)
        # Among rows of one value the planner may follow the key, and pass over those of others.
        used = check(plan, 3_000)
        if skipped < len(whole) - 60:
            assert index(projection, number) in used, told(plan)
        page = projection.page(order=order, size=50, after=after)
        assert [row.key for row in page.rows] == whole[skipped : skipped + 50]


def place_of(projection: Projection, key: str, order: list[tuple[str, bool]]) -> list[str | None]:
    """The place of the row of a key."""
    schema = projection.store.queries.schema
    names = ", ".join(f"{name}::text" for name, _ in order)
    found = projection.store.run(
        projection.store.connection.fetchrow(
            f"SELECT {names} FROM {schema}.projection_{projection.generation_no} WHERE key = $1",
            key,
        )
    )
    return [*found.values(), key]


def test_pages_by_key_follow_the_primary_key(projection: Projection) -> None:
    for order in ([], [("key", True)]):
        after = ["k010000"]
        plan = explained(projection, "", 50, order=order, after=after)
        # Hidden rows are among them.
        assert check(plan, 70) == {f"projection_{projection.generation_no}_pkey"}


def test_a_page_of_a_filter_and_another_order_is_not_slower_than_the_filter(
    projection: Projection,
) -> None:
    plan = explained(projection, "born_on == '1961-03-12'", 50, order=[("score", True)])
    assert index(projection, 1) in check(plan, 500)


PARALLEL = """
SET LOCAL max_parallel_workers_per_gather = 4;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL min_parallel_index_scan_size = 0;
"""


def test_rows_keep_their_order_where_settings_are_lost(projection: Projection) -> None:
    """A pooler may drop what connections start with."""
    plan = explained(projection, "name != 'x'", 500, settings=PARALLEL)
    assert not [node for node in nodes(plan) if node["Node Type"].startswith("Gather")], told(plan)
