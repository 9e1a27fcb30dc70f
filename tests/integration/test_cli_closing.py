"""Goal: the command line closes books as docs/cli.md says, of one stream and of a category.

Method: typer's runner against a store of its own for each test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.closing import account, deposited
from typer.testing import CliRunner

import eventfold
from eventfold import Client, Event
from eventfold.cli import app
from eventfold.cli.failures import ExitCode

Run = Callable[..., Any]


@pytest.fixture
def run(eventfold_target: str) -> Run:
    """Runs a command on the test's store; a `code` other than 0 is expected to be that."""

    def run(*arguments: str, code: ExitCode = ExitCode.DONE) -> Any:
        env = {"EVENTFOLD_SERVER": eventfold_target}
        result = CliRunner().invoke(app, list(arguments), env=env)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def store(eventfold_target: str) -> Iterator[Client]:
    with eventfold.Client(eventfold_target) as client:
        client.put_fold(account())
        for number in (1, 2, 3):
            client.append(f"account-{number}", [deposited(number)], expected_version=0)
        yield client


def test_one_stream(run: Run, store: Client, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(account("other")))
    arguments = ("close", "account-1", "--successor", "account-1@2018", "--fold", "account",
                 "--fold", str(path), "--expected-version", "1")  # fmt: skip
    closed = json.loads(run(*arguments, "--json").stdout)
    assert closed["successor"] == "account-1@2018"
    assert (closed["version"], closed["folds"], closed["duplicate"]) == (
        2,
        ["account", "other"],
        False,
    )
    assert json.loads(run(*arguments, "--json").stdout) == closed | {"duplicate": True}
    shown = run("stream", "account-1").stdout
    assert "closed" in shown
    assert "account-1@2018" in shown
    listed = [json.loads(line) for line in run("streams", "--json").stdout.splitlines()]
    assert [(one["name"], one["lifecycle"], one["root"], one["predecessor"]) for one in listed][
        :2
    ] == [
        ("account-1", "closed", "account-1", None),
        ("account-1@2018", "open", "account-1", "account-1"),
    ]
    state = json.loads(
        run("hydrate", "account-1", "--fold", "account", "--periods", "open", "--json").stdout
    )
    assert (state["stream"], state["state"]["balance"]) == ("account-1@2018", 1)
    lines = run("read", "account-1", "--periods", "all").stdout.splitlines()
    assert len(lines) == 4
    assert "account-1@2018" in lines[-1]
    run("close", "account-1", "--end", code=ExitCode.REFUSED)
    ended = json.loads(run("close", "account-2", "--end", "--json").stdout)
    assert ended["successor"] is None
    run("close", "account-3", "--successor", "account-2", code=ExitCode.CONFLICT)


@pytest.mark.parametrize(
    "arguments",
    [
        "account-1",
        "account-1 --successor account-1@1 --end",
        "account-1 --successor-suffix @1",
        "--category account",
        "account-1 --category account --successor-suffix @1",
        "--category account --successor-suffix @1 --end",
        "--successor account-1@1",
    ],
)
def test_what_does_not_go_together(run: Run, arguments: str) -> None:
    run("close", *arguments.split(), code=ExitCode.USAGE)


def test_a_category_and_the_next_year(run: Run, store: Client) -> None:
    store.append("other-1", [Event("Noted", {})], expected_version=0)
    arguments = ("close", "--category", "account", "--fold", "account", "--json")
    done = json.loads(run(*arguments, "--successor-suffix", "@2018").stdout)
    assert done == {"closed": 3, "closed_already": 0, "left_open": 0, "failed": 0}
    again = json.loads(run(*arguments, "--successor-suffix", "@2018").stdout)
    assert again == {"closed": 0, "closed_already": 0, "left_open": 3, "failed": 0}
    store.append("account-4", [deposited(4)], expected_version=0)
    done = json.loads(run(*arguments, "--successor-suffix", "@2019").stdout)
    assert done["closed"] == 4
    for number in (1, 2, 3, 4):
        stream = f"account-{number}@2019"
        assert store.hydrate_stream(stream, fold="account").state["balance"] == number
        assert store.get_stream(stream).root == f"account-{number}"
    assert store.get_stream("other-1").lifecycle is eventfold.Lifecycle.OPEN


def test_streams_that_cannot_be_closed_are_told(run: Run, store: Client) -> None:
    store.append("account-2@2018", [deposited(1)], expected_version=0)
    store.append("account-3", [Event("Deposited", {"by": "me"})], expected_version=1)
    result = run(
        "close", "--category", "account", "--successor-suffix", "@2018", "--fold", "account",
        "--json", code=ExitCode.REFUSED,
    )  # fmt: skip
    assert json.loads(result.stdout) == {
        "closed": 1, "closed_already": 0, "left_open": 1, "failed": 2,
    }  # fmt: skip
    assert "SUCCESSOR_EXISTS" in result.stderr
    assert "FOLD_FAILED" in result.stderr
    assert "account-3" in result.stderr
    assert "NOT_ALL_CLOSED" in result.stderr


def test_what_is_wrong_with_all_ends_it_at_once(run: Run, store: Client) -> None:
    run("close", "--category", "account", "--successor-suffix", "@2018", "--fold", "nobody",
        code=ExitCode.NOT_FOUND)  # fmt: skip
    assert all(one.version == 1 for one in store.list_streams(category="account"))
