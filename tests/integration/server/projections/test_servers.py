"""Goal: servers build projections by themselves: from the first event to the present, beside each
other, and on after one was stopped or killed, or PostgreSQL went away.

Method: real server processes on a real PostgreSQL; views are read with SQL.
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.faults.test_restart_postgres import postgres_in_a_thread
from tests.integration.server.conftest import Starter
from tests.support.database import connected
from tests.support.groups import reason_and_facts
from tests.support.pgbouncer import pgbouncer, program
from tests.support.projection_servers import (
    ACTIVE,
    BUILDING,
    BY_HAND,
    READY,
    STANDBY,
    USERS,
    VERIFIED,
    Projections,
    end_leases,
    projections_of,
    rows_of,
)
from tests.support.servers import RunningServer, ServerDied, start_server

import eventfold

_WITHOUT_AGE = USERS.replace(", age: event.age", "").replace(", age: integer", "")


@pytest.fixture
def category() -> str:
    """A category of the test's own."""
    return f"c{uuid.uuid4().hex}"


@pytest.fixture
def projections(server: RunningServer) -> Iterator[Projections]:
    with projections_of(server.address) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A projection of the test's own."""
    return f"p{uuid.uuid4().hex}"


def register(store: eventfold.Client, category: str, *users: tuple[str, int]) -> int:
    """Registers users, each in a stream of its own; the last position."""
    position = 0
    for user, age in users:
        data = {"name": user, "age": age}
        appended = store.append(
            f"{category}-{user}",
            [eventfold.Event("UserRegistered", data)],
            expected_version=eventfold.ANY,
        )
        position = appended.positions[-1]
    return position


def test_from_history_into_the_present(
    server: RunningServer, projections: Projections, database_url: str, category: str, name: str
) -> None:
    schema = server.options["schema"]
    with eventfold.Client(server.address) as store:
        register(store, category, ("ada", 36), ("bob", 20))
        put = projections.put(USERS.format(name=name, category=category))
        assert (put.created, put.generation) == (True, 1)
        found = projections.until_active(name, 1)
        assert [row[:3] for row in rows_of(database_url, schema, name)] == [
            (f"{category}-ada", "ada", 36),
            (f"{category}-bob", "bob", 20),
        ]
        assert found.view == f"{schema}_query.{name}"
        appended = store.append(
            f"{category}-ada",
            [eventfold.Event("UserRenamed", {"name": "Ada"})],
            expected_version=1,
        )
        left = store.append(
            f"{category}-bob", [eventfold.Event("UserLeft", {})], expected_version=1
        )
    projections.until_at(name, left.positions[0])
    assert rows_of(database_url, schema, name) == [
        (f"{category}-ada", "Ada", 36, 2, appended.positions[0])
    ]
    [generation] = projections.get(name).generations
    assert generation.events == 4
    assert generation.state == ACTIVE


def test_a_new_generation_takes_over_and_the_old_one_stays_fresh(
    server: RunningServer, projections: Projections, database_url: str, category: str, name: str
) -> None:
    schema = server.options["schema"]
    with eventfold.Client(server.address) as store:
        register(store, category, ("ada", 36))
        projections.put(USERS.format(name=name, category=category))
        projections.until_active(name, 1)
        changed = _WITHOUT_AGE.format(name=name, category=category)
        assert projections.put(changed).generation == 2
        found = projections.until_active(name, 2)
        assert [one.state for one in found.generations] == [STANDBY, ACTIVE]
        assert [row[:2] for row in rows_of(database_url, schema, name)] == [
            (f"{category}-ada", "ada")
        ]
        position = register(store, category, ("bob", 20))
        projections.until_at(name, position)
        back = projections.switch(name, 1)
        assert (back.active, [one.state for one in back.generations]) == (1, [ACTIVE, STANDBY])
        assert [row[1:3] for row in rows_of(database_url, schema, name)] == [
            ("ada", 36),
            ("bob", 20),
        ]
        third = projections.rebuild(name, BY_HAND)
        assert third == 3
        ready = projections.until(name, lambda one: one.generations[-1].state == READY)
        assert ready.active == 1
        assert projections.switch(name).active == 3
    projections.drop(name, 1)
    assert [one.generation for one in projections.get(name).generations] == [3]
    projections.drop(name)
    with connected(database_url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace AND relname ~ %s",
            (schema, "^projection_[0-9]+$"),
        ).fetchone()
        views = connection.execute("SELECT to_regclass(%s)", (f"{schema}_query.{name}",)).fetchone()
    assert tables is not None
    assert views == (None,)


def test_a_verified_generation_takes_over_by_itself(
    server: RunningServer, projections: Projections, database_url: str, category: str, name: str
) -> None:
    """And one with a difference does not, until somebody says so."""
    with eventfold.Client(server.address) as store:
        register(store, category, ("ada", 36), ("bob", 20))
    projections.put(USERS.format(name=name, category=category))
    projections.until_active(name, 1)
    projections.put(_WITHOUT_AGE.format(name=name, category=category), VERIFIED)
    found = projections.until_active(name, 2).generations[1].verification
    assert (found.keys_checked, found.keys_differing, found.rows_shown) == (2, 0, 2)
    assert found.table_checksum == found.fold_checksum != ""
    assert projections.rebuild(name, BY_HAND) == 3
    projections.until(name, lambda one: one.generations[-1].state == READY)
    with connected(database_url) as connection:
        # What no code of the server does.
        changed = connection.execute(
            f"UPDATE {server.options['schema']}.projection_generations SET switch = 1,"
            """ verification = '{"keys_differing": 1, "differing": ["x"]}'"""
            " WHERE state = 2 AND generation = 3 AND source LIKE %s",
            (f"%{name}%",),
        )
    assert changed.rowcount == 1
    position = 0
    with eventfold.Client(server.address) as store:
        for user in ("eve", "joe", "sue"):
            position = register(store, category, (user, 30))
            projections.until_at(name, position)
    assert projections.get(name).active == 2
    projections.switch(name)
    assert projections.get(name).active == 3


def test_a_failure_is_shown_and_hurts_no_other(
    server: RunningServer, projections: Projections, database_url: str, category: str, name: str
) -> None:
    stopping = USERS.format(name=name, category=category)
    parking = USERS.format(name=f"{name}_p", category=category) + "on_error: park\n"
    with eventfold.Client(server.address) as store:
        register(store, category, ("ada", 36))
        projections.put(stopping)
        projections.put(parking)
        projections.until_active(name, 1)
        projections.until_active(f"{name}_p", 1)
        failed = store.append(
            f"{category}-bob",
            [eventfold.Event("UserRegistered", {"name": "bob", "age": "old"})],
            expected_version=0,
        )
        last = register(store, category, ("eve", 40), ("bob", 20))
    found = projections.until(name, lambda one: one.generations[0].HasField("stopped"))
    reason, facts = reason_and_facts(found.generations[0].stopped)
    assert reason == "PROJECTION_FAILED"
    assert facts["projection"] == name
    assert facts["path"] == "columns.age"
    assert facts["key"] == facts["stream"] == f"{category}-bob"
    assert (facts["position"], facts["version"]) == (str(failed.positions[0]), "1")
    assert found.generations[0].position == failed.positions[0] - 1
    assert len(rows_of(database_url, server.options["schema"], name)) == 1
    parked = projections.until_at(f"{name}_p", last)
    assert parked.generations[0].parked_keys == 1
    assert [row[1] for row in rows_of(database_url, server.options["schema"], f"{name}_p")] == [
        "ada",
        "eve",
    ]


def test_two_servers(start: Starter, database_url: str) -> None:
    """What one of them has, the other goes on with: at once if it stops, by the lease if it is
    killed.
    """
    first = start()
    second = start(schema=first.options["schema"])
    names = [f"users_{number}" for number in range(6)]
    with (
        projections_of(first.address) as there,
        projections_of(second.address) as here,
        eventfold.Client(second.address) as store,
    ):
        for name in names:
            there.put(USERS.format(name=name, category="User"))
        position = register(store, "User", ("ada", 36))
        for name in names:
            here.until_active(name, 1)
            here.until_at(name, position)
        first.stop()
        position = register(store, "User", ("bob", 20))
        for name in names:
            # Half of the lease of one that was killed.
            here.until_at(name, position, seconds=5)
        third = start(schema=first.options["schema"])
        second.kill()
    end_leases(database_url, first.options["schema"])
    with projections_of(third.address) as left, eventfold.Client(third.address) as store:
        position = register(store, "User", ("eve", 30))
        for name in names:
            left.until_at(name, position)
            assert len(rows_of(database_url, first.options["schema"], name)) == 3


def test_workers_share_the_projections(start: Starter, database_url: str) -> None:
    server = start(workers=2)
    names = [f"users_{number}" for number in range(4)]
    with projections_of(server.address) as projections, eventfold.Client(server.address) as store:
        for name in names:
            projections.put(USERS.format(name=name, category="User"))
        position = register(store, "User", ("ada", 36), ("bob", 20))
        for name in names:
            projections.until_active(name, 1)
            projections.until_at(name, position)
            assert len(rows_of(database_url, server.options["schema"], name)) == 2


@pytest.mark.skipif(program() is None, reason="pgbouncer is not installed")
def test_behind_a_pooler(start: Starter, database_url: str, tmp_path: Path) -> None:
    """Nothing that a session is told outlives its transaction; three sessions for all."""
    with pgbouncer(tmp_path, database_url) as pooled:
        server = start(database_url=pooled, pooler="transaction", direct_database_url=database_url)
        with (
            projections_of(server.address) as projections,
            eventfold.Client(server.address) as store,
        ):
            register(store, "User", ("ada", 36))
            projections.put(USERS.format(name="users", category="User"))
            projections.until_active("users", 1)
            projections.put(_WITHOUT_AGE.format(name="users", category="User"))
            projections.until_active("users", 2)
            position = register(store, "User", ("bob", 20))
            projections.until_at("users", position)
            assert projections.switch("users", 1).active == 1
            rows = rows_of(database_url, server.options["schema"], "users")
            assert [row[1] for row in rows] == ["ada", "bob"]
            projections.drop("users")
        server.stop()


def test_postgres_may_go_away_meanwhile(tmp_path: Path) -> None:
    with (
        postgres_in_a_thread(tmp_path / "postgres") as (postgres, run),
        start_server(tmp_path, database_url=postgres.dsn) as server,
        projections_of(server.address) as projections,
        eventfold.Client(server.address) as store,
    ):
        register(store, "User", ("ada", 36))
        projections.put(USERS.format(name="users", category="User"))
        projections.until_active("users", 1)
        for number in range(2):
            if number:
                os.kill(postgres.pid, signal.SIGKILL)
            run(postgres.restart())
            position = register(store, "User", (f"user{number}", number))
            projections.until_at("users", position)
        assert [row[1] for row in rows_of(postgres.dsn, "eventfold", "users")] == [
            "ada",
            "user0",
            "user1",
        ]


def test_queries_and_switches_at_once(
    server: RunningServer, projections: Projections, database_url: str, category: str, name: str
) -> None:
    """Readers with SQL, each in a session of its own, while generations come and go: no statement
    fails, and none sees another number of rows than there are.
    """
    view = f"{server.options['schema']}_query.{name}"
    with eventfold.Client(server.address) as store:
        register(store, category, *((f"user{number}", number) for number in range(20)))
    projections.put(USERS.format(name=name, category=category))
    projections.until_active(name, 1)
    ended, faults, seen = threading.Event(), list[Exception](), list[int]()

    def read() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while not ended.is_set():
                try:
                    row = connection.execute(f"SELECT count(name) FROM {view}").fetchone()
                    assert row is not None
                    seen.append(row[0])
                except Exception as error:  # noqa: BLE001 - told below
                    faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(2, 6):
            if number % 2:
                projections.rebuild(name)
            else:
                text = USERS if number == 4 else _WITHOUT_AGE
                projections.put(text.format(name=name, category=category))
            projections.until_active(name, number)
            projections.switch(name, number - 1)
            projections.switch(name, number)
            projections.drop(name, number - 1)
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert faults == []
    assert len(seen) > 20
    assert set(seen) == {20}


def test_a_role_reads_the_views_and_nothing_else(start: Starter, database_url: str) -> None:
    role = f"r_{uuid.uuid4().hex}"
    with pytest.raises(ServerDied, match=f"no role {role}"):
        start(query_role=role)
    with connected(database_url) as connection:
        connection.execute(f"CREATE ROLE {role}")
    server = start(query_role=role)
    # Again, since it is granted at each start.
    second = start(query_role=role, schema=server.options["schema"])
    schema = server.options["schema"]
    with projections_of(second.address) as projections:
        projections.put(USERS.format(name="users", category="User"))
        projections.until_active("users", 1)
        projections.put(_WITHOUT_AGE.format(name="users", category="User"))
        projections.until_active("users", 2)
    with connected(database_url) as connection:
        connection.execute(f"SET ROLE {role}")
        assert connection.execute(f"SELECT * FROM {schema}_query.users").fetchall() == []
        for table in ("events", "projections", "projection_1"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {schema}.{table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"DELETE FROM {schema}_query.users")


def test_the_embedded_postgres_makes_the_role(tmp_path: Path) -> None:
    with start_server(tmp_path, query_role="reports") as server:
        assert server.data_dir is not None
        url = (server.data_dir / "postgres.url").read_text().strip()
        with connected(url) as connection:
            [can_login] = connection.execute(
                "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'reports'"
            ).fetchone() or [None]
    assert can_login is True


def test_without_the_right_to_make_a_schema(start: Starter, database_url: str) -> None:
    """There are no views, and all else works; once the schema is there, they are made."""
    role = f"role_{uuid.uuid4().hex[:12]}"
    user, _, rest = database_url.partition("//")[2].partition(":")
    own_url = f"postgresql://{role}:secret@{rest.partition('@')[2]}"
    assert user
    with connected(database_url) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        connection.execute(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
    server = start(database_url=own_url, schema=role)
    with projections_of(server.address) as projections, eventfold.Client(server.address) as store:
        register(store, "User", ("ada", 36))
        projections.put(USERS.format(name="users", category="User"))
        projections.until_active("users", 1)
    assert "projections have no views" in server.log_tail()
    with connected(database_url) as connection:
        connection.execute(f"CREATE SCHEMA {role}_query AUTHORIZATION {role}")
    server.stop()
    again = start(database_url=own_url, schema=role)
    with projections_of(again.address) as projections, eventfold.Client(again.address) as store:
        position = register(store, "User", ("bob", 20))
        projections.until_at("users", position)
    assert [row[1] for row in rows_of(database_url, role, "users")] == ["ada", "bob"]


def test_a_generation_that_is_stopped_while_it_is_built(
    server: RunningServer, projections: Projections, category: str, name: str
) -> None:
    """A new document mends it: what is not active yet gives way."""
    with eventfold.Client(server.address) as store:
        store.append(
            f"{category}-bob",
            [eventfold.Event("UserRegistered", {"name": "bob"})],
            expected_version=0,
        )
    projections.put(USERS.format(name=name, category=category))
    found = projections.until(name, lambda one: one.generations[0].HasField("stopped"))
    assert (found.active, found.generations[0].state) == (0, BUILDING)
    projections.put(_WITHOUT_AGE.format(name=name, category=category))
    found = projections.until_active(name, 2)
    assert [one.generation for one in found.generations] == [2]
