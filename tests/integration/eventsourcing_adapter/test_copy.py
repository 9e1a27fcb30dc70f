"""Goal: what an application recorded elsewhere can be moved, in order, once, and with its ids.

Method: the library's recorders in SQLite and in memory, filled by an application and by hand;
copied in one go, in portions, by the command; then the application goes on here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Tracking,
)
from eventsourcing.popo import POPOApplicationRecorder, POPOProcessRecorder
from tests.integration.eventsourcing_adapter.bank import Account, Bank, Counters, use

import eventfold
from eventfold import Event
from eventfold.integrations.eventsourcing import (
    EventfoldApplicationRecorder,
    EventfoldProcessRecorder,
    copy_store,
    copy_tracking,
)
from eventfold.integrations.eventsourcing.__main__ import main


class WithGaps(POPOApplicationRecorder):
    """As one in PostgreSQL, whose sequence leaves out numbers."""

    def __init__(self, *missing: int) -> None:
        super().__init__()
        self._missing = missing

    def _outer(self, inner: int) -> int:
        for number in self._missing:
            inner += number <= inner
        return inner

    def select_notifications(
        self, start: int | None, limit: int, *_: Any, inclusive_of_start: bool = True
    ) -> Sequence[Notification]:
        every = super().select_notifications(None, 10**6)
        found = [
            Notification(
                one.originator_id, one.originator_version, one.topic, one.state, self._outer(one.id)
            )
            for one in every
        ]
        first = (start or 0) if inclusive_of_start else (start or 0) + 1
        return [one for one in found if one.id >= first][:limit]


def fill(source: ApplicationRecorder) -> None:
    """Sequences that stand among each other, first versions of all kinds, states of all kinds."""
    ids = [uuid4() for _ in range(40)]
    for n in range(1_500):
        originator_id = ids[n * 7 % 40]
        state = b'{"n": %d}' % n if n % 3 else b"\x00" * (n % 900)
        version = n // 40 + ids.index(originator_id) % 3
        source.insert_events([StoredEvent(originator_id, version, f"topic{n % 5}", state)])


def everything(recorder: ApplicationRecorder) -> list[Notification]:
    return list(recorder.select_notifications(None, 100_000))


def test_all_is_copied_in_order(recorder: EventfoldApplicationRecorder) -> None:
    source = POPOApplicationRecorder()
    fill(source)
    seen: list[int] = []
    copied = copy_store(source, recorder, on_progress=seen.append)
    assert (copied.events, copied.fillers, copied.max_notification_id) == (1_500, 0, 1_500)
    assert everything(recorder) == everything(source)
    assert seen == sorted(seen)
    assert seen[-1] == 1_500
    assert copy_store(source, recorder).events == 0


def test_it_goes_on_behind_what_is_copied(recorder: EventfoldApplicationRecorder) -> None:
    source = POPOApplicationRecorder()
    for n in range(1, 4):
        source.insert_events([StoredEvent(uuid4(), 1, "t", b"{}") for _ in range(n)])
        source.insert_events([StoredEvent("one", n, "t", b"{}")])
        # By a recorder that knows nothing of the run before.
        target = EventfoldApplicationRecorder(recorder.client, "account")
        assert copy_store(source, target).events == n + 1
    assert everything(recorder) == everything(source)


def test_missing_ids_are_filled(recorder: EventfoldApplicationRecorder) -> None:
    source = WithGaps(1, 2, 4, *range(8, 2_100))
    source.insert_events([StoredEvent("one", n, "t", b"{}") for n in range(1, 8)])
    copied = copy_store(source, recorder)
    assert (copied.events, copied.fillers) == (7, 3 + 2_092)
    assert everything(recorder) == everything(source)
    assert [one.id for one in everything(recorder)] == [3, 5, 6, 7, 2_100, 2_101, 2_102]
    assert copy_store(source, recorder).events == 0


def test_ids_that_cannot_be_kept(recorder: EventfoldApplicationRecorder) -> None:
    source = POPOApplicationRecorder()
    source.insert_events([StoredEvent("one", n, "t", b"{}") for n in range(1, 4)])
    recorder.client.append("other-1", [Event("a"), Event("b")], expected_version=0)
    with pytest.raises(IntegrityError, match="cannot keep its id"):
        copy_store(source, recorder)
    assert everything(recorder) == []
    assert copy_store(source, recorder, keep_ids=False).events == 3
    source.insert_events([StoredEvent("one", 4, "t", b"{}")])
    assert copy_store(source, recorder, keep_ids=False).events == 1
    assert [(one.id, one.originator_version) for one in everything(recorder)] == [
        (3, 1), (4, 2), (5, 3), (6, 4)
    ]  # fmt: skip
    stored = recorder.client.read("account-one").to_list()
    assert [event.metadata["source_notification_id"] for event in stored] == [1, 2, 3, 4]


def test_another_source_is_noticed(recorder: EventfoldApplicationRecorder) -> None:
    for name in ("one", "two"):
        source = POPOApplicationRecorder()
        source.insert_events([StoredEvent(name, n, "t", b"{}") for n in range(1, 4)])
        if name == "one":
            copy_store(source, recorder)
            continue
        with pytest.raises(IntegrityError, match="none of the source"):
            copy_store(source, recorder)
    with pytest.raises(IntegrityError, match="none of the source"):
        copy_store(POPOApplicationRecorder(), recorder)


def test_trackings_are_copied(store: eventfold.Client) -> None:
    source, target = POPOProcessRecorder(), EventfoldProcessRecorder(store)
    source.insert_events([], tracking=Tracking("Bank", 41))
    for _ in range(2):
        copy_tracking(source, target, ["Bank", "Other"])
    assert (target.max_tracking_id("Bank"), target.max_tracking_id("Other")) == (41, None)


@pytest.mark.parametrize("kind", ["command", "first elsewhere"])
def test_an_application_in_sqlite_moves(
    kind: str,
    tmp_path: Path,
    eventfold_target: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = {"SQLITE_DBNAME": str(tmp_path / "bank.db"), "EVENTFOLD_SERVER": eventfold_target}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    module = "eventfold.integrations.eventsourcing"
    with Bank(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite"}) as old:
        results = use(old)
        before = everything(old.recorder)
    command = ["--from", "eventsourcing.sqlite", "--name", "Bank", "--snapshots"]
    if kind == "first elsewhere":
        with eventfold.Client(eventfold_target) as store:
            store.append("other-1", [Event("a")], expected_version=0)
        assert main(command) == 1
        assert "cannot keep its id" in capsys.readouterr().err
        command.append("--renumber")
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("12 events, 0 fillers")
    with Bank(env={"PERSISTENCE_MODULE": module}) as moved:
        after = everything(moved.recorder)
        shift = int(kind == "first elsewhere")
        assert [one.id for one in after] == [one.id + shift for one in before]
        assert [one.state for one in after] == [one.state for one in before]
        ids = list(dict.fromkeys(one.originator_id for one in after))
        assert [str(moved.balance(one)) for one in ids] == results["balances"]
        assert moved.snapshots is not None
        kept = [[one.originator_version for one in moved.snapshots.get(of)] for of in ids]
        assert kept == results["snapshots"]
        moved.deposit(ids[0], "1")
        account = moved.repository.get(ids[0])
        assert isinstance(account, Account)
        assert account.version == 7


def test_the_command_reads_only(
    tmp_path: Path,
    eventfold_target: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A source without tables is a mistake, whatever the variables of the application say."""
    for name, value in {
        "SQLITE_DBNAME": str(tmp_path / "mistyped.db"),
        "EVENTFOLD_SERVER": eventfold_target,
        "BANK_CREATE_TABLE": "yes",
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["--from", "eventsourcing.sqlite", "--name", "Bank"]) == 1
    assert "no such table" in capsys.readouterr().err
    with sqlite3.connect(tmp_path / "mistyped.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert main(["--from", "eventsourcing.nowhere", "--name", "Bank"]) == 1
    assert "eventsourcing.nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--from", "eventsourcing.sqlite"])
    assert "--name" in capsys.readouterr().err


def test_the_command_minds_no_classes_of_the_old_recorders(
    tmp_path: Path, eventfold_target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SQLITE_DBNAME": str(tmp_path / "counters.db"),
        "EVENTFOLD_SERVER": eventfold_target,
        "APPLICATION_RECORDER_TOPIC": "eventsourcing.sqlite:SQLiteApplicationRecorder",
        "PROCESS_RECORDER_TOPIC": "eventsourcing.sqlite:SQLiteProcessRecorder",
    }.items():
        monkeypatch.setenv(name, value)
    with Counters(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite"}) as old:
        old.recorder.insert_events(
            [StoredEvent(uuid4(), 1, "t", b"{}")], tracking=Tracking("Bank", 7)
        )
    command = ["--from", "eventsourcing.sqlite", "--name", "Counters", "--tracking", "Bank"]
    assert main(command) == 0
    with eventfold.Client(eventfold_target) as store:
        moved = EventfoldProcessRecorder(store, "Counters")
        assert (moved.max_notification_id(), moved.max_tracking_id("Bank")) == (1, 7)
