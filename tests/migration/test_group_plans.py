"""Goal: what is done to a group costs what it touches, however much the group and others hold, and
whatever the planner knows; and the tables refuse states that make no sense.

Method: two large groups in tables that were analysed when they were empty, as they are in use. Each
statement runs with auto_explain, which tells the plans inside of functions and how many rows each
node has looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from tests.migration.test_schema import connected, make_store
from tests.support.servers import start_postgres

from eventfold_server.storage.queries import Queries

HELD_LANES = 20_000
READY_LANES = 1_500
ENTRIES = 5
# Of one lane or event of 100 that are claimed and settled; and the lanes that are open, which are
# counted before more is taken in.
ROWS_MAX = 2_000
# A row for each store, group or session.
SMALL = {"counter", "groups", "group_sessions"}


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


class Explained:
    """A connection that notes the plans of all that it runs."""

    def __init__(self, connection: Any, queries: Queries) -> None:
        self.connection, self.queries = connection, queries
        self.plans: list[dict[str, Any]] = []

    async def begin(self) -> None:
        self.connection.add_log_listener(lambda _, message: self._note(message))
        await self.connection.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;"
            " SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on;"
            " SET auto_explain.log_format = json; SET auto_explain.log_timing = off;"
            " SET client_min_messages = log; SET jit = off;"
            " SET plan_cache_mode = force_generic_plan"
        )

    def _note(self, message: Any) -> None:
        _, found, text = message.message.partition("plan:\n")
        # The driver asks for types of its own accord.
        if found and self.queries.schema in text:
            self.plans.append(json.loads(text))

    async def run(self, name: str, *arguments: object) -> list[Any]:
        """Runs a statement, and checks all of its plans."""
        await self.connection.fetch("SELECT 1")
        self.plans.clear()
        rows: list[Any] = await self.connection.fetch(self.queries[name], *arguments)
        assert self.plans, "nothing was explained"
        for plan in self.plans:
            for node in nodes(plan["Plan"]):
                told = json.dumps(plan, indent=1)
                table = node.get("Relation Name", "")
                if node["Node Type"] == "Seq Scan" and table not in SMALL:
                    raise AssertionError(f"{name} reads {table} from end to end\n{told}")
                assert rows_of(node) <= ROWS_MAX, f"{name}\n{told}"
        return rows


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def rows_of(node: dict[str, Any]) -> float:
    """Rows that a node has looked at, in all of its loops."""
    each = node.get("Actual Rows", 0) + sum(
        count for key, count in node.items() if key.startswith("Rows Removed by")
    )
    return float(each) * float(node.get("Actual Loops", 1))


async def _fill(connection: Any, schema: str) -> None:
    """Two groups alike: most lanes are held back, some are ready; and a log of 20,000 events."""
    lanes = HELD_LANES + READY_LANES
    await connection.execute(
        f"""
        ANALYZE {schema}.groups, {schema}.group_lanes, {schema}.group_entries,
                {schema}.group_parked, {schema}.group_sessions;
        INSERT INTO {schema}.streams (name, category, version, root, created_at)
        SELECT 'c-' || n, 'c', 10, 'c-' || n, now() FROM generate_series(1, 2000) n;
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, type, category, writer, data, metadata,
                                     sent_digest, stored_digest)
        SELECT p, 1 + (p - 1) % 2000, 1 + (p - 1) / 2000, now(), now(), gen_random_uuid(), 'T', 'c',
               'w', '', '', sha256(''), sha256('') FROM generate_series(1, 20000) p;
        UPDATE {schema}.counter SET position = 20000;
        ANALYZE {schema}.streams, {schema}.events;
        INSERT INTO {schema}.groups (name, with_system, ack_timeout, attempts_max, retry_initial,
                                     retry_factor, retry_max, hold_back, ordered, created_by,
                                     cursor, categories, stream)
        SELECT name, false, '30 s', 3, '1 h', 2, '2 h', true, true, 'w', 10000, categories, stream
          FROM (VALUES ('g', NULL, NULL), ('h', NULL, NULL), ('c', ARRAY['c', 'd'], NULL),
                       ('s', NULL, 'c-7')) AS v (name, categories, stream);
        INSERT INTO {schema}.group_lanes (group_no, lane, state, head, entries)
        SELECT g, l, CASE WHEN l <= {HELD_LANES} THEN 4 ELSE 1 END, l, {ENTRIES}
          FROM generate_series(1, 2) g, generate_series(1, {lanes}) l;
        INSERT INTO {schema}.group_entries (group_no, lane, position)
        SELECT g, l, l + {lanes} * e
          FROM generate_series(1, 2) g, generate_series(1, {lanes}) l,
               generate_series(0, {ENTRIES - 1}) e;
        INSERT INTO {schema}.group_parked (group_no, position, lane, attempts, cause, reason,
                                           consumer, holds)
        SELECT g, 10 * {lanes} + l, l, 1, 1, '', '', true
          FROM generate_series(1, 2) g, generate_series(1, {HELD_LANES}) l;
        """
    )


async def test_a_group_costs_what_is_touched(database_url: str) -> None:
    schema = await make_store(database_url)
    async with connected(database_url) as connection:
        await connection.execute(f"ALTER TABLE {schema}.group_lanes SET (autovacuum_enabled = off)")
        await connection.execute(
            f"ALTER TABLE {schema}.group_entries SET (autovacuum_enabled = off)"
        )
        await _fill(connection, schema)
        explained = Explained(connection, Queries(schema))
        await explained.begin()
        [begun] = await explained.run("begin_group_session", "g", "c", "w")
        group, session = begun["group_no"], begun["session"]
        rows = await explained.run("group_claim", group, [session], [100], 100, [session])
        positions, leases = rows[0]["positions"], rows[0]["leases"]
        assert len(positions) == 100

        def settlement(action: int, at: slice) -> tuple[object, ...]:
            count = len(positions[at])
            return (group, [action], [session], [""], [None], [count], positions[at], leases[at])

        assert not await explained.run("group_settle", *settlement(1, slice(0, 50)))
        assert not await explained.run("group_settle", *settlement(2, slice(50, 51)))
        assert not await explained.run("group_settle", *settlement(3, slice(55, 56)))
        assert not await explained.run("group_settle", *settlement(5, slice(60, 61)))
        await connection.execute(
            f"UPDATE {schema}.group_lanes SET due_at = now() - interval '1 s'"
            " WHERE due_at IS NOT NULL AND lane % 2 = 0"
        )
        await explained.run("group_claim", group, [session], [10], 100, [])
        await explained.run("end_group_session", group, session, True)
        for source in ("g", "c", "s"):
            [row] = await connection.fetch(explained.queries["group"], source)
            [next_] = await explained.run("group_next", row["group_no"], 1_000, 20_000, 20_000)
            assert next_["positions"]
            taken = [next_[field] for field in ("cursor", "up_to", "positions", "lanes")]
            assert await explained.run("group_take_in", row["group_no"], *taken, None)
        # Of the stream c-7: version 6 has the position 10007.
        assert await explained.run("version_from_position", 7, 10, 10_007) == [(6,)]
        assert await explained.run("version_from_position", 7, 10, 10_008) == [(7,)]
        assert await explained.run("version_from_position", 7, 10, 20_000) == [(11,)]
        assert await explained.run("version_from_position", 7, 10, 1) == [(1,)]
        assert await explained.run("version_from_position", 7, 12, 20_000) == [(None,)]
        await explained.run("group", "g")
        await explained.run("parked_page", group, 0, 100)
        parked = [10 * (HELD_LANES + READY_LANES) + lane for lane in range(1, 101)]
        for purge in (False, True):
            at = parked[50:] if purge else parked[:50]
            [row] = await explained.run("group_unpark", group, at, None, 1_000, purge)
            assert row["done"] == 50
        await explained.run("group_consumers", group, timedelta(seconds=30), 100)


def _lane(**columns: str) -> str:
    given = {"group_no": "1", "lane": "1", "state": "1", "head": "1", "entries": "1", **columns}
    names, values = ", ".join(given), ", ".join(given.values())
    return f"INSERT INTO {{s}}.group_lanes ({names}) VALUES ({values})"


LEASED = {
    "state": "2", "due_at": "now()", "lease": "1", "session": "1", "up_to": "1", "under_way": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        _lane(state="5"),
        _lane(entries="0", head="NULL"),
        _lane(entries="1", head="NULL"),
        _lane(state="4", entries="0"),
        _lane(due_at="now()"),
        _lane(state="3"),
        _lane(state="2"),
        _lane(**{**LEASED, "state": "1", "due_at": "NULL"}),
        _lane(**{**LEASED, "session": "NULL"}),
        _lane(**{**LEASED, "up_to": "NULL"}),
        _lane(**{**LEASED, "under_way": "0"}),
        _lane(**{**LEASED, "under_way": "2"}),
        "INSERT INTO {s}.group_entries (group_no, lane, position) VALUES (1, 1, 0)",
        (
            "INSERT INTO {s}.group_parked (group_no, position, lane, attempts, cause, reason,"
            " consumer, holds) VALUES (1, 1, 1, 1, 4, '', '', true)"
        ),
        "UPDATE {s}.groups SET cursor = -1",
        "UPDATE {s}.groups SET ack_timeout = '0.9 s'",
        "UPDATE {s}.groups SET retry_initial = '3 s', retry_max = '2 s'",
        "UPDATE {s}.groups SET ordered = false",
        "UPDATE {s}.groups SET stream = 'a-1', categories = ARRAY['a']",
    ],
)
async def test_the_tables_refuse_what_makes_no_sense(database_url: str, statement: str) -> None:
    schema = await make_store(database_url)
    async with connected(database_url) as connection:
        await connection.execute(
            f"INSERT INTO {schema}.groups (name, with_system, ack_timeout, attempts_max,"
            " retry_initial, retry_factor, retry_max, hold_back, ordered, created_by, cursor)"
            " VALUES ('g', false, '30 s', 1, '1 s', 2, '2 s', true, true, 'w', 0)"
        )
        # What the statements begin with is well.
        await connection.execute(_lane(**LEASED).format(s=schema))
        await connection.execute(f"DELETE FROM {schema}.group_lanes")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(statement.format(s=schema))
