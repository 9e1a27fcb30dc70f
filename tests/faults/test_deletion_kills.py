"""Goal: wherever a server is killed, a deletion that was asked for comes to its end: nothing of the
stream is left, `$audit` says so once, and nothing else is touched.

Method: servers that kill themselves at a named point of a deletion. The next server goes on; what
is left in tables and projections is then looked at. The points are those of the code: one without a
case is a failure.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.database import connected
from tests.support.servers import RunningServer, ServerDied, start_postgres, start_server

import eventfold
from eventfold import EXISTS, Client, Event, Lifecycle
from eventfold_server import failpoints
from eventfold_server.limits import DELETION_CHUNK_EVENTS

# By point the how many-th times that it is reached are the last.
CASES = {
    "deletion_asked": [1],
    "deletion_audited": [1],
    "deletion_chunk": [1, 2, 3],
    "deletion_emptied": [1],
    "deletion_kept": [1],
    "deletion_rows": [1],
    "deletion_rebuilt": [1],
    "deletion_cleaned": [1],
}
SECRET = "Ada" + uuid.uuid4().hex
FOLD = """
fold: names
keep: {every: 1}
initial: {names: []}
handlers: {Named: {names: "state.names + [event.name]"}}
"""


def test_every_point_has_a_case() -> None:
    assert set(CASES) == {name for name in failpoints.NAMES if name.startswith("deletion_")}


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
        "source": {"category": "User"},
        "key": key,
        "initial": {"names": []},
        "handlers": {"Named": {"names": "state.names + [event.name]"}},
        "columns": {"names": "jsonb"},
    }


def fill(store: Client) -> None:
    """A stream that goes, one that belongs to it, and one that stays."""
    store.put_fold(FOLD)
    for key, name in (("meta.stream", "streams"), ("event.town", "towns")):
        store.put_projection(projection(name, key))
    private = {"name": SECRET, "town": "T"}
    store.append("User-1", [Event("Named", private, tags=[SECRET])], expected_version=0)
    events = [Event("Named", private, metadata={"by": SECRET})] * 1
    events += [Event("Named", private) for _ in range(DELETION_CHUNK_EVENTS)]
    store.append("User-2", events, expected_version=0)
    last = store.append(
        "User-3", [Event("Named", {"name": "Eve", "town": "T"})], expected_version=0
    )
    store.put_link("User-2", "User-1", policy="cascade")
    for name in ("streams", "towns"):
        store.query_projection_page(name, at_least_position=last.positions[-1], timeout=30)
    for stream in ("User-1", "User-2", "User-3"):
        store.hydrate_stream(stream, fold="names")


def ask(store: Client) -> None:
    """Asks for the deletion."""
    store.delete_stream("User-1", expected_version=EXISTS, reason="asked for")


def finish(store: Client) -> None:
    """Asks for it, if that has not come through before, and waits for its end."""
    with contextlib.suppress(eventfold.StreamDeleted):
        ask(store)
    [one] = store.list_deletions()
    store.wait_deletion(one.deletion_id, timeout=60)


def die(server: RunningServer) -> None:
    """Asks, and returns when the server is dead: nobody waits for an answer of it."""
    with (
        Client(server.address, timeout=2.0) as store,
        contextlib.suppress(eventfold.EventfoldError),
    ):
        ask(store)
    assert server.process.wait(timeout=60) == -9, server.log_tail()


def check(store: Client, url: str, schema: str) -> None:
    """Nothing of the two streams is left, and the third is as it was."""
    [done] = store.list_deletions()
    assert (done.state, done.streams, done.waiting) == ("done", 2, ())
    assert done.events == done.events_emptied == DELETION_CHUNK_EVENTS + 2
    lifecycles = [store.get_stream(f"User-{number}").lifecycle for number in (1, 2, 3)]
    assert lifecycles == [Lifecycle.DELETED, Lifecycle.DELETED, Lifecycle.OPEN]
    noted = [event.data["stream"] for event in store.read("$audit")]
    assert noted == ["User-1", "User-2"]
    rows = {row.key: row.columns["names"] for row in store.query_projection("streams")}
    assert rows == {"User-3": ["Eve"]}
    rows = {row.key: row.columns["names"] for row in store.query_projection("towns")}
    assert rows == {"T": ["Eve"]}
    for name in ("streams", "towns"):
        assert store.verify_projection(name).keys_differing == 0
    assert store.hydrate_stream("User-3", fold="names").state == {"names": ["Eve"]}
    with connected(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (schema,)
        ).fetchall()
        for (table,) in tables:
            found = connection.execute(
                f'SELECT count(*) FROM {schema}."{table}" t'
                " WHERE t::text LIKE %s OR t::text LIKE %s",
                (f"%{SECRET}%", f"%{SECRET.encode().hex()}%"),
            ).fetchone()
            assert found == (0,), table


def test_killed_at_a_point(failpoint: str, times: int, url: str, tmp_path: Path) -> None:
    schema = f"k_{uuid.uuid4().hex[:12]}"
    options: dict[str, object] = {"database_url": url, "schema": schema}
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
        connection.execute(f"UPDATE {schema}.deletions SET lease_until = NULL")
        connection.execute(f"UPDATE {schema}.projection_progress SET lease_until = NULL")
    with start_server(tmp_path, **options) as server, Client(server.address) as store:
        finish(store)
        check(store, url, schema)
