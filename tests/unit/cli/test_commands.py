"""Goal: every command explains itself, and every fault is one line with its exit code.

Method: typer's runner; no server is needed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import eventfold
from eventfold.cli import app
from eventfold.cli.failures import ExitCode, describe, exit_code_of

ROOT = Path(__file__).resolve().parents[3]
PROJECTION = "put list show query count rebuild verify switch retry parked drop try"
COMMANDS = [
    ("serve",),
    ("append",),
    ("compensate",),
    ("read",),
    ("hydrate",),
    ("streams",),
    ("stream",),
    ("fold", "put"),
    ("fold", "list"),
    ("fold", "show"),
    ("fold", "check"),
    *(
        ("group", name)
        for name in ("create", "list", "show", "delete", "reset", "parked", "replay", "purge")
    ),
    ("watch",),
    *(("projection", name) for name in PROJECTION.split()),
    *(("transform", name) for name in ("start", "list", "show", "cut-over", "cancel")),
    ("delete",),
    ("deletions",),
    *(("links", name) for name in ("list", "put", "drop", "rules", "put-rule", "drop-rule")),
    ("import",),
    ("version",),
]
# Nothing listens there.
NOWHERE = ("--server", "127.0.0.1:1", "--timeout", "0.2")
runner = CliRunner()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    result = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "Usage: eventfold " + " ".join(command) in result.stdout.replace("root", "eventfold")


def test_the_reference_names_every_command_and_option() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"eventfold {' '.join(command)}" in reference
        shown = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).stdout
        missing = [
            option
            for option in set(re.findall(r"(?<![\w-])--[a-z-]+", shown)) - {"--help"}
            if f"`{option}" not in reference
        ]
        assert not missing, f"{command}: {missing}"


def test_the_reference_names_every_exit_code() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    named = {int(code) for code in re.findall(r"^\| (\d+) \|", reference, re.MULTILINE)}
    assert named == {int(code) for code in ExitCode}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["append", "a-1", "T"], "--expected"),
        (["append", "a-1", "--expected", "0"], "TYPE"),
        (["append", "a-1", "T", "--expected", "x"], "no version"),
        (["append", "a-1", "T", "{}", "--expected", "0", "--file", "f"], "JSON lines"),
        (["append", "a-1", "T", "--expected", "0", "--occurred-at", "soon"], "no time"),
        (["read"], "name a STREAM, or say --all"),
        (["read", "a-1", "--all"], "not both"),
        (["read", "a-1", "--category", "a"], "go with --all"),
        (["read", "a-1", "--from", "0"], "greater than or equal to 1"),
        (["read", "--all", "--after", "$"], "no resume token"),
        (["read", "--all", "--after", "YQ==", "--backwards"], "does not go with"),
        (["read", "a-1", "--follow", "--backwards"], "--follow does not go with"),
        (["read", "--all", "--follow", "--to", "3"], "--follow does not go with"),
        (["read", "--all", "--follow", "--now", "--from", "3"], "--now does not go with"),
        (["read", "a-1", "--now"], "go with --follow"),
        (["read", "a-1", "--where", "true"], "go with --follow"),
        (["group", "create"], "GROUP"),
        (["group", "create", "g", "--from", "1", "--now"], "at most one"),
        (["group", "create", "g", "--on-park", "x"], "on-park"),
        (["group", "reset", "g"], "name the start"),
        (["group", "replay", "g"], "name POSITIONs, or say --all"),
        (["group", "purge", "g", "1", "--all"], "name POSITIONs, or say --all"),
        (["hydrate", "a-1"], "--fold"),
        (["hydrate", "a-1", "--fold", "f", "--version", "1", "--position", "1"], "at most one"),
        (["hydrate", "a-1", "--fold", "f", "--occurred-at", "1997"], "no time"),
        (["watch", "a-1"], "--fold"),
        (["watch", "a-1", "--fold", "f", "--from", "0"], "greater than or equal to 1"),
        (["projection", "put"], "FILE"),
        (["projection", "put", "p.yaml", "--switch", "now"], "switch"),
        (["projection", "query", "p", "--limit", "0"], "greater than or equal to 1"),
        (["projection", "query", "p", "--limit", "5", "--all"], "not both"),
        (["projection", "verify", "p", "--keys", "10001"], "10000"),
        (["transform", "start"], "FILE"),
        (["transform", "cut-over", "x", "--ms-max", "19"], "20"),
        (["transform", "start", "t.yaml", "--states", "100001"], "100000"),
        (["projection", "drop", "p"], "name a --generation, or say --all"),
        (["projection", "drop", "p", "--generation", "1", "--all"], "name a --generation"),
        (["projection", "drop", "p", "--generation", "0"], "greater than or equal to 1"),
        (["projection", "try", "p.yaml", "--events", "100001"], "100000"),
        (["streams", "--lifecycle", "dead"], "lifecycle"),
        (["delete", "a-1"], "--plan"),
        (["delete", "a-1", "--expected", "1"], "--reason"),
        (["links", "put-rule", "r", "--policy", "cascade", "--type", "T"], "--pointer"),
        (["links", "put", "a-1", "b-1", "--policy", "x"], "policy"),
        (["fold", "show"], "NAME"),
        (["nonsense"], "nonsense"),
        (["serve", "--log-level", "loud"], "log-level"),
        (["serve", "--tls-cert", "cert.pem"], "--tls-key go together"),
        (["serve", "--listen", "4141"], "HOST:PORT"),
        (["serve", "--listen", "0.0.0.0:4141"], "not a loopback address"),
        (["serve", "--data-dir", "d", "--database-url", "postgres://x"], "not both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line(arguments: list[str], problem: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == ExitCode.USAGE, result.output
    [line] = result.stderr.splitlines()
    assert re.match(r"error: (USAGE|INVALID_OPTIONS): ", line)
    assert problem in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["append", "a-1", "T", "{", "--expected", "0"], "INVALID_VALUE"),
        (["append", "a-1", "T", "[]", "--expected", "0"], "INVALID_VALUE"),
        (["append", "a-1", "T", "--id", "x", "--expected", "0"], "INVALID_VALUE"),
        (["append", "a-1", "--file", "/nowhere", "--expected", "0"], "FILE"),
        (["append", "a-1", "T", '{"a":"\udcff"}', "--expected", "0"], "INVALID_VALUE"),
        (["append", "a-1", "T\udcff", "--expected", "0"], "INVALID_VALUE"),
        (["append", "a-\udcff", "T", "--expected", "0"], "INVALID_VALUE"),
        (["read", "a-\udcff"], "INVALID_VALUE"),
        (["streams", "--prefix", "\udcff"], "INVALID_VALUE"),
        (["fold", "show", "\udcff"], "INVALID_VALUE"),
        (["import", "/nowhere"], "FILE"),
        (["fold", "put", "/nowhere"], "FILE"),
        (["fold", "check", "/nowhere"], "FILE"),
        (["hydrate", "a-1", "--fold", "/nowhere.yaml"], "FILE"),
        (["watch", "a-1", "--fold", "/nowhere.yaml"], "FILE"),
        (["projection", "put", "/nowhere"], "FILE"),
        (["projection", "try", "/nowhere"], "FILE"),
        (["projection", "show", "\udcff"], "INVALID_VALUE"),
        (["projection", "query", "p", "--filter", "a == '\udcff'"], "INVALID_VALUE"),
    ],
    ids=lambda value: ascii(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line(arguments: list[str], reason: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == ExitCode.INVALID_INPUT, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith(f"error: {reason}: ")


@pytest.mark.parametrize(
    "arguments",
    [["streams"], ["read", "a-1"], ["stream", "a-1"], ["append", "a-1", "T", "--expected", "0"]],
)
def test_no_server_is_told(arguments: list[str]) -> None:
    result = runner.invoke(app, [*arguments, *NOWHERE])
    assert result.exit_code == ExitCode.UNAVAILABLE
    [line] = result.stderr.splitlines()
    assert line.startswith("error: CONNECTION_FAILED: ")
    assert "eventfold serve" in line


def test_a_token_does_not_travel_in_plain_text() -> None:
    result = runner.invoke(app, ["streams", "--server", "192.0.2.1:1", "--token", "secret"])
    assert result.exit_code == ExitCode.NOT_ALLOWED
    assert "INSECURE_CONNECTION" in result.stderr
    assert "secret" not in result.output


def test_options_come_from_the_environment() -> None:
    env = {"EVENTFOLD_SERVER": "192.0.2.1:1", "EVENTFOLD_TOKEN": "secret"}
    assert "192.0.2.1:1" in runner.invoke(app, ["streams"], env=env).stderr


def test_every_reason_has_an_exit_code_of_its_kind() -> None:
    def code(error: type[eventfold.EventfoldError]) -> ExitCode:
        return exit_code_of(error("", {}))

    assert exit_code_of(eventfold.VersionConflict(0, 1)) is ExitCode.CONFLICT
    assert code(eventfold.EventIdReused) is ExitCode.CONFLICT
    assert code(eventfold.StreamNotFound) is ExitCode.NOT_FOUND
    assert code(eventfold.VersionAhead) is ExitCode.NOT_FOUND
    assert code(eventfold.StorageUnavailable) is ExitCode.UNAVAILABLE
    assert code(eventfold.DeadlineExceeded) is ExitCode.UNAVAILABLE
    assert code(eventfold.Overloaded) is ExitCode.UNAVAILABLE
    assert code(eventfold.InvalidFold) is ExitCode.INVALID_INPUT
    assert code(eventfold.PermissionDenied) is ExitCode.NOT_ALLOWED
    assert code(eventfold.StreamClosed) is ExitCode.REFUSED
    assert code(eventfold.Bug) is ExitCode.REFUSED
    newer = eventfold.EventfoldError("m", {}, reason="OF_A_NEWER_SERVER", code="NOT_FOUND")
    assert exit_code_of(newer) is ExitCode.NOT_FOUND


def test_an_error_is_one_line_and_its_excerpt_follows() -> None:
    facts = {"line": "2", "problem": "a\nb\x1b", "excerpt": "a: b +\n     ^\n"}
    assert describe("INVALID_FOLD", "does not\ncompile", facts) == (
        "error: INVALID_FOLD: does not compile (line=2, problem=a b\\u001b)\n  a: b +\n       ^"
    )


def test_versions_are_printed() -> None:
    result = runner.invoke(app, ["version", "--json"])
    assert result.exit_code == 0
    assert result.stdout.startswith('{"eventfold":"')
    assert runner.invoke(app, ["version"]).stdout.startswith("eventfold ")


def test_ctrl_c_ends_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("eventfold.cli.version.metadata.version", interrupted)
    assert runner.invoke(app, ["version"]).exit_code == ExitCode.INTERRUPTED


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("eventfold.cli.version.metadata.version", broken)
    assert isinstance(runner.invoke(app, ["version"]).exception, ZeroDivisionError)
