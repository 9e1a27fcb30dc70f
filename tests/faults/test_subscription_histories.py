"""Goal: a subscription never skips, repeats or reorders an event, whatever breaks.

Method: random histories. Writers append to two servers on one PostgreSQL while subscribers with
all kinds of filters and starts follow, are cut, are slow, and resume; servers are killed and
replaced meanwhile. Every frame is recorded, and oracles hold the records against the log. The
oracles are themselves shown histories with a fault in them.

`--histories N` makes more of them, `--with-restarts` also restarts PostgreSQL (`make faults`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.follow.inject import restart_postgres, servers
from tests.faults.follow.recording import Frame, LogEvent, Recording, Run, Session, Wanted
from tests.faults.follow.run import Plan, make
from tests.faults.follow.validate import ORACLES, violations
from tests.faults.test_restart_postgres import Run as RunInLoop
from tests.faults.test_restart_postgres import postgres_in_a_thread

from eventfold_server.embedded import EmbeddedPostgres

EVENTS = 5_000


@pytest.fixture(scope="module")
def postgres(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EmbeddedPostgres, RunInLoop]]:
    """One PostgreSQL for all histories, each of which has a schema of its own."""
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with postgres_in_a_thread(folder) as running:
        yield running


@pytest.mark.timeout(300)
def test_a_random_history(
    history_seed: int,
    with_restarts: bool,
    postgres: tuple[EmbeddedPostgres, RunInLoop],
    shared_tmp_path: Path,
) -> None:
    embedded, in_loop = postgres
    faults: list[Callable[[threading.Event], None]] = []
    if with_restarts:
        faults.append(lambda stop: restart_postgres(embedded, in_loop, history_seed, stop))
    plan = Plan(history_seed, EVENTS, kills=1 + history_seed % 2)
    with servers(shared_tmp_path, embedded.dsn, f"history_{history_seed}") as running:
        run = make(plan, running, *faults)
    assert violations(run) == []
    assert len(run.log) >= EVENTS
    # A history in which nothing was cut or resumed would show little.
    assert sum(len(recording.sessions) for recording in run.recordings) > len(run.recordings)
    assert run.resumed


def _event(position: int, kind: str = "A") -> LogEvent:
    return LogEvent(position, f"id-{position}", "a-1", position, kind, (), b"{}", position)


def _good() -> Run:
    """Ten events in two appends; a subscriber of type A that was cut once."""
    log = [_event(position, "AB"[position % 2]) for position in range(1, 11)]
    wanted = Wanted("A", {}, lambda event: event.type == "A")
    first = Session(0, frames=[Frame(1, 5, 5, b"5", (log[1], log[3])), Frame(3, 5, 5, b"5", ())])
    second = Session(5, frames=[Frame(1, 10, 10, b"10", (log[5], log[7], log[9]))])
    resumed = [(wanted, first.frames[0], [log[5], log[7], log[9]])]
    return Run(log, [(1, 5), (6, 10)], [Recording(wanted, [first, second])], resumed)


def test_a_good_history_passes() -> None:
    assert violations(_good()) == []


def _second_frame(run: Run, **changes: object) -> None:
    session = run.recordings[0].sessions[1]
    session.frames[0] = replace(session.frames[0], **changes)  # type: ignore[arg-type]


def _broken_genuine(run: Run) -> None:
    events = run.recordings[0].sessions[1].frames[0].events
    _second_frame(run, events=(replace(events[0], data=b"[]"), *events[1:]))


def _broken_filtered(run: Run) -> None:
    _second_frame(run, events=tuple(run.log[5:]))


def _broken_ordered(run: Run) -> None:
    events = run.recordings[0].sessions[1].frames[0].events
    _second_frame(run, events=(events[1], events[0], events[2]))


def _broken_unique(run: Run) -> None:
    events = run.recordings[0].sessions[1].frames[0].events
    _second_frame(run, events=(run.log[3], *events))


def _broken_atomic(run: Run) -> None:
    _second_frame(run, head=8)


def _broken_reliable(run: Run) -> None:
    events = run.recordings[0].sessions[1].frames[0].events
    _second_frame(run, events=events[:2])


def _broken_resumable(run: Run) -> None:
    run.resumed[0][2].pop()


def _broken_bookmarkable(run: Run) -> None:
    frames = run.recordings[0].sessions[0].frames
    frames[0] = replace(frames[0], events=frames[0].events[:1])
    frames[1] = replace(frames[1], events=(run.log[3],))


def _broken_complete(run: Run) -> None:
    run.recordings[0].sessions.pop()


@pytest.mark.parametrize("name", ORACLES)
def test_an_oracle_sees_its_fault(name: str) -> None:
    run = _good()
    globals()[f"_broken_{name}"](run)
    assert list(ORACLES[name](run)) != []


def test_a_gap_in_the_log_is_seen() -> None:
    run = _good()
    run.log[9] = replace(run.log[9], position=11)
    assert "log: positions are not dense from 1" in violations(run)
