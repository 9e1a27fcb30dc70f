"""Goal: wherever a server is killed, a transform goes on from there: nothing is copied twice,
nothing is lost, and a cut-over or a cancellation that was asked for comes to its end.

Method: servers that kill themselves at a named point while they try, copy, compare, cut over and
cancel. The next server takes over; the log is then compared with what the document says. The points
are those of the code: one without a case is a failure.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.database import connected
from tests.support.servers import RunningServer, ServerDied, start_postgres, start_server
from tests.support.transform_jobs import by_month, check_copies, fill, totals, until

import eventfold
from eventfold import Client, Lifecycle
from eventfold_server import failpoints

CUSTOMERS, PURCHASES = 8, 60


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kills")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


def settle(store: Client, transform_id: str) -> str:
    """Where the transform stays; ends with an error when the server is gone."""
    settled = {"verified", "done", "cancelled", "failed"}
    return until(store, transform_id, lambda one: one.state in settled).state


def cut_over(store: Client) -> None:
    """From the start to the end."""
    found = store.start_transform(by_month("S", "T"))
    finish(store, found.transform_id)


def cancel(store: Client) -> None:
    """From the start to the cancellation of what was verified."""
    found = store.start_transform(by_month("S", "T"))
    assert settle(store, found.transform_id) == "verified"
    store.cancel_transform(found.transform_id)
    settle(store, found.transform_id)


def finish(store: Client, transform_id: str) -> None:
    """Cuts over, if that has not begun."""
    if settle(store, transform_id) == "verified":
        # The call may have come through before.
        with contextlib.suppress(eventfold.TransformState):
            store.cut_over(transform_id)
        until(store, transform_id, lambda one: one.state not in ("verified", "cutting over"))
    assert settle(store, transform_id) == "done"


Act = Callable[[Client], None]
# By point: what is done, and the how many-th time that the point is reached is the last.
CASES: dict[str, list[tuple[Act, int]]] = {
    "transform_started": [(cut_over, 1)],
    "transform_tried": [(cut_over, 1)],
    "transform_trial_over": [(cut_over, 1)],
    "transform_chunk": [(cut_over, 1), (cut_over, 2)],
    "transform_copied": [(cut_over, 1), (cut_over, 2)],
    "transform_caught_up": [(cut_over, 1)],
    "transform_compared": [(cut_over, 1), (cut_over, 2)],
    "transform_verified": [(cut_over, 1)],
    "transform_cut_over_asked": [(cut_over, 1)],
    "transform_held": [(cut_over, 1)],
    "transform_closing": [(cut_over, 1)],
    "transform_closed": [(cut_over, 1)],
    "transform_all_closed": [(cut_over, 1)],
    "transform_succeeded": [(cut_over, 1)],
    "transform_switched": [(cut_over, 1)],
    "transform_cancel_asked": [(cancel, 1)],
    "transform_undone": [(cancel, 1)],
}


def test_every_point_has_a_case() -> None:
    assert set(CASES) == {name for name in failpoints.NAMES if name.startswith("transform_")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The first case of every second point, and with `--all-kills` all cases of all points."""
    if "act" in metafunc.fixturenames:
        cases = [(point, act, times) for point, acts in CASES.items() for act, times in acts]
        if not metafunc.config.getoption("--all-kills"):
            cases = [(point, *acts[0]) for point, acts in list(CASES.items())[::2]]
        ids = [f"{point}-{times}" for point, _, times in cases]
        metafunc.parametrize(("failpoint", "act", "times"), cases, ids=ids)


def die(server: RunningServer, act: Act) -> None:
    """Acts until the server is dead."""
    with (
        Client(server.address, timeout=2.0) as store,
        contextlib.suppress(eventfold.EventfoldError),
    ):
        act(store)
    assert server.process.wait(timeout=30) == -9, server.log_tail()


def end_leases(url: str, schema: str) -> None:
    """So that nobody has to wait for them."""
    with connected(url) as connection:
        connection.execute(f"UPDATE {schema}.transform_progress SET lease_until = NULL")


def test_killed_at_a_point(failpoint: str, act: Act, times: int, url: str, tmp_path: Path) -> None:
    schema = f"k_{uuid.uuid4().hex[:12]}"
    options: dict[str, object] = {"database_url": url, "schema": schema}
    with start_server(tmp_path, **options) as server, Client(server.address) as store:
        fill(store, "S", CUSTOMERS, PURCHASES)
    armed = {failpoints.ENVIRONMENT: f"{failpoint}:{times}"}
    with (
        contextlib.suppress(ServerDied),
        start_server(tmp_path, environment=armed, **options) as server,
    ):
        die(server, act)
    end_leases(url, schema)
    with start_server(tmp_path, **options) as server, Client(server.address) as store:
        [found] = list(store.list_transforms())
        if act is cancel:
            assert settle(store, found.transform_id) == "cancelled"
            check_cancelled(store)
        else:
            finish(store, found.transform_id)
            check_done(store, found.transform_id)


def check_done(store: Client, transform_id: str) -> None:
    """Everything is where the document says, once, and compared."""
    done = store.get_transform(transform_id)
    assert check_copies(store, "S", "T") == CUSTOMERS * PURCHASES == done.events_written
    assert done.events_read == 2 * CUSTOMERS * PURCHASES
    assert sum(one.written for one in done.counts) == done.events_written
    assert done.verification.events == done.events_written
    assert done.verification.targets_equal == done.targets == 12
    assert totals(store, "T") == totals(store, "S")
    assert {one.lifecycle for one in store.list_streams(category="S")} == {Lifecycle.CLOSED}
    assert {one.lifecycle for one in store.list_streams(category="T")} == {Lifecycle.OPEN}


def check_cancelled(store: Client) -> None:
    """Sources are as they were, targets closed."""
    assert {one.lifecycle for one in store.list_streams(category="S")} == {Lifecycle.OPEN}
    assert {one.lifecycle for one in store.list_streams(category="T")} <= {Lifecycle.CLOSED}
