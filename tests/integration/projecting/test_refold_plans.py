"""Goal: what verifications and retries read of the log follows indexes, whatever the planner knows.

Method: a log of 20,000 events, analysed; the very statements of the server under EXPLAIN.
"""

from __future__ import annotations

import random

import psycopg
import pytest
from tests.support.projections import Log, store_events

from eventfold_server.storage.database import Database

# Statement, types of its arguments, the arguments, and the indexes that it has to use.
_CASES = {
    "projection_key_events": (
        "text[], bigint, bigint, bigint, text[], text, boolean, boolean, bigint",
        "ARRAY['Moved'], 1, 20000, 20000, {categories}, 'Account-1', true, false, 9",
        {"events_stream_version", "streams_name_key", "events_cancels"},
    ),
    "projection_parked_list": (
        "text[], bigint, bigint, bigint, bigint",
        "ARRAY['a', 'b'], 1, 20000, 20000, 7",
        {"events_pkey", "projection_parked_events_pkey"},
    ),
}


@pytest.mark.parametrize("name", sorted(_CASES))
async def test_statements_follow_indexes(database: Database, database_url: str, name: str) -> None:
    schema = database.queries.schema
    store_events(database_url, schema, Log(random.Random(1), streams=500).grow(20_000))
    kinds, arguments, indexes = _CASES[name]
    with psycopg.connect(database_url, autocommit=True) as connection:
        generation_no = connection.execute(
            f"INSERT INTO {schema}.projections (name) VALUES ('p') RETURNING projection_no"
        ).fetchone()
        connection.execute(
            f"INSERT INTO {schema}.projection_generations (generation_no, projection_no,"
            " generation, source, digest, switch, put_by) VALUES (7, %s, 1, '', '', 1, '')",
            generation_no,
        )
        connection.execute(
            f"INSERT INTO {schema}.projection_parked_keys (generation_no, key, error)"
            " SELECT 7, 'k' || n, '{}' FROM generate_series(1, 2000) n"
        )
        connection.execute(
            f"INSERT INTO {schema}.projection_parked_events (generation_no, key, position)"
            " SELECT 7, 'k' || n, n FROM generate_series(1, 2000) n"
        )
        connection.execute("ANALYZE")
        connection.execute("SET enable_bitmapscan = off")
        connection.execute("SET jit = off")
        connection.execute(f"PREPARE it ({kinds}) AS {database.queries[name]}".rstrip("; \n"))
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}")
            for categories in ("NULL", "ARRAY['Account']"):
                said = arguments.format(categories=categories)
                rows = connection.execute(f"EXPLAIN EXECUTE it ({said})").fetchall()
                plan = "\n".join(row[0] for row in rows)
                for index in indexes:
                    assert f"using {index} on" in plan, plan
                assert "Seq Scan on events" not in plan, plan
