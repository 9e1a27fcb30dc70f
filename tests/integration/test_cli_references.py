"""Goal: the command line shows what events refer to, as docs/cli.md says.

Method: typer's runner against a store of its own for each test.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

import eventfold
from eventfold import Event, References
from eventfold.cli import app
from eventfold.cli.failures import ExitCode

Run = Callable[..., Any]
MISSING = "00000000-0000-4000-8000-00000000000f"


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
def booked(eventfold_target: str) -> Event:
    """An event of a ledger that one of a budget refers to."""
    event = Event("Booked", {"amount": 5})
    tagged = Event("Tagged", refs=References([event, MISSING], ["ledger-1", "ledger-2"]))
    with eventfold.Client(eventfold_target) as store:
        store.append("ledger-1", [event], expected_version=0)
        store.append("budget-1", [tagged, Event("Plain")], expected_version=0)
    return event


def test_a_read_shows_what_events_refer_to(run: Run, booked: Event) -> None:
    lines = run("read", "budget-1", "--resolve").stdout.splitlines()
    assert [line.split()[-1] for line in lines if "->" not in line] == ["data", "{}", "{}"]
    shown = [line.partition("-> ")[2].split("  ") for line in lines if "->" in line]
    assert shown == [
        [booked.id, "Booked", "ledger-1@1", '{"amount":5}'],
        [MISSING, "(missing)"],
        ["ledger-1", "version 1, open"],
        ["ledger-2", "(missing)"],
    ]
    told = run("read", "budget-1", "--resolve", "--json").stdout.splitlines()
    resolved = [json.loads(line)["resolved"] for line in told]
    assert list(resolved[0]["events"]) == [booked.id, MISSING]
    assert resolved[0]["events"][booked.id]["data"] == {"amount": 5}
    assert resolved[0]["events"][MISSING] is None
    assert resolved[0]["streams"]["ledger-1"]["version"] == 1
    assert resolved[0]["streams"]["ledger-2"] is None
    assert resolved[1] == {"events": {}, "streams": {}}
    assert "resolved" not in run("read", "budget-1", "--json").stdout
    run("read", "--all", "--resolve", code=ExitCode.USAGE)
    run("read", "budget-1", "--follow", "--resolve", code=ExitCode.USAGE)


def test_refs_shows_both_ends(run: Run, booked: Event) -> None:
    found = run("refs", booked.id.upper())
    assert "it refers to nothing" in found.stderr
    [columns, row] = found.stdout.splitlines()
    assert columns.split()[:3] == ["referrers", "at", "stream"]
    assert row.split()[:4] == ["2", "budget-1", "1", "Tagged"]
    [line] = run("refs", "ledger-2", "--json").stdout.splitlines()
    tagged = json.loads(line)["referrer"]
    assert (tagged["type"], tagged["position"]) == ("Tagged", 2)

    [line] = run("refs", tagged["id"], "--json").stdout.splitlines()
    refers_to = json.loads(line)["refers_to"]
    assert refers_to["events"][booked.id]["type"] == "Booked"
    assert list(refers_to["streams"]) == ["ledger-1", "ledger-2"]
    found = run("refs", tagged["id"])
    assert found.stdout.splitlines()[0] == "refers to"
    assert "nothing refers to it" in found.stderr

    # What is not stored may be referred to all the same.
    found = run("refs", MISSING)
    assert "no event has this id" in found.stderr
    assert "Tagged" in found.stdout
    assert run("refs", "budget-9").stderr.strip() == "nothing refers to it"
    run("refs", "ledger", code=ExitCode.INVALID_INPUT)


def test_refs_of_a_stream_that_is_called_like_an_event(run: Run, eventfold_target: str) -> None:
    name = "11111111-2222-4333-8444-555555555555"
    with eventfold.Client(eventfold_target) as store:
        store.append("r-1", [Event("R", refs=References(streams=[name]))], expected_version=0)
    assert "no event has this id" in run("refs", name).stderr
    [line] = run("refs", name, "--stream", "--json").stdout.splitlines()
    assert json.loads(line)["referrer"]["type"] == "R"
    run("refs", name.replace("-", ""), "--stream", code=ExitCode.INVALID_INPUT)


def test_refs_ends_at_its_limit(run: Run, eventfold_target: str) -> None:
    with eventfold.Client(eventfold_target) as store:
        events = [Event("R", refs=References(streams=["hub-1"])) for _ in range(3)]
        store.append("r-1", events, expected_version=0)
    found = run("refs", "hub-1", "--limit", "2")
    assert len(found.stdout.splitlines()) == 3
    assert "there are more: --limit is 2" in found.stderr
    assert len(run("refs", "hub-1", "--limit", "0", "--json").stdout.splitlines()) == 3
