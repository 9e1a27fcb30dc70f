"""Goal: the benchmarks still run: every workload on an own server, every part of subscriptions and
of projections, rules of event types, with tiny numbers.

Method: the commands behind `make bench`, `make bench-subscriptions`, `make bench-projections` and
`make bench-event-types` as processes, all but the first in `make faults`; without the compiled load
generator. What they wrote is read back. Nothing that they started is left.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import event_types
import figures
import groups
import projection_queries
import projections
import pytest
import subscriptions
import workloads
from candidates import BARE, COMPUTING, EVENTFOLD, SUBSCRIBE, WITHOUT
from figures import Results

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 2_000


@pytest.fixture
def all_benchmarks(request: pytest.FixtureRequest) -> None:
    """Of a test that takes long for what it says."""
    if not request.config.getoption("--all-benchmarks"):
        pytest.skip("runs in `make faults`, or with --all-benchmarks")


def run(tmp_path: Path, command: str, *options: str) -> Results:
    """What the command wrote; `run.md` beside it is the page."""
    path = tmp_path / "run.jsonl"
    program = str(ROOT / "benchmarks" / "run.py")
    words = [sys.executable, program, command, "--events", str(EVENTS), "--rounds", "1"]
    done = subprocess.run(
        [*words, *options, "--results", str(path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = figures.read(path)
    assert found.faults == []
    return found


@pytest.mark.timeout(240)
def test_all_workloads_run_on_an_own_server(tmp_path: Path) -> None:
    found = run(tmp_path, "own", "--without-loadgen", "--seconds", "0.01")
    own = {one.workload for one in found.figures if one.candidate == EVENTFOLD}
    # Sessions are for drivers that have the choice.
    expected = {one.name for one in workloads.own(EVENTS) if one.group != "session"}
    assert own == expected
    bare = {one.workload for one in found.figures if one.candidate == BARE}
    assert bare == {name for name in expected if "kept state" not in name}
    assert {one.candidate for one in found.sizes} == {EVENTFOLD}
    assert found.sizes[0].bytes_an_event > 200
    assert "| eventfold |" in (tmp_path / "run.md").read_text()


@pytest.mark.usefixtures("all_benchmarks")
@pytest.mark.timeout(240)
def test_all_parts_of_subscriptions_run(tmp_path: Path) -> None:
    sizes = {"group-seconds": 3, "appends": 4, "subscribers": 3, "stalled": 2, "stall-mib": 1}
    options = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    found = run(tmp_path, "subscriptions", "--seconds", "0.01", *options)
    # A catch-up that did not return all events would be a fault.
    whole, counted = workloads.catch_up(EVENTS).name, workloads.catch_up_counted(EVENTS).name
    assert {(one.workload, one.candidate) for one in found.figures} == {
        (whole, SUBSCRIBE),
        (whole, EVENTFOLD),
        (whole, BARE),
        (counted, SUBSCRIBE),
        (counted, BARE),
    }
    assert [(one.order, one.consumers) for one in found.consumption] == [
        (order, consumers) for order in groups.ORDERS for consumers in groups.CONSUMERS
    ]
    assert all(one.events > 0 for one in found.consumption)
    assert [(one.through, one.subscribers, one.appends) for one in found.deliveries] == [
        (subscriptions.SAME, 1, 4),
        (subscriptions.ANOTHER, 1, 4),
        (subscriptions.SAME, 3, 1),
        (subscriptions.ANOTHER, 3, 1),
    ]
    for one in found.deliveries:
        assert one.first_p50_ms <= one.last_p50_ms
        # The commit comes before the answer, by the clock that PostgreSQL reads too.
        assert one.commit_p50_ms > max(0, one.last_p50_ms)
    assert [(one.where, one.subscribers) for one in found.stalled] == [
        ("history", 1),
        ("history", 2),
        ("live", 1),
        ("live", 2),
    ]
    assert all(one.before_mib > 10 for one in found.stalled)
    page = (tmp_path / "run.md").read_text()
    assert f"| {SUBSCRIBE} |" in page
    assert "## Consumer groups" in page


@pytest.mark.usefixtures("all_benchmarks")
@pytest.mark.timeout(240)
def test_all_parts_of_projections_run(tmp_path: Path) -> None:
    found = run(tmp_path, "projections", "--seconds", "0.01", "--visible", "4")
    # Tables that differ from those of plain Python would be a fault, and so would a failed query.
    expected = [
        (document, candidate, projections.QUIET)
        for document in ("accounts", "amounts")
        for candidate in (projections.SERVER, projections.PYTHON)
    ]
    under_load = [
        (document, projections.SERVER, projections.UNDER_LOAD)
        for document in ("accounts", "amounts")
    ]
    built = [(one.document, one.candidate, one.during) for one in found.rebuilt]
    assert built == expected + under_load
    assert {one.events for one in found.rebuilt if one.document == "accounts"} >= {EVENTS}
    assert [(one.through, one.appends) for one in found.visible] == [
        (projection_queries.SAME, 4),
        (projection_queries.ANOTHER, 4),
    ]
    assert all(one.p50_ms < one.whole_p50_ms for one in found.visible)
    assert all(one.queries > 0 for one in found.asked)
    page = (tmp_path / "run.md").read_text()
    assert "## Rebuilds" in page
    assert "## Queries" in page


@pytest.mark.usefixtures("all_benchmarks")
@pytest.mark.timeout(240)
def test_event_types_with_rules_and_without(tmp_path: Path) -> None:
    found = run(tmp_path, "event-types", "--seconds", "0.01")
    # A hydration whose balance differs under the mapping would be a fault.
    assert {(one.workload, one.candidate) for one in found.figures} == {
        (workload.name, candidate)
        for workload in event_types.chosen(EVENTS)
        for candidate in (EVENTFOLD, WITHOUT, COMPUTING)
    }
    counted = {one.what: one.events for one in found.tried}
    assert counted["list event types, none counted"] == EVENTS
    assert counted["list event types again"] == EVENTS
    assert sum(counted[f"put the schema of {one}"] for one in event_types.TYPES) == EVENTS
    assert sum(counted[f"put the mapping of {one}"] for one in event_types.TYPES) == EVENTS
    page = (tmp_path / "run.md").read_text()
    assert "## All stored events" in page
    assert f"| {WITHOUT} |" in page
