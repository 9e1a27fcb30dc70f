"""Goal: rebuilds and lost leases never show: no query fails, and no answer is wrong.

Method: a large log, writers and queries all the time, while documents change and tables are built
anew; every answer is held against the model at its own position. And a server that is stopped
beyond its lease, and goes on when another one has its work.

`--rebuilt-events N` says how large the log is (`make faults`: a million).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.faults.project import documents
from tests.faults.project.answers import Asking
from tests.faults.project.calls import Calls, calling, wait_for
from tests.faults.project.stage import Stage, stage
from tests.faults.project.tables import check
from tests.faults.project.traffic import write_until
from tests.support.history import History, run_threads
from tests.support.servers import start_postgres

import eventfold
from eventfold import Event
from eventfold.v1 import projections_pb2 as pb

# Nothing fails, so that answers are known at every position.
BROKEN = 0
KEYS = {
    "shops": [f"s{number}" for number in range(12)],
    "carts": [f"cart-{number}" for number in range(0, 150, 7)],
    "types": ["Sold", "Added"],
}
COUNTED = {"shops": "sales", "carts": "count", "types": "n"}
FEW = 3_000
QUERIERS = 2


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL for the stores of these tests."""
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as found:
        yield found


@pytest.mark.timeout(1800)
def test_a_rebuild_under_load(
    url: str, shared_tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    events = int(request.config.getoption("--rebuilt-events"))
    noted, stop = History(), threading.Event()
    with (
        stage(shared_tmp_path, url, "rebuilt", events, BROKEN) as made,
        made.server() as server,
        calling(server.address) as calls,
    ):
        asking = [Asking(lambda: server.address, seed, KEYS, COUNTED) for seed in range(QUERIERS)]
        threads = run_threads(
            noted,
            [
                lambda: write_until(lambda: server.address, 1, stop, broken=BROKEN),
                *(lambda one=one: one.run(stop) for one in asking),
            ],
        )
        try:
            # Another document, and the same again.
            for document in (documents.shops(big=2000), documents.carts(more=7)):
                calls.put(document.text, pb.PROJECTION_SWITCH_WHEN_VERIFIED)
            calls.rebuild("types")
            for name, generation in (("shops", 2), ("carts", 2), ("types", 2)):
                wait_for(lambda n=name, g=generation: calls.get(n).active == g, name, 900)
            # Back and forth, and the old one goes, while all of them ask.
            calls.switch("shops", 1)
            calls.switch("shops", 2)
            calls.drop("shops", 1)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert noted.faults == [], server.log_tail()
        made.settles(calls)
    log = made.database.log()
    for one in asking:
        assert len(one.answers) > 50, "hardly anything was asked"
        assert one.wrong(log) == []
    answered = {which for one in asking for which in one.sources}
    assert {("shops", 1), ("shops", 2), ("carts", 2), ("types", 2)} <= answered


@pytest.mark.long
def test_a_server_that_was_stopped_writes_nothing(url: str, shared_tmp_path: Path) -> None:
    """It wakes up, wherever it was, when another server has gone on without it."""
    noted, stop = History(), threading.Event()
    with (
        stage(shared_tmp_path, url, "stopped", FEW, BROKEN) as made,
        made.server() as first,
        made.server() as second,
    ):
        awake = [first]
        [writer] = run_threads(
            noted, [lambda: write_until(lambda: awake[0].address, 1, stop, broken=BROKEN)]
        )
        try:
            for stopped, other in ((first, second), (second, first)) * 2:
                awake[0] = other
                with beyond_its_lease(made, stopped.pid):
                    wait_for(lambda: made.database.leased() == 3, "the other one to take over")
                    head = len(made.database.log())
                    with calling(other.address) as calls:
                        caught_up(calls, head)
                    taken = made.database.leases()
                # The one that was stopped is at work again, with leases that are no longer its own.
                stop.wait(0.5)
                check(made.database)
                assert made.database.leases() == taken
        finally:
            stop.set()
            writer.join(30)
        assert noted.faults == []
        with calling(first.address) as calls:
            made.settles(calls)


def test_a_server_that_stands_still_in_a_transaction_is_in_nobodys_way(
    url: str, shared_tmp_path: Path
) -> None:
    """Its locks go with the transaction, and when it wakes up it can write nothing of it."""
    with (
        stage(shared_tmp_path, url, "still", FEW, BROKEN) as made,
        made.server(failpoint="before_commit:1:stop") as first,
        calling(first.address) as calls,
    ):
        wait_for(lambda: made.database.leased() == 3, "the first server to have all")
        added = Event("Added", {"article": "a1", "quantity": 1})
        # It may stand still before it has answered.
        with (
            suppress(eventfold.EventfoldError),
            eventfold.Client(first.address, timeout=5) as store,
        ):
            store.append("cart-1", [added], expected_version=eventfold.ANY)
        wait_for(lambda: stands_still(first.process.pid), "the first server to stand still")
        with made.server() as second:
            made.database.end_leases()
            with calling(second.address) as others:
                caught_up(others, len(made.database.log()))
            taken = made.database.leases()
            os.kill(first.process.pid, signal.SIGCONT)
            calls.all()
            check(made.database, at_head=True)
            assert made.database.leases() == taken
            with calling(second.address) as others:
                made.settles(others)


def stands_still(pid: int) -> bool:
    """Whether the process was stopped."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return status.rpartition(")")[2].split()[0] == "T"


@contextmanager
def beyond_its_lease(made: Stage, pid: int) -> Iterator[None]:
    """Stops a process, and lets the time of its leases pass."""
    os.kill(pid, signal.SIGSTOP)
    try:
        made.database.end_leases()
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def caught_up(calls: Calls, position: int) -> None:
    """Waits until all tables have what is in the log up to there."""

    def probe() -> bool:
        found = [one for projection in calls.all() for one in projection.generations]
        return min(one.position for one in found) >= position

    wait_for(probe, f"all tables to reach {position}")
