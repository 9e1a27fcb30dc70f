"""Goal: `eventfold transform` does what docs/cli.md says.

Method: typer's runner on a real server.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.test_cli import Run, json_of
from tests.integration.test_cli import run as run  # noqa: PLC0414 - a fixture

import eventfold
from eventfold import Event
from eventfold.cli.failures import ExitCode

DOCUMENT = """\
transform: accounts
source: {category: account}
into: [Account]
stream: "'Account-' + meta.stream_id"
events:
  Deposited: {type: MoneyDeposited, data: {cents: "event.euro * 100"}}
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "accounts.yaml"
    file.write_text(DOCUMENT, encoding="utf-8")
    return file


def deposit(store: eventfold.Client, count: int) -> None:
    for n in range(count):
        store.append(f"account-{n}", [Event("Deposited", {"euro": n})], expected_version=0)


def test_the_life_of_a_transform(run: Run, store: eventfold.Client, document: Path) -> None:
    deposit(store, 3)
    dry = run("transform", "start", str(document), "--dry-run", "--wait")
    assert "tried, a dry run" in dry.stdout
    assert "3 events, 3 copies" in dry.stdout
    (started,) = json_of(run("transform", "start", str(document), "--wait", "--json"))
    assert (started["state"], started["events_written"]) == ("verified", 3)
    transform_id = started["transform_id"]
    (planned,) = json_of(run("transform", "cut-over", transform_id, "--dry-run", "--json"))
    assert planned["plan"] == {
        "projections": [], "groups": [], "successors": 3, "without_successor": 0
    }  # fmt: skip
    done = run("transform", "cut-over", transform_id, "--ms-max", "1000", "--wait")
    assert "state      done" in done.stdout
    assert "3 streams get a successor, 0 get none" in done.stderr
    streams = json_of(run("transform", "show", transform_id, "--streams", "--json"))
    assert [(one["stream"], one["successor"]) for one in streams] == [
        (f"account-{n}", f"Account-{n}") for n in range(3)
    ]
    assert run("transform", "show", transform_id, "--source").stdout == DOCUMENT
    listed = json_of(run("transform", "list", "--json"))
    assert [one["state"] for one in listed] == ["done", "tried"]


def test_failures_end_with_their_code(run: Run, store: eventfold.Client, document: Path) -> None:
    store.append("account-x", [Event("Deposited", {"euro": "two"})], expected_version=0)
    for options in (["--dry-run"], []):
        result = run("transform", "start", str(document), *options, "--wait", code=ExitCode.REFUSED)
        assert "TRANSFORM_FAILED" in result.stderr
    into_itself = DOCUMENT.replace("[Account]", "[account]").replace("Account-", "account-")
    document.write_text(into_itself, encoding="utf-8")
    result = run("transform", "start", str(document), code=ExitCode.INVALID_INPUT)
    assert "TRANSFORM_INTO_SOURCE" in result.stderr
    (cancelled,) = json_of(run("transform", "cancel", newest(store), "--wait", "--json"))
    assert cancelled["state"] == "cancelled"
    run("transform", "cancel", newest(store), code=ExitCode.REFUSED)


def newest(store: eventfold.Client) -> str:
    return next(iter(store.list_transforms())).transform_id
