"""Goal: `eventfold cel` prints values so that their types differ, and points at what is wrong.

Method: typer's runner, without a server.
"""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from eventfold.cli import app
from eventfold.cli.failures import ExitCode


def run(*arguments: str, code: ExitCode = ExitCode.DONE) -> Any:
    result = CliRunner().invoke(app, ["cel", *arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize(
    ("expression", "shown", "as_json"),
    [
        ("[null, true, 1, 1u, 'é\"']", '[null, true, 1, 1u, "é\\""]', '[null,true,1,1,"é\\""]'),
        ("[1.0, 1.5, 1e300]", "[1.0, 1.5, 1e+300]", "[1,1.5,1E+300]"),
        ("[x, x * 2]", "[decimal('1.10'), decimal('2.2')]", "[1.10,2.2]"),
        ("b'a\\xff'", 'b"\\x61\\xff"', '"Yf8="'),
        ("duration('-90.25s')", "duration('-90.25s')", '"-90.25s"'),
        (
            "timestamp('2026-01-02T03:04:05+02:00')",
            "timestamp('2026-01-02T01:04:05Z')",
            '"2026-01-02T01:04:05Z"',
        ),
        ("{'a': 1, 2: [], 3u: {}, true: null}", '{"a": 1, 2: [], 3u: {}, true: null}', ""),
        ("{2: 1, true: 0, 3u: 4}", "{2: 1, true: 0, 3u: 4}", '{"2":1,"true":0,"3":4}'),
        (
            "[type(1), optional.of(1), optional.none()]",
            "[int, optional.of(1), optional.none()]",
            "",
        ),
    ],
)
def test_values(expression: str, shown: str, as_json: str) -> None:
    assert run(expression, "--var", "x=1.10").stdout == shown + "\n"
    if as_json:
        assert run(expression, "--var", "x=1.10", "--json").stdout == as_json + "\n"


@pytest.mark.parametrize(
    ("expression", "reason", "line", "carets"),
    [
        ("x +", "EXPRESSION_INVALID", "x +", "   ^"),
        ("x\n  + amont", "EXPRESSION_INVALID", "  + amont", "    ^^^^^"),
        ("x\n  + ['a'][7]", "EVALUATION_FAILED", "  + ['a'][7]", "    ^"),
    ],
)
def test_what_is_wrong(expression: str, reason: str, line: str, carets: str) -> None:
    refused = run(expression, "--var", "x=1", code=ExitCode.INVALID_INPUT)
    first, *excerpt = refused.stderr.splitlines()
    assert first.startswith(f"error: {reason}: ")
    assert excerpt == [f"  {line}", f"  {carets}"]


def test_variables() -> None:
    found = run("a.b + c", "--var", 'a={"b": 0.1}', "--var", "c=0.2")
    assert found.stdout == "decimal('0.3')\n"
    run("a", "--var", "a", code=ExitCode.USAGE)
    assert "double quotes" in run("a", "--var", "a=text", code=ExitCode.INVALID_INPUT).stderr
    assert "variable=a" in run("a", "--var", "a=", code=ExitCode.INVALID_INPUT).stderr


@pytest.mark.parametrize("expression", ["type(1)", "optional.none()", "double('NaN')"])
def test_what_has_no_json(expression: str) -> None:
    assert "STATE_NOT_JSON" in run(expression, "--json", code=ExitCode.REFUSED).stderr


def test_nothing_moves_the_cursor() -> None:
    assert "\x1b" not in run("'\\x1b[2J' + b'\\x9b'", code=ExitCode.INVALID_INPUT).output
    assert run("'\\x1b[2J\\u202e'").stdout == '"\\u001b[2J\\u202e"\n'
