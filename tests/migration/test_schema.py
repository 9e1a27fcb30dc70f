"""Goal: migrations and `schema/` say the same, and the database itself keeps its promises.

Method: a real PostgreSQL; the schema is built both ways and its whole definition compared; then
statements that would break a promise are tried as the owner of the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support.servers import start_postgres

from eventfold_server.embedded import EmbeddedPostgres
from eventfold_server.storage.database import Database
from eventfold_server.storage.preparing import StorageRefused
from eventfold_server.storage.queries import Queries, migrations, quote_identifier, schema_sql

# Everything that makes up a schema, without names that PostgreSQL draws from object numbers.
_DEFINITION = """
SELECT 'column' AS kind, c.relname || '.' || a.attname AS name,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' '
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || a.attidentity::text
       || ' ' || coalesce(l.collname, '') || ' ' || a.attnum AS definition
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
 WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'v') AND NOT a.attisdropped
UNION ALL
SELECT 'table', c.relname, coalesce(c.reloptions::text, '')
  FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT 'constraint', t.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
 WHERE k.connamespace = $1::regnamespace
UNION ALL
SELECT 'index', i.relname, pg_get_indexdef(i.oid)
  FROM pg_class i WHERE i.relnamespace = $1::regnamespace AND i.relkind = 'i'
UNION ALL
SELECT 'function', p.proname, pg_get_functiondef(p.oid)
  FROM pg_proc p WHERE p.pronamespace = $1::regnamespace
UNION ALL
SELECT 'trigger', t.relname || '.' || g.tgname, pg_get_triggerdef(g.oid)
  FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
 WHERE t.relnamespace = $1::regnamespace AND NOT g.tgisinternal
ORDER BY 1, 2, 3
"""


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@contextlib.asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def make_store(database_url: str) -> str:
    """Builds a store by its migrations; returns the name of its schema."""
    schema = f"s_{uuid.uuid4().hex}"
    database = Database(database_url, schema)
    await database.open()
    await database.close()
    return schema


async def definition(connection: Any, schema: str) -> list[tuple[str, str, str]]:
    rows = await connection.fetch(_DEFINITION, schema)
    return [(row[0], row[1], str(row[2]).replace(schema, "SCHEMA")) for row in rows]


async def test_migrations_lead_to_schema_sql(database_url: str) -> None:
    migrated = await make_store(database_url)
    direct = f"s_{uuid.uuid4().hex}"
    async with connected(database_url) as connection:
        await connection.execute(f"CREATE SCHEMA {quote_identifier(direct)}")
        await connection.execute(schema_sql(direct))
        expected = await definition(connection, direct)
        assert len(expected) > 50
        assert await definition(connection, migrated) == expected


async def test_several_servers_may_start_at_once(database_url: str) -> None:
    schema = f"s_{uuid.uuid4().hex}"
    databases = [Database(database_url, schema) for _ in range(6)]
    await asyncio.gather(*(database.open() for database in databases))
    await asyncio.gather(*(database.close() for database in databases))
    async with connected(database_url) as connection:
        applied = await connection.fetch(Queries(schema)["applied_migrations"])
        assert [row["number"] for row in applied] == [m.number for m in migrations()]
        assert await connection.fetchval(f"SELECT count(*) FROM {schema}.store") == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE {}.migrations SET digest = 'other'", "other contents"),
        ("INSERT INTO {}.migrations VALUES (999, '999_post_x.sql', 'x')", "a newer server"),
        (
            "INSERT INTO {}.migrations VALUES (998, '998_post_x.sql', ''), (999, '999_pre_x', '')",
            "a newer server",
        ),
        # Not of the line of this server: one that it knows is not there.
        ("UPDATE {}.migrations SET number = 999 WHERE number = 1", "a newer server"),
    ],
)
async def test_a_schema_of_other_migrations_is_refused(
    database_url: str, change: str, told: str
) -> None:
    schema = await make_store(database_url)
    async with connected(database_url) as connection:
        await connection.execute(change.format(schema))
    with pytest.raises(StorageRefused, match=told):
        await Database(database_url, schema).open()


async def test_an_older_server_goes_on_with_what_is_made_for_that(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Migrations called `pre` leave the servers of the version before as they are, so that these
    can be started again in the middle of an upgrade, or after it was taken back.
    """
    schema = await make_store(database_url)
    async with connected(database_url) as connection:
        await connection.execute(
            f"ALTER TABLE {schema}.streams ADD COLUMN later text;"
            f"INSERT INTO {schema}.migrations VALUES (998, '998_pre_x.sql', 'x'),"
            f" (999, '999_pre_y.sql', 'x')"
        )
    database = Database(database_url, schema)
    await database.open()
    try:
        assert "998_pre_x.sql, 999_pre_y.sql; going on with it" in caplog.text
        async with database.reading() as reading:
            assert await reading.fetchval(database.queries["log_head"]) == 0
    finally:
        await database.close()


async def test_a_database_that_may_lose_appends_is_refused(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("ALTER DATABASE postgres SET synchronous_commit = off")
        try:
            await _refuses("synchronous_commit", database_url)
        finally:
            await connection.execute("ALTER DATABASE postgres RESET synchronous_commit")


async def test_a_database_without_fsync_is_refused(shared_tmp_path: Path) -> None:
    async with EmbeddedPostgres(
        shared_tmp_path / "data", unsafe_no_fsync_for_tests=True
    ) as postgres:
        await _refuses("fsync", postgres.dsn)


async def _refuses(setting: str, database_url: str) -> None:
    """Opens with this setting only when told."""
    schema = f"s_{uuid.uuid4().hex}"
    with pytest.raises(StorageRefused, match=setting):
        await Database(database_url, schema).open()
    told = Database(database_url, schema, unsafe_durability=True)
    await told.open()
    await told.close()


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", 'a"b', "a" * 64, "a;drop"])
def test_a_schema_name_that_needs_quotes_is_refused(name: str) -> None:
    with pytest.raises(StorageRefused):
        Database("postgresql://127.0.0.1/x", name)


INSERT_EVENT = """
INSERT INTO {s}.events (position, stream_no, version, recorded_at, occurred_at, event_id, type,
                        category, writer, data, metadata, sent_digest, stored_digest, cancels)
VALUES ({position}, 1, {version}, now(), now(), '{id}', 'T', 'c', 'w', '', '',
        sha256(''), sha256(''), {cancels})
"""
ID = "00000000-0000-7000-8000-00000000000{}"
NO_END = (1 << 63) - 1


def _stream(**columns: str) -> str:
    """Inserts a stream, with other values for some columns."""
    values = {"name": "'a-1'", "category": "'a'", "version": "1", "root": "'a-1'"} | columns
    names = ", ".join(values)
    return (
        f"INSERT INTO {{s}}.streams (created_at, {names}) "
        f"VALUES (now(), {', '.join(values.values())})"
    )


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE {s}.events SET data = 'x'", asyncpg.RestrictViolationError),
        ("UPDATE {s}.events SET deleted_at = now()", asyncpg.RestrictViolationError),
        ("DELETE FROM {s}.events", asyncpg.RestrictViolationError),
        ("TRUNCATE {s}.events", asyncpg.RestrictViolationError),
        ({"position": 1, "version": 9, "id": ID.format(8)}, asyncpg.UniqueViolationError),
        ({"position": 9, "version": 1, "id": ID.format(8)}, asyncpg.UniqueViolationError),
        ({"position": 9, "version": 9, "id": ID.format(1)}, asyncpg.UniqueViolationError),
        ({"position": 0, "version": 9, "id": ID.format(8)}, asyncpg.CheckViolationError),
        (
            {"position": 9, "version": 9, "id": ID.format(8), "cancels": f"'{ID.format(1)}'"},
            asyncpg.UniqueViolationError,
        ),
        ("INSERT INTO {s}.store DEFAULT VALUES", asyncpg.UniqueViolationError),
        ("INSERT INTO {s}.counter DEFAULT VALUES", asyncpg.UniqueViolationError),
        ("UPDATE {s}.counter SET position = -1", asyncpg.CheckViolationError),
        (
            (
                "INSERT INTO {s}.streams (name, category, version, root, created_at) "
                "VALUES ('a-1', 'b', 1, 'a-1', now())"
            ),
            asyncpg.CheckViolationError,
        ),
        (
            (
                "INSERT INTO {s}.streams (name, category, version, root, created_at, successor) "
                "VALUES ('a-1', 'a', 1, 'a-1', now(), 'a-2')"
            ),
            asyncpg.CheckViolationError,
        ),
        (_stream(version="0"), asyncpg.CheckViolationError),
        (_stream(lifecycle="4"), asyncpg.CheckViolationError),
        (_stream(root="'a-2'"), asyncpg.CheckViolationError),
        (_stream(predecessor="'a-0'"), asyncpg.CheckViolationError),
        (_stream(name="''", category="''", root="''"), asyncpg.CheckViolationError),
        (
            _stream(name="'a-' || repeat('b', 254)", root="'a-' || repeat('b', 254)"),
            asyncpg.CheckViolationError,
        ),
        (
            _stream() + "; UPDATE {s}.streams SET successor = 'a-2' WHERE name = 'a-1'",
            asyncpg.CheckViolationError,
        ),
        (
            _stream() + "; UPDATE {s}.streams SET name = 'b-1', root = 'b-1' WHERE name = 'a-1'",
            asyncpg.CheckViolationError,
        ),
    ],
)
async def test_the_database_refuses_what_would_break_a_promise(
    database_url: str, statement: str | dict[str, object], error: type[Exception]
) -> None:
    schema = await make_store(database_url)
    async with connected(database_url) as connection:

        def insert(**columns: object) -> str:
            return INSERT_EVENT.format(s=schema, **{"cancels": "NULL", **columns})

        await connection.execute(insert(position=1, version=1, id=ID.format(1)))
        cancelling = insert(position=2, version=2, id=ID.format(2), cancels=f"'{ID.format(1)}'")
        await connection.execute(cancelling)
        sql = insert(**statement) if isinstance(statement, dict) else statement.format(s=schema)
        with pytest.raises(error):
            await connection.execute(sql)
        assert await connection.fetchval(f"SELECT count(*) FROM {schema}.events") == 2


async def test_pages_follow_their_indexes(database_url: str) -> None:
    """A page must not sort or read a table from end to end, however large the store is."""
    schema = await make_store(database_url)
    queries = Queries(schema)
    cases = {
        "stream_page": ("1, 1, 100, 50, NULL, NULL", "events_stream_version"),
        "stream_page_backwards": ("1, 1, 100, 50, NULL, NULL", "events_stream_version"),
        "stream_begin": ("'c-1', 1, 100, 50, NULL, NULL", "events_stream_version"),
        "stream_begin_backwards": ("'c-1', 1, 100, 50, NULL, NULL", "events_stream_version"),
        "fold_begin": ("'c-1', 1, 100, 50", "events_stream_version"),
        "fold_rest_brief": (f"1, 1, {NO_END}, {NO_END}", "events_stream_version"),
        "fold_begin_until": ("'c-1', 1, 9, 50, NULL, NULL, NULL", "events_stream_version"),
        "log_page": ("true, 1, 20000, 50, false", "events_pkey"),
        "log_page_backwards": ("true, 1, 20000, 50, true", "events_pkey"),
        "log_page_filtered": ("true, 1, 20000, 50, false, NULL, NULL, NULL", "events_pkey"),
        "log_page_filtered_backwards": (
            "true, 1, 20000, 50, true, NULL, NULL, NULL",
            "events_pkey",
        ),
        "tail_page": (f"'{ID.format(1)}', 1, {NO_END}, {NO_END}, 0", "events_pkey"),
        "position_from_time": ("20000, '2020-01-01'", "events_pkey"),
        "event": (f"'{ID.format(1)}', 1, {NO_END}, 1", "events_id"),
        "stream": ("'c-1'", "streams_name_key"),
    }
    async with connected(database_url) as connection:
        await _fill(connection, schema)
        await connection.execute("SET enable_bitmapscan = off; SET jit = off")
        for name, (arguments, index) in cases.items():
            await connection.execute(f"PREPARE {name} AS {queries[name]}")
            rows = await connection.fetch(f"EXPLAIN EXECUTE {name} ({arguments})")
            plan = "\n".join(row[0] for row in rows)
            assert f"using {index} on" in plan, f"{name}\n{plan}"
            assert "Sort" not in plan, f"{name}\n{plan}"
            assert "Seq Scan on events" not in plan, f"{name}\n{plan}"


@pytest.mark.parametrize("name", ["begin", "begin_backwards", "page", "page_backwards"])
async def test_marks_of_what_is_cancelled_follow_their_index(database_url: str, name: str) -> None:
    """Whatever the planner knows: no list of all cancellations is made for a page."""
    schema = await make_store(database_url)
    text = Queries(schema)[f"stream_{name}_marked"]
    stream = "'c-1'" if "begin" in name else "1"
    async with connected(database_url) as connection:
        await _fill(connection, schema)
        await connection.execute("SET enable_bitmapscan = off; SET jit = off")
        await connection.execute(f"PREPARE page AS {text}")
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            rows = await connection.fetch(
                f"EXPLAIN EXECUTE page ({stream}, 1, 100, 50, NULL, NULL)"
            )
            plan = "\n".join(row[0] for row in rows)
            assert "using events_stream_version on" in plan, plan
            assert "using events_cancels on" in plan, plan
            assert "Sort" not in plan, plan
            assert "Seq Scan" not in plan, plan


async def test_pages_of_categories_follow_their_index(database_url: str) -> None:
    """Whatever the planner knows of the values: it sorts positions, and no events."""
    schema = await make_store(database_url)
    text = Queries(schema)["categories_page"]
    async with connected(database_url) as connection:
        await _fill(connection, schema)
        await connection.execute("SET enable_bitmapscan = off; SET jit = off")
        await connection.execute(f"PREPARE page AS {text}")
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for categories in ("ARRAY['c']", "ARRAY['a', 'b', 'c']"):
                rows = await connection.fetch(
                    f"EXPLAIN EXECUTE page ({categories}, 9000, 20000, 20000, NULL, NULL, false)"
                )
                plan = "\n".join(row[0] for row in rows)
                assert "using events_category_position on" in plan, plan
                assert "using events_pkey on" in plan, plan
                assert "Seq Scan" not in plan, plan
                assert "Hash" not in plan, plan


async def test_the_head_of_a_read_follows_indexes(database_url: str) -> None:
    """It sorts, but no more than the pairs of a resume token."""
    schema = await make_store(database_url)
    async with connected(database_url) as connection:
        await _fill(connection, schema)
        await connection.execute("SET enable_bitmapscan = off; SET jit = off")
        await connection.execute(f"PREPARE head AS {Queries(schema)['stream_head']}")
        rows = await connection.fetch("EXPLAIN EXECUTE head ('c-1', 9, 0, 0, '{0,1,2,4}')")
        plan = "\n".join(row[0] for row in rows)
        for index in ("streams_name_key", "events_stream_version", "events_pkey"):
            assert f"using {index} on" in plan, plan
        # It has one row.
        assert plan.count("Seq Scan") == plan.count("Seq Scan on counter") == 1, plan


async def test_a_page_of_the_log_remembers_the_names_of_streams(database_url: str) -> None:
    """Else the names cost as much as the events; whatever the plan is made for."""
    schema = await make_store(database_url)
    queries = Queries(schema)
    async with connected(database_url) as connection:
        await _fill(connection, schema, streams=200)
        await connection.execute("SET enable_bitmapscan = off; SET jit = off")
        for mode in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for name in ("log_page", "log_page_backwards"):
                await connection.execute(f"PREPARE {name}_{mode} AS {queries[name]}")
                rows = await connection.fetch(
                    f"EXPLAIN EXECUTE {name}_{mode} (false, 1, 20000, 20000, false)"
                )
                plan = "\n".join(row[0] for row in rows)
                assert "Cache Key: e.stream_no" in plan, f"{name}\n{plan}"


async def _fill(connection: Any, schema: str, streams: int = 2000) -> None:
    """20,000 events of some streams, interleaved."""
    await connection.execute(
        f"""
        INSERT INTO {schema}.streams (name, category, version, root, created_at)
        SELECT 'c-' || n, 'c', 100, 'c-' || n, now() FROM generate_series(1, {streams}) n;
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, type, category, writer, data, metadata,
                                     sent_digest, stored_digest)
        SELECT p, 1 + (p - 1) % {streams}, 1 + (p - 1) / {streams}, now(), now(),
               gen_random_uuid(), 'T', 'c', 'w', '{{}}', '{{}}', sha256(''), sha256('')
          FROM generate_series(1, 20000) p;
        ANALYZE {schema}.streams, {schema}.events;
        """
    )
