"""Goal: a store is one schema; two in one database know nothing of each other.

Method: servers on one PostgreSQL with a schema each, and two with the same; tokens of one used on
the other; a schema made beforehand for a role that may do nothing else.
"""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest
from tests.integration.server.conftest import Starter
from tests.support.database import connected
from tests.support.servers import ServerDied, start_server

import eventfold


def event(**data: object) -> eventfold.Event:
    return eventfold.Event("Opened", data)


def test_two_stores_of_one_database_are_apart(start: Starter) -> None:
    one, two = start(), start()
    same_ids = event(store=1)
    with eventfold.Client(one.address) as first, eventfold.Client(two.address) as second:
        for store in (first, second):
            result = store.append("account-1", [same_ids], expected_version=0)
            assert (result.positions, result.duplicate) == ((1,), False)
        first.append("account-2", [event(), event()], expected_version=0)
        assert [stream.name for stream in second.list_streams()] == ["account-1"]
        assert len(list(first.read_all())) == 3
        assert len(list(second.read_all())) == 1
        with pytest.raises(eventfold.StreamNotFound):
            list(second.read("account-2"))
        reader = first.read_all()
        list(reader)
        token = reader.end.resume_token
        second.append("account-9", [event() for _ in range(5)], expected_version=0)
        with pytest.raises(eventfold.StoreIncarnationChanged) as changed:
            list(second.read_all(resume_token=token))
        # The event of position 1 has the same id in both.
        assert changed.value.facts == {"common_position": "1", "token_position": "3"}
        assert list(first.read_all(resume_token=token)) == []


def test_servers_that_start_at_once_make_one_store(database_url: str, tmp_path: Path) -> None:
    schema = f"test_{uuid.uuid4().hex}"
    versions: list[int] = []
    faults: list[BaseException] = []
    together = threading.Barrier(4)

    def run(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            together.wait(timeout=30)
            with (
                start_server(folder, database_url=database_url, schema=schema) as server,
                eventfold.Client(server.address) as store,
            ):
                result = store.append("a-1", [event()], expected_version=eventfold.ANY)
                versions.append(result.last_version)
        except BaseException as fault:
            faults.append(fault)
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not faults
    assert sorted(versions) == [1, 2, 3, 4]


def test_a_role_needs_no_more_than_its_schema(start: Starter, database_url: str) -> None:
    name = f"role_{uuid.uuid4().hex[:12]}"
    user, _, rest = database_url.partition("//")[2].partition(":")
    own_url = f"postgresql://{name}:secret@{rest.partition('@')[2]}"
    assert user
    with connected(database_url) as postgres:
        postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        postgres.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
    server = start(database_url=own_url, schema=name)
    with eventfold.Client(server.address) as store:
        assert store.append("account-1", [event()], expected_version=0).positions == (1,)
    # A schema that it would have to make itself is too much.
    with pytest.raises(ServerDied, match="PostgreSQL refuses: permission denied"):
        start(database_url=own_url, schema="another")


def test_a_strange_schema_is_refused_before_anything_is_made(start: Starter) -> None:
    for schema in ('a"; DROP SCHEMA public; --', "", "x" * 58):
        with pytest.raises(ServerDied, match="a schema name has 1 to 57"):
            start(schema=schema)
