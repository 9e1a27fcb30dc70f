"""Goal: `eventfold fold explain` and `fold check --against` tell what a server found.

Method: typer's runner against a store of its own for each test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eventfold import Client, Event
from eventfold.cli import app
from eventfold.cli.failures import ExitCode

FOLD = """\
fold: account
initial: {balance: 0}
handlers:
  MoneyDeposited:
    balance: "state.balance + event.amount"
    note: "event.?note"
  Never: {x: 1}
"""

Run = Callable[..., Any]


@pytest.fixture
def run(eventfold_target: str) -> Run:
    def run(*arguments: str, code: ExitCode = ExitCode.DONE) -> Any:
        env = {"EVENTFOLD_SERVER": eventfold_target}
        result = CliRunner().invoke(app, ["fold", *arguments], env=env)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def fold(tmp_path: Path, eventfold_target: str) -> str:
    with Client(eventfold_target) as store:
        events = [
            Event("MoneyDeposited", b'{"amount": 1.10}'),
            Event("Other"),
            Event("MoneyDeposited", b'{"amount": 0.20}'),
        ]
        store.append("account-1", events, expected_version=0)
    file = tmp_path / "account.fold.yaml"
    file.write_text(FOLD)
    return str(file)


def test_explain(run: Run, fold: str) -> None:
    first, second, third = run("explain", "account-1", "--fold", fold, "--json").stdout.splitlines()
    assert '"before":0,"after":1.1' in first
    assert json.loads(second)["changes"] == []
    assert not json.loads(second)["handled"]
    event = json.loads(third)
    assert (event["version"], event["type"], event["exists"]) == (3, "MoneyDeposited", True)
    assert event["changes"] == [{"path": "balance", "before": 1.1, "after": 1.3}]
    shown = run("explain", "account-1", "--fold", fold).stdout
    assert "0 -> 1.1" in shown
    assert "no handler" in shown
    part = run("explain", "account-1", "--fold", fold, "--from", "2", "--to", "2", "--json").stdout
    assert part == second + "\n"
    early = run("explain", "account-1", "--fold", fold, "--recorded-at", "1999-01-01")
    assert "no events" in early.stderr
    run("explain", "account-1", "--fold", fold, "--from", "9", code=ExitCode.NOT_FOUND)
    run("explain", "account", "--fold", fold, code=ExitCode.INVALID_INPUT)


def test_a_check_against_what_is_stored(run: Run, fold: str, eventfold_target: str) -> None:
    [found] = run("check", fold, "--against", "account", "--json").stdout.splitlines()
    report = json.loads(found)
    assert (report["streams"], report["failed_streams"], report["failures"]) == (1, 0, [])
    assert report["unused_handlers"] == ["Never"]
    assert report["unhandled_types"] == ["Other"]
    assert report["unseen_fields"] == [{"type": "MoneyDeposited", "field": "note"}]
    shown = run("check", fold, "--against", "account").stdout
    for part in ("Never", "Other", "MoneyDeposited.note", "compiles"):
        assert part in shown
    with Client(eventfold_target) as store:
        store.append("account-2", [Event("MoneyDeposited", {"amount": "x"})], expected_version=0)
    failed = run("check", fold, "--against", "account", code=ExitCode.REFUSED).stdout
    assert "account-2" in failed
    assert "FOLD_FAILED" in failed
    [found] = run(
        "check", fold, "--against", "account", "--json", code=ExitCode.REFUSED
    ).stdout.splitlines()
    [failure] = json.loads(found)["failures"]
    assert (failure["stream"], failure["reason"]) == ("account-2", "FOLD_FAILED")
    assert failure["facts"]["handler"] == "MoneyDeposited"
