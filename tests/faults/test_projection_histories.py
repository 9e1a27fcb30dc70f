"""Goal: tables equal a fold from scratch, and no answer is wrong, whatever breaks whenever.

Method: random histories. Writers append through two servers, somebody changes, rebuilds, switches,
drops and retries, others query; meanwhile servers are killed and replaced, stopped beyond their
lease and let go, and PostgreSQL is restarted. At the end every table must equal a fold from scratch
byte for byte, and every answer the model at its own position.

`--projection-histories N` makes more of them (`make faults`).
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.follow.inject import Servers, restart_postgres
from tests.faults.project.answers import Asking
from tests.faults.project.calls import calling
from tests.faults.project.operator import Operator
from tests.faults.project.stage import OUTAGE, Stage, stage
from tests.faults.project.traffic import write_until
from tests.faults.test_restart_postgres import Run, postgres_in_a_thread
from tests.support.history import History, run_threads

from eventfold_server.embedded import EmbeddedPostgres

EVENTS = 3_000
HISTORY_S = 4.0
# Events that fail, of a thousand of shops.
BROKEN = 5
# Shops may have parked keys, and an answer does not say which.
KEYS = {"carts": [f"cart-{number}" for number in range(0, 150, 7)], "types": ["Sold", "Noticed"]}
COUNTED = {"carts": "count", "types": "n"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `projection_seed` runs once for each history."""
    if "projection_seed" in metafunc.fixturenames:
        count = int(metafunc.config.getoption("--projection-histories"))
        metafunc.parametrize("projection_seed", range(count))


@pytest.fixture(scope="module")
def postgres(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EmbeddedPostgres, Run]]:
    """One PostgreSQL for all histories, each of which has a schema of its own."""
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with postgres_in_a_thread(folder) as running:
        yield running


def break_servers(running: Servers, made: Stage, seed: int, stop: threading.Event) -> None:
    """Kills and pauses at random moments; sometimes leases end early, as after a long pause."""
    pick = random.Random(seed)
    while not stop.wait(pick.uniform(0.2, 1.0)):
        which = pick.randrange(2)
        match pick.choice(("kill", "pause", "leases")):
            case "kill":
                running.kill_one(which)
                made.database.end_leases()
            case "pause":
                pid = running.pid(which)
                os.kill(pid, signal.SIGSTOP)
                try:
                    made.database.end_leases()
                    stop.wait(pick.uniform(0.1, 0.5))
                finally:
                    os.kill(pid, signal.SIGCONT)
            case "leases":
                made.database.end_leases()


@pytest.mark.timeout(180)
def test_a_random_history(
    projection_seed: int, postgres: tuple[EmbeddedPostgres, Run], shared_tmp_path: Path
) -> None:
    embedded, in_loop = postgres
    seed = projection_seed
    schema = f"projections_{seed}"
    noted, stop = History(), threading.Event()
    with stage(shared_tmp_path, embedded.dsn, schema, EVENTS, BROKEN) as made:
        running = Servers(shared_tmp_path, embedded.dsn, schema, 2)
        try:
            operator = Operator(running.address, seed)
            asking = Asking(running.address, seed, KEYS, COUNTED, frozenset(OUTAGE))
            tasks: list[Callable[[], None]] = [
                lambda: write_until(running.address, seed, stop, broken=BROKEN),
                lambda: operator.run(stop),
                lambda: asking.run(stop),
                lambda: break_servers(running, made, seed, stop),
            ]
            if seed % 2:
                tasks.append(lambda: restart_postgres(embedded, in_loop, seed, stop))
            threads = run_threads(noted, tasks)
            stop.wait(HISTORY_S)
            stop.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            assert noted.faults == []
            with calling(running.address()) as calls:
                made.settles(calls)
        finally:
            running.close()
    assert operator.done, "nothing was changed"
    assert len(asking.answers) > 10, "nothing was asked"
    assert asking.wrong(made.database.log()) == []
