"""Goal: the command line does on a real server what docs/cli.md says.

Method: typer's runner against a store of its own for each test. tests/integration/test_serve.py
has the life of `eventfold serve`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import eventfold
from eventfold.cli import app
from eventfold.cli.failures import ExitCode

ID = "00000000-0000-4000-8000-000000000001"
FOLD = """\
fold: account
initial: {balance: 0}
handlers:
  MoneyDeposited:
    balance: "state.balance + event.amount"
"""
BROKEN_FOLD = FOLD.replace("event.amount", "")

Run = Callable[..., Any]


@pytest.fixture
def run(eventfold_target: str) -> Run:
    """Runs a command on the test's store; a `code` other than 0 is expected to be that."""

    def run(*arguments: str, code: ExitCode = ExitCode.DONE, stdin: str | bytes = "") -> Any:
        env = {"EVENTFOLD_SERVER": eventfold_target}
        result = CliRunner().invoke(app, list(arguments), input=stdin, env=env)
        assert result.exit_code == code, result.output
        return result

    return run


def json_of(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_event_goes_in_and_comes_out_byte_for_byte(run: Run) -> None:
    data = '{"amount": 10.50, "n": 12345678901234567890123, "e": 1E2}'
    [stored] = json_of(
        run(
            *("append", "account-1", "MoneyDeposited", data, "--expected", "0", "--json"),
            *("--metadata", '{"correlation_id": "c"}', "--tag", "b", "--tag", "a"),
            *("--id", ID.upper(), "--occurred-at", "1997-01-02"),
        )
    )
    assert stored["positions"] == [1]
    assert (stored["first_version"], stored["last_version"]) == (1, 1)
    assert (stored["ids"], stored["duplicate"]) == ([ID], False)
    line = run("read", "account-1", "--json").stdout
    assert f'"data":{data}' in line
    event = json.loads(line)
    assert event["tags"] == ["a", "b"]
    assert event["occurred_at"] == "1997-01-02T00:00:00Z"
    assert event["metadata"] == {"correlation_id": "c"}
    assert event["writer"] == "anonymous"


def test_an_append_with_an_id_is_stored_once(run: Run) -> None:
    arguments = ("append", "account-1", "T", "--expected", "0", "--id", ID)
    assert "now" in run(*arguments).stdout
    assert "nothing new" in run(*arguments).stdout
    assert len(json_of(run("read", "account-1", "--json"))) == 1


def test_a_conflict_has_an_exit_code_and_the_facts(run: Run) -> None:
    run("append", "account-1", "T", "--expected", "0")
    refused = run("append", "account-1", "T", "--expected", "0", code=ExitCode.CONFLICT)
    assert refused.stderr.startswith("error: VERSION_CONFLICT: ")
    assert "expected=0" in refused.stderr
    assert "actual=1" in refused.stderr
    run("append", "account-2", "T", "--expected", "exists", code=ExitCode.CONFLICT)
    run("append", "account-1", "T", "--expected", "exists")
    run("append", "account-1", "T", "--expected", "any")


def test_an_event_is_cancelled_and_corrected(run: Run) -> None:
    euro, eur = '{"currency": "Euro"}', '{"currency": "EUR"}'
    run("append", "c-1", "Paid", euro, "--expected", "0", "--id", ID)
    arguments = ("compensate", "c-1", ID, "--expected", "1", "--reason", "EUR was meant")
    [stored] = json_of(run(*arguments, "--correction", "Paid", eur, "--tag", "t", "--json"))
    assert (stored["first_version"], stored["last_version"]) == (2, 3)
    assert stored["cancels"] == ID
    wrong, cancellation, right = json_of(run("read", "c-1", "--json"))
    assert (wrong["flags"] & 256, wrong["cancels"]) == (256, None)
    assert (cancellation["type"], cancellation["cancels"]) == ("PaidCancelled", ID)
    assert cancellation["data"] == {"reasonEventId": ID, "reason": "EUR was meant"}
    assert (cancellation["id"], right["id"]) == tuple(stored["ids"])
    assert (cancellation["tags"], right["data"]) == (["t"], {"currency": "EUR"})
    shown = run("read", "c-1").stdout
    assert shown.count("(cancelled)") == 1
    assert shown.count(f"(cancels {ID})") == 1
    refused = run(*arguments, code=ExitCode.REFUSED)
    assert "EVENT_ALREADY_CANCELLED" in refused.stderr
    assert cancellation["id"] in refused.stderr


def test_a_cancellation_with_ids_is_stored_once(run: Run) -> None:
    run("append", "c-1", "Paid", "--expected", "0", "--id", ID)
    cancel, correct = (ID[:-1] + digit for digit in "ef")
    arguments = ("compensate", "c-1", ID, "--expected", "1", "--reason", "r", "--id", cancel)
    correction = ("--correction", "Paid", "{}", "--correction-id", correct)
    assert "now" in run(*arguments, *correction).stdout
    assert "nothing new" in run(*arguments, *correction).stdout
    run(*arguments, "--correction-id", correct, code=ExitCode.USAGE)


def test_a_check_stores_nothing(run: Run) -> None:
    [would] = json_of(run("append", "a-1", "T", "--expected", "0", "--check", "--json"))
    assert would == {
        "stream": "a-1",
        "first_version": 1,
        "last_version": 1,
        "duplicate": False,
        "violations": [],
        "refused": None,
    }
    run("append", "a-1", "T", "--expected", "1", "--check", code=ExitCode.CONFLICT)
    run("stream", "a-1", code=ExitCode.NOT_FOUND)


def test_lines_are_appended_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"type":"A","data":{"x":1.50}}\n\n{"type":"B","tags":["t"]}\n')
    assert "1 to 2" in run("append", "a-1", "--file", str(file), "--expected", "0").stdout
    lines = '{"type":"A"}\n{"type":"B","data":1}\n'
    refused = run("append", "a-1", "-", "--expected", "2", stdin=lines, code=ExitCode.INVALID_INPUT)
    assert "line=2" in refused.stderr
    assert "file=stdin" in refused.stderr
    assert [event["type"] for event in json_of(run("read", "a-1", "--json"))] == ["A", "B"]


def test_reads_are_filtered_and_bounded(run: Run) -> None:
    for stream, type_, tag in [("a-1", "X", "t"), ("b-1", "Y", "u"), ("a-1", "Y", "t")]:
        run("append", stream, type_, "--expected", "any", "--tag", tag)

    def positions(*arguments: str) -> list[int]:
        return [event["position"] for event in json_of(run("read", *arguments, "--json"))]

    assert positions("--all") == [1, 2, 3]
    assert positions("--all", "--backwards", "--limit", "2") == [3, 2]
    assert positions("--all", "--from", "2", "--to", "2") == [2]
    assert positions("--all", "--category", "a") == [1, 3]
    assert positions("--all", "--type", "Y", "--tag", "t") == [3]
    assert positions("a-1", "--type", "Y") == [3]
    assert positions("a-1", "--from", "2") == [3]
    assert positions("a-1", "--from", "3") == []
    run("read", "a-1", "--from", "4", code=ExitCode.NOT_FOUND)
    assert "there are more" in run("read", "a-1", "--limit", "1").stderr
    assert "no events" in run("read", "--all", "--type", "Z").stderr


def test_a_resume_token_goes_on(run: Run) -> None:
    run("append", "a-1", "T", "--expected", "0")
    note = run("read", "--all", "--show-token").stderr
    token = note.strip().rpartition(" ")[2]
    run("append", "a-1", "T", "--expected", "1")
    [event] = json_of(run("read", "--all", "--after", token, "--json"))
    assert event["position"] == 2


def test_tables_show_all_and_cannot_move_the_cursor(run: Run) -> None:
    data = '{"x": "\x9b31m\u202e", "y": "' + "long " * 100 + 'end"}'
    run("append", "a-1", "T", data, "--expected", "0", "--tag", "tagged")
    shown = run("read", "a-1").stdout
    assert "\\u009b31m\\u202e" in shown
    assert "long end" in shown
    assert "[tagged]" in shown
    assert "\x9b" not in shown


def test_streams_are_listed(run: Run) -> None:
    for name in ["b-1", "a-2", "a-1"]:
        run("append", name, "T", "--expected", "0")

    def names(*arguments: str) -> list[str]:
        return [stream["name"] for stream in json_of(run("streams", *arguments, "--json"))]

    assert names() == ["a-1", "a-2", "b-1"]
    assert names("--category", "a") == ["a-1", "a-2"]
    assert names("--prefix", "a-2") == ["a-2"]
    assert names("--lifecycle", "closed") == []
    assert names("--limit", "1") == ["a-1"]
    assert "there are more" in run("streams", "--limit", "2").stderr
    assert "more" not in run("streams", "--limit", "3").stderr
    assert "a-2" in run("streams", "--limit", "0").stdout
    assert "version    1" in run("stream", "a-1").stdout.replace("version     1", "version    1")
    [stream] = json_of(run("stream", "a-1", "--json"))
    assert (stream["version"], stream["lifecycle"], stream["root"]) == (1, "open", "a-1")


def test_folds_are_put_listed_shown(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "account.fold.yaml"
    file.write_text(FOLD)
    assert "new" in run("fold", "put", str(file)).stdout
    [again] = json_of(run("fold", "put", str(file), "--json"))
    assert (again["name"], again["revision"], again["created"]) == ("account", 1, False)
    [listed] = json_of(run("fold", "list", "--json"))
    assert listed["digest"] == again["digest"]
    assert "account" in run("fold", "list").stdout
    assert run("fold", "show", "account").stdout == FOLD
    run("fold", "show", "account", "--revision", "2", code=ExitCode.NOT_FOUND)
    [checked] = json_of(run("fold", "check", str(file), "--json"))
    assert checked == {"name": "account", "digest": again["digest"]}


@pytest.mark.parametrize("command", ["check", "put"])
def test_a_broken_fold_is_pointed_at(run: Run, tmp_path: Path, command: str) -> None:
    file = tmp_path / "account.fold.yaml"
    file.write_text(BROKEN_FOLD)
    refused = run("fold", command, str(file), code=ExitCode.INVALID_INPUT)
    first, *excerpt = refused.stderr.splitlines()
    assert first.startswith("error: INVALID_FOLD: ")
    assert "line=5" in first
    assert "state.balance +" in excerpt[0]
    assert excerpt[1].strip() == "^"


def test_states_are_exact_now_and_then(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "account.fold.yaml"
    file.write_text(FOLD)
    run("fold", "put", str(file))
    for version, (amount, day) in enumerate([("0.1", "1997-12-31"), ("0.2", "1998-01-01")]):
        run(
            *("append", "account-1", "MoneyDeposited", f'{{"amount": {amount}}}'),
            *("--expected", str(version), "--occurred-at", f"{day}T12:00:00Z"),
        )

    def balance(*arguments: str) -> str:
        line = run("hydrate", "account-1", *arguments, "--json").stdout
        return str(line).partition('"state":')[2].strip()[:-1]

    assert balance("--fold", "account") == '{"balance":0.3}'
    assert balance("--fold", str(file), "--version", "1") == '{"balance":0.1}'
    assert balance("--fold", "account", "--position", "1") == '{"balance":0.1}'
    assert balance("--fold", "account", "--occurred-at", "1997-12-31") == '{"balance":0.1}'
    assert balance("--fold", "account", "--recorded-at", "2999-01-01") == '{"balance":0.3}'
    assert balance("--fold", "account", "--version", "0") == '{"balance":0}'
    assert '"balance": 0.3' in run("hydrate", "account-1", "--fold", "account").stdout
    run("hydrate", "account-1", "--fold", "account", "--version", "3", code=ExitCode.NOT_FOUND)
    run("hydrate", "account-1", "--fold", "nameless", code=ExitCode.NOT_FOUND)


def test_bad_input_leaves_nothing_behind(run: Run) -> None:
    bad = ExitCode.INVALID_INPUT
    assert "INVALID_STREAM_NAME" in run("append", "a", "T", "--expected", "0", code=bad).stderr
    assert "INVALID_EVENT_TYPE" in run("append", "a-1", "$T", "--expected", "0", code=bad).stderr
    repeated = run("append", "a-1", "T", '{"a":1,"a":2}', "--expected", "0", code=bad)
    assert "INVALID_JSON" in repeated.stderr
    assert json_of(run("read", "--all", "--json")) == []


def test_the_store_of_the_test_is_what_the_commands_see(run: Run, store: eventfold.Client) -> None:
    store.append("a-1", [eventfold.Event("T")], expected_version=0)
    assert [event["stream"] for event in json_of(run("read", "--all", "--json"))] == ["a-1"]
