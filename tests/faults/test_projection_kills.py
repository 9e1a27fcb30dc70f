"""Goal: wherever a server is killed, the table of a projection equals a fold from scratch.

Method: servers that kill themselves at a named point, while they project, rebuild, switch, drop and
retry. Whatever they left must be the fold up to the position that they left, byte for byte, and the
next server goes on from there. The points are those of the code: one without a case is a failure.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest
from tests.faults.project import documents
from tests.faults.project.calls import Calls, calling, wait_for
from tests.faults.project.stage import NAMES, Stage, dies, outage_allowed, stage
from tests.faults.project.tables import check
from tests.faults.project.traffic import write_until
from tests.support.history import History, run_threads
from tests.support.raw import answer_of
from tests.support.servers import RunningServer, ServerDied, start_postgres

import eventfold
from eventfold import _core
from eventfold.v1 import projections_pb2 as pb
from eventfold_server import failpoints

# Together several batches of a rebuild, each of which ends at 8 MiB.
EVENTS = 8_000
PADDING_BYTES = 3_000


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One store for all cases; each leaves it caught up."""
    folder = tmp_path_factory.mktemp("kills")
    folder.chmod(0o711)
    with (
        start_postgres(folder / "data") as url,
        stage(folder, url, "kills", EVENTS, padding=PADDING_BYTES) as made,
    ):
        yield made


def project(calls: Calls, server: RunningServer) -> None:
    """Events come until the server is dead; some of them fail, and park their key."""
    noted, stop = History(), threading.Event()
    [writer] = run_threads(noted, [lambda: write_until(lambda: server.address, 1, stop, broken=30)])
    try:
        dies(server)
    finally:
        stop.set()
        writer.join()
    assert noted.faults == []


def rebuild(calls: Calls, server: RunningServer) -> None:
    """All tables anew."""
    for name in ("carts", "shops", "types"):
        with outage_allowed():
            calls.rebuild(name)
    dies(server)


def change(calls: Calls, server: RunningServer) -> None:
    """Another document takes the place of the first."""
    big = 2000 + max(one.generation for one in calls.get("shops").generations)
    with outage_allowed():
        calls.put(documents.shops(big=big).text, pb.PROJECTION_SWITCH_WHEN_VERIFIED)
    dies(server)


def standby(projection: pb.Projection) -> list[int]:
    """The generation that could be switched back to, if there is one."""
    return [
        one.generation for one in projection.generations if one.state == pb.GENERATION_STATE_STANDBY
    ]


def switch(calls: Calls, server: RunningServer) -> None:
    """By hand, to a generation that waits for it."""
    [kept] = standby(calls.get("carts"))
    with outage_allowed():
        calls.switch("carts", kept)
    dies(server)


def drop(calls: Calls, server: RunningServer) -> None:
    """The generation that nobody sees."""
    [kept] = standby(calls.get("carts"))
    with outage_allowed():
        calls.drop("carts", kept)
    dies(server)


def drop_all(calls: Calls, server: RunningServer) -> None:
    """A projection with all of its tables."""
    with outage_allowed():
        calls.drop("types")
    dies(server)


def retry(calls: Calls, server: RunningServer) -> None:
    """A document in place that mends what failed, then the parked keys."""
    with outage_allowed():
        calls.put(documents.mended(active_source(calls, "shops")), in_place=True)
        calls.retry("shops")
    dies(server)


def active_source(calls: Calls, name: str) -> str:
    """The document of what queries see."""
    found = calls.get(name)
    [active] = [one for one in found.generations if one.generation == found.active]
    return active.source


Act = Callable[[Calls, RunningServer], None]
# By point: what is done, and the how many-th time that the point is reached is the last.
CASES: dict[str, list[tuple[Act, int]]] = {
    "read": [(project, 3), (rebuild, 2)],
    "folded": [(rebuild, 2), (project, 3)],
    "fenced": [(project, 2), (rebuild, 3)],
    "rows": [(rebuild, 1), (project, 2)],
    "parked": [(project, 1), (rebuild, 1)],
    "unparked": [(retry, 1)],
    "before_commit": [(project, 3), (rebuild, 2), (retry, 2)],
    "after_commit": [(retry, 1), (rebuild, 1), (project, 2)],
    "generation_made": [(change, 1)],
    "caught_up": [(rebuild, 1)],
    "before_switch": [(change, 1), (switch, 1)],
    "after_switch": [(switch, 1), (change, 1)],
    "dropped": [(drop, 1), (drop_all, 1)],
}


# Points of `test_rule_kills.py`.
OF_RULES = {"catalogue_written", "catalogue_changed"}
# Points of `test_compensation_kills.py`.
OF_COMPENSATION = {"before_compensation", "compensated"}
# Points of `test_closing.py`.
OF_CLOSING = {"close_folded", "close_stored"}
# Points of `test_transform_kills.py` and `test_remote_transform_kills.py`, which look by themselves
# whether each of these has a case.
OF_TRANSFORMS = {name for name in failpoints.NAMES if name.startswith(("transform_", "copies_"))}
# Points of `tests/integration/keys/test_fences.py` and of `test_readmission_kills.py`.
OF_FENCES = {"fence_written", "keys_destroyed", "fence_in_log"}
OF_FENCES |= {"readmission_written", "readmission_followed"}


# Of `test_deletion_kills.py`, which looks by itself too.
OF_DELETIONS = {name for name in failpoints.NAMES if name.startswith("deletion_")}
# And of `test_erasure_kills.py`.
OF_ERASURES = {name for name in failpoints.NAMES if name.startswith("erasure_")}


def test_every_point_has_a_case() -> None:
    elsewhere = OF_RULES | OF_COMPENSATION | OF_CLOSING | OF_TRANSFORMS | OF_DELETIONS | OF_FENCES
    elsewhere |= OF_ERASURES
    assert set(CASES) | elsewhere == set(_core.failpoints()) | set(failpoints.NAMES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The first case of every second point, and with `--all-kills` all cases of all points."""
    if "act" in metafunc.fixturenames:
        cases = [(point, act, times) for point, acts in CASES.items() for act, times in acts]
        if not metafunc.config.getoption("--all-kills"):
            cases = [(point, *acts[0]) for point, acts in list(CASES.items())[::2]]
        ids = [f"{point}-{act.__name__}" for point, act, _ in cases]
        metafunc.parametrize(("failpoint", "act", "times"), cases, ids=ids)


def prepare(act: Act, staged: Stage) -> None:
    """What a case needs and the one before has not left, by a server that nothing happens to."""
    _, found = staged.database.generations()
    kept = [one for one in found if one.name == "carts" and not one.active]
    parked = [one for one in found if one.name == "shops" and one.active and one.table.parked]
    if (
        {one.name for one in found} == set(NAMES)
        and (kept or act not in {switch, drop})
        and (parked or act is not retry)
    ):
        return
    with staged.server() as server, calling(server.address) as calls:
        if "types" not in {one.name for one in calls.all()}:
            calls.put(documents.types().text)
        if act in {switch, drop} and not standby(calls.get("carts")):
            calls.rebuild("carts")
        if act is retry and not parked:
            # What was mended fails again.
            calls.put(documents.shops(big=3000).text, pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP)
        staged.settles(calls)


def test_killed_at_a_point(failpoint: str, act: Act, times: int, staged: Stage) -> None:
    prepare(act, staged)
    try:
        with staged.server(f"{failpoint}:{times}") as server, calling(server.address) as calls:
            act(calls, server)
    except ServerDied as died:
        # The point was reached before the server said where it is.
        if "status -9" not in str(died):
            raise
    check(staged.database)
    staged.recovers()


@pytest.mark.parametrize("failpoint", ["before_commit", "after_commit"])
def test_killed_while_it_stops(failpoint: str, staged: Stage) -> None:
    """It stops at the event that fails, with all before it, whether the kill comes before or after
    that is known; and goes on from there when its document is mended.
    """
    # A category of its own, in which nothing has failed before.
    category = failpoint.replace("_", "")
    strict = documents.shops("strict", parks=False, categories=[category])
    with staged.server() as server, calling(server.address) as calls:
        calls.put(strict.text)
        position = calls.caught_up("strict").head
    staged.database.hold_leases()
    with staged.server() as server, eventfold.Client(server.address) as store:
        data = [{"shop": "s1", "amount": 1}, {"shop": "s1"}, {"shop": "s1", "amount": 2}]
        events = [eventfold.Event("Sold", one) for one in data]
        store.append(f"{category}-1", events, expected_version=eventfold.ANY)
    # The first batch of the next server is that with the event that fails.
    staged.database.hold_leases(but="strict")
    with contextlib.suppress(ServerDied), staged.server(f"{failpoint}:1") as server:
        dies(server)
    check(staged.database)
    staged.database.end_leases()
    with staged.server() as server, calling(server.address) as calls:
        stopped = wait_for(lambda: calls.stopped("strict"), "strict to stop")
        assert stopped.position == position + 1
        assert stopped.events == 1
        check(staged.database)
        with pytest.raises(grpc.RpcError) as raised:
            calls.query("strict", at_least_position=position + 3)
        assert answer_of(raised.value).reason == "PROJECTION_STOPPED"
        calls.put(documents.mended(strict.text), in_place=True)
        assert calls.retry("strict").resumed or calls.stopped("strict") is None
        assert calls.caught_up("strict").generations[-1].position >= position + 3
        staged.settles(calls)
        calls.drop("strict")
