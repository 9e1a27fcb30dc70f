"""Goal: `eventfold projection` does what docs/cli.md says, and `eventfold watch` prints every state
once, over cuts of the line, and ends by Ctrl-C.

Method: typer's runner on a real server; the watch as a process of its own behind a proxy that cuts
the line.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.test_cli import Run, json_of
from tests.integration.test_cli import run as run  # noqa: PLC0414 - a fixture
from tests.integration.test_cli_follow import append, command
from tests.support.proxy import cutting

import eventfold
from eventfold import Event
from eventfold.cli.failures import ExitCode

DOCUMENT = """\
projection: balances
source: {category: account}
initial: {balance: 0}
handlers:
  Deposited:
    balance: "state.balance + event.amount"
  Noted:
    note: "event.note"
columns:
  balance: numeric
  note: text
"""
FOLD = """\
fold: n
initial: {n: 0}
handlers:
  T: {n: "state.n + 1"}
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "balances.yaml"
    file.write_text(DOCUMENT, encoding="utf-8")
    return file


def deposit(store: eventfold.Client, count: int) -> None:
    for n in range(1, count + 1):
        event = Event("Deposited", b'{"amount": %d.50}' % n)
        store.append(f"account-{n}", [event], expected_version=0)


def test_the_life_of_a_projection(run: Run, store: eventfold.Client, document: Path) -> None:
    deposit(store, 30)
    result = run("projection", "put", str(document), "--wait")
    assert "queries see  generation 1" in result.stdout
    (again,) = json_of(run("projection", "put", str(document), "--json"))
    assert (again["created"], again["active"], again["head"]) == (False, 1, 30)
    query = ("projection", "query", "balances", "--filter", "balance > 20", "--order=-balance")
    result = run(*query, "--limit", "2")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["key", "balance", "note", "version", "position"],
        ["account-30", "30.5", "1", "30"],
        ["account-29", "29.5", "1", "29"],
    ]
    assert result.stderr.splitlines() == [
        "there are more: --limit is 2",
        "generation 1, position 30 of 30",
    ]
    rows = json_of(run(*query, "--all", "--columns", "balance", "--json", "--at-least", "30"))
    assert [row["columns"] for row in rows] == [{"balance": n + 0.5} for n in range(30, 19, -1)]
    (count,) = json_of(run("projection", "count", "balances", "--json"))
    assert count["rows"] == 30
    document.write_text(DOCUMENT + 'where: "state.balance < 10"\n', encoding="utf-8")
    put = ("projection", "put", str(document), "--switch", "by-hand", "--wait", "--json")
    (second,) = json_of(run(*put))
    assert (second["generation"], second["active"]) == (2, 1)
    assert [one["state"] for one in second["generations"]] == ["active", "ready"]
    (found,) = json_of(run("projection", "verify", "balances", "--keys", "7", "--json"))
    assert (found["rows_shown"], found["rows_hidden"]) == (9, 21)
    assert (found["keys_checked"], found["keys_differing"]) == (7, 0)
    run("projection", "switch", "balances")
    assert run("projection", "count", "balances").stdout == "rows  9\n"
    assert "2: active at 30 of 30" in run("projection", "list").stdout
    shown = run("projection", "show", "balances", "--source").stdout
    assert shown == document.read_text(encoding="utf-8")
    run("projection", "drop", "balances", "--generation", "2", code=ExitCode.REFUSED)
    run("projection", "drop", "balances", "--generation", "1")
    run("projection", "rebuild", "balances", "--switch", "when-caught-up", "--wait")
    (found,) = json_of(run("projection", "show", "balances", "--json"))
    assert (found["active"], len(found["generations"])) == (3, 2)
    run("projection", "drop", "balances", "--all")
    run("projection", "show", "balances", code=ExitCode.NOT_FOUND)
    assert run("projection", "list").stderr == "no projections\n"


def test_failures_and_their_mending(run: Run, store: eventfold.Client, document: Path) -> None:
    deposit(store, 2)
    store.append("account-9", [Event("Noted", {"note": 7})], expected_version=0)
    store.append("account-9", [Event("Deposited", {"amount": 1})], expected_version=1)
    result = run("projection", "put", str(document), "--wait", code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: PROJECTION_STOPPED: ")
    assert "key=account-9" in run("projection", "show", "balances").stderr
    run("projection", "query", "balances", code=ExitCode.REFUSED)
    document.write_text(DOCUMENT + "on_error: park\n", encoding="utf-8")
    run("projection", "put", str(document))
    run("projection", "retry", "balances")
    run("projection", "put", str(document), "--wait")
    (parked,) = json_of(run("projection", "parked", "balances", "--json"))
    assert (parked["key"], parked["position"], parked["events"]) == ("account-9", 3, 2)
    assert parked["error"]["facts"]["path"] == "columns.note"
    assert "account-9" in run("projection", "parked", "balances").stdout
    result = run("projection", "query", "balances", "--json")
    assert "1 keys are parked, and their rows are old" in result.stderr
    run("projection", "retry", "balances", code=ExitCode.REFUSED)


def test_trying_out(run: Run, store: eventfold.Client, document: Path) -> None:
    deposit(store, 10)
    (found,) = json_of(run("projection", "try", str(document), "--events", "4", "--json"))
    assert (found["events"], found["rows_shown"], found["stopped"]) == (4, 4, None)
    result = run("projection", "try", str(document), "--from", "9", "--order=-balance")
    assert [line.split()[0] for line in result.stdout.splitlines()[-2:]] == [
        "account-10",
        "account-9",
    ]
    store.append("account-9", [Event("Noted", {"note": 7})], expected_version=1)
    result = run("projection", "try", str(document), code=ExitCode.REFUSED)
    assert "it stopped behind position 10" in result.stderr
    run("projection", "list")


def test_wrong_documents_and_filters(run: Run, document: Path) -> None:
    document.write_text(DOCUMENT.replace("numeric", "money"), encoding="utf-8")
    for command_ in ("put", "try"):
        result = run("projection", command_, str(document), code=ExitCode.INVALID_INPUT)
        assert result.stderr.startswith("error: INVALID_PROJECTION: ")
        assert "line=10" in result.stderr
    document.write_text(DOCUMENT, encoding="utf-8")
    run("projection", "put", str(document), "--wait")
    result = run(
        *("projection", "query", "balances", "--filter", "balance >"), code=ExitCode.INVALID_INPUT
    )
    assert "INVALID_EXPRESSION" in result.stderr


def test_a_watch_over_cuts_until_it_is_interrupted(
    store: eventfold.Client, eventfold_target: str, tmp_path: Path
) -> None:
    fold = tmp_path / "n.yaml"
    fold.write_text(FOLD, encoding="utf-8")
    with (
        cutting(eventfold_target) as proxy,
        command(proxy.address, "watch", "a-1", "--fold", str(fold), "--json") as running,
    ):
        running.until(1)
        for cut in range(1, 4):
            append(store, 2)
            running.until(1 + 2 * cut)
            proxy.cut()
        append(store, 2)
        running.until(9)
        assert running.interrupt() == ExitCode.INTERRUPTED
    states = [json.loads(line) for line in running.out]
    assert [one["version"] for one in states] == list(range(9))
    assert [one["state"]["n"] for one in states] == list(range(9))
    assert sum(line.startswith("connection lost") for line in running.err) >= 3
    assert not [line for line in running.err if "Traceback" in line]


def test_a_table_of_states(run: Run, store: eventfold.Client, tmp_path: Path) -> None:
    fold = tmp_path / "n.yaml"
    fold.write_text(FOLD, encoding="utf-8")
    append(store, 3)
    result = run("watch", "a-1", "--fold", str(fold), "--from", "2", "--limit", "2")
    head, *rows = (line.split() for line in result.stdout.splitlines())
    assert head == ["version", "position", "recorded", "type", "state"]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("2", "2", '{"n":2}'),
        ("3", "3", '{"n":3}'),
    ]
    run("watch", "a-1", "--fold", str(fold), "--from", "9", code=ExitCode.NOT_FOUND)
    run("watch", "a-1", "--fold", "none", code=ExitCode.NOT_FOUND)
