"""Goal: wherever a server is killed, an erasure that was asked for comes to its end: nobody opens a
value of the subject any more, nothing that was made of one is left, `$audit` says so once, the
receipt is true, and nothing else is touched.

Method: servers that kill themselves at a named point of an erasure. The next server goes on; what
is left in tables and projections is then looked at. The points are those of the code: one without a
case is a failure.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.database import connected
from tests.support.keys import master_key_file
from tests.support.servers import RunningServer, ServerDied, start_postgres, start_server

import eventfold
from eventfold import Client, Event, Lifecycle
from eventfold_server import failpoints

# By point the how many-th times that it is reached are the last. Those of the fence are also
# points of an erasure, and those of deletions and of cleaning up.
CASES = {
    "erasure_asked": [1],
    "fence_written": [1],
    "keys_destroyed": [1],
    "fence_in_log": [1],
    "erasure_fenced": [1],
    "erasure_evicted": [1],
    "erasure_deleting": [1],
    "erasure_kept": [1],
    "deletion_rows": [1, 2],
    "deletion_rebuilt": [1],
    "deletion_emptied": [1],
    "erasure_cleaned": [1],
    "erasure_forgotten": [1],
    "erasure_announced": [1],
    "erasure_receipt": [1],
}
SECRET = "Ada" + uuid.uuid4().hex
ID = "7c1f3a52-5e0d-4c4e-9d0f-2b7a6c1e9f00"
FOLD = """
fold: names
keep: {every: 1}
initial: {names: []}
handlers: {Named: {names: "state.names + [event.name]"}}
"""


def test_every_point_has_a_case() -> None:
    points = {name for name in failpoints.NAMES if name.startswith("erasure_")}
    assert points <= set(CASES)
    assert set(CASES) <= set(failpoints.NAMES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The first case of each point, and with `--all-kills` the others."""
    if "times" in metafunc.fixturenames:
        last = None if metafunc.config.getoption("--all-kills") else 1
        cases = [(point, times) for point, all_ in CASES.items() for times in all_[:last]]
        ids = [f"{point}-{times}" for point, times in cases]
        metafunc.parametrize(("failpoint", "times"), cases, ids=ids)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kills")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


def projection(name: str, key: str) -> dict[str, object]:
    return {
        "projection": name,
        "source": {"categories": ["User", "Log"]},
        "key": key,
        "initial": {"n": 0},
        "handlers": {"Named": {"n": "state.n + 1"}},
        "columns": {"n": "integer"},
    }


def fill(store: Client) -> None:
    """A subject with values in its own stream and in another one, a private half, and somebody
    else.
    """
    of_user = {"subject": {"pointer": "/userId", "category": "User"}}
    store.put_privacy_rules({"privacy": "Named", "personal": {"/name": of_user}})
    store.put_privacy_rules({"category": "UserPrivate", "personal": "all"})
    store.put_link_rule("private halves", category="UserPrivate", of="User", policy="cascade")
    store.put_fold(FOLD)
    for key, name in (("meta.stream", "streams"), ("event.town", "towns")):
        store.put_projection(projection(name, key))

    def named(user: int, name: str) -> Event:
        return Event("Named", {"name": name, "userId": user, "town": "T"})

    store.append("User-1", [named(1, SECRET), named(1, SECRET)], expected_version=0)
    store.append("User-2", [named(2, "Eve")], expected_version=0)
    store.append("UserPrivate-1", [Event("Born", {"on": SECRET})], expected_version=0)
    last = store.append("Log-1", [named(2, "Eve"), named(1, SECRET)], expected_version=0)
    for name in ("streams", "towns"):
        store.query_projection_page(name, at_least_position=last.positions[-1], timeout=30)
    for stream in ("User-1", "User-2", "Log-1"):
        store.hydrate_stream(stream, fold="names")


def ask(store: Client) -> eventfold.ErasureInfo:
    """Asks for the erasure, if that has not come through before, and waits for it."""
    store.erase("User-1", reason="asked for", request_id=ID)
    return store.wait_erasure(ID, timeout=90)


def die(server: RunningServer) -> None:
    """Asks for the erasure, and returns when the server is dead."""
    with (
        Client(server.address, timeout=10.0) as store,
        contextlib.suppress(eventfold.EventfoldError),
    ):
        store.erase("User-1", reason="asked for", request_id=ID)
    assert server.process.wait(timeout=60) == -9, server.log_tail()


def check(store: Client, url: str, schema: str) -> None:
    """Nobody opens a value of the subject, nothing is left of them, and all else is as it was."""
    [done] = store.list_erasures()
    assert (done.state, done.erasure_id, done.waiting) == ("done", ID, ())
    check_receipt(store, done)
    names = [event.data["name"] for event in store.read_all(types=["Named"])]
    assert names == [None, None, "Eve", "Eve", None]
    streams = ("User-1", "User-2", "UserPrivate-1", "Log-1")
    lifecycles = [store.get_stream(stream).lifecycle for stream in streams]
    assert lifecycles == [Lifecycle.OPEN, Lifecycle.OPEN, Lifecycle.DELETED, Lifecycle.OPEN]
    told = [event.type for event in store.read("$audit")]
    assert sorted(told) == ["$StreamDeleted", "$SubjectErased"]
    again = Event("Named", {"name": "again", "userId": 1, "town": "T"})
    with pytest.raises(eventfold.SubjectErased):
        store.append("User-1", [again], expected_version=2)
    rows = {row.key: row.columns["n"] for row in store.query_projection("streams")}
    assert rows == {"User-1": 2, "User-2": 1, "Log-1": 2}
    for name in ("streams", "towns"):
        assert store.verify_projection(name).keys_differing == 0
    assert store.hydrate_stream("User-2", fold="names").state == {"names": ["Eve"]}
    left(url, schema)
    left(url, f"{schema}_keys")


def check_receipt(store: Client, done: eventfold.ErasureInfo) -> None:
    receipt = store.get_receipt(ID)
    assert receipt is not None
    content: dict[str, Any] = receipt.content
    assert content["subject_hash"] == done.subject_hash.hex()
    removed = content["removed"]
    assert removed["data_keys"] == 1
    assert removed["events_with_sealed_values"] == 3
    assert (removed["streams"], removed["events_of_streams"]) == (1, 1)
    assert removed["projections"] == ["streams", "towns"]
    # The one that was killed never said that it has thrown the key away, or it did before.
    assert content["servers"]["acknowledged"] >= 1
    assert content["remains"]["plaintext"] == []
    times = [time for time in content["times"].values() if time is not None]
    assert len(times) == 7
    assert times == sorted(times)
    assert "User-1" not in json.dumps(content)


def left(url: str, schema: str) -> None:
    """Looks for the secret in all tables."""
    with connected(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (schema,)
        ).fetchall()
        assert tables
        for (table,) in tables:
            found = connection.execute(
                f'SELECT count(*) FROM {schema}."{table}" t'
                " WHERE t::text LIKE %s OR t::text LIKE %s",
                (f"%{SECRET}%", f"%{SECRET.encode().hex()}%"),
            ).fetchone()
            assert found == (0,), table


def test_killed_at_a_point(failpoint: str, times: int, url: str, tmp_path: Path) -> None:
    schema = f"k_{uuid.uuid4().hex[:12]}"
    options: dict[str, object] = {
        "database_url": url,
        "schema": schema,
        "master_key_file": master_key_file(tmp_path),
        "fence_ledger": f"file:{tmp_path / 'fences'}",
    }
    with start_server(tmp_path, **options) as server, Client(server.address) as store:
        fill(store)
    armed = {failpoints.ENVIRONMENT: f"{failpoint}:{times}"}
    with (
        contextlib.suppress(ServerDied),
        start_server(tmp_path, environment=armed, **options) as server,
    ):
        die(server)
    with connected(url) as connection:
        # So that nobody has to wait for them.
        for table in ("erasures", "deletions", "projection_progress"):
            connection.execute(f"UPDATE {schema}.{table} SET lease_until = NULL")
    with start_server(tmp_path, **options) as server, Client(server.address) as store:
        ask(store)
        check(store, url, schema)
