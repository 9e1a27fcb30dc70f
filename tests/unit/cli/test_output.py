"""Goal: a table fits the terminal that it is on, and loses nothing elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from eventfold.cli import output
from eventfold.cli.output import print_fields, print_table

ROWS = [(1, "a", "x" * 50), (20, "bb", "y")]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Prints a table on a terminal of a width, or (0) to a pipe."""

    def show(width: int, columns: list[str], rows: list[tuple[object, ...]]) -> list[str]:
        file = io.StringIO()

        def console() -> Console:
            return Console(
                file=file,
                force_terminal=width > 0,
                color_system=None,
                width=width or 80,
                soft_wrap=True,
                markup=False,
            )

        monkeypatch.setattr(output, "console", console)
        assert print_table(columns, rows) == len(rows)
        return file.getvalue().splitlines()

    return show


def test_the_last_column_is_cut_to_the_terminal(shown: Callable[..., list[str]]) -> None:
    header, first, second = shown(40, ["number", "name", "data"], ROWS)
    assert header == "number  name  data"
    assert first == "     1  a     " + "x" * 25 + "…"
    assert second == "    20  bb    y"


def test_a_pipe_gets_all(shown: Callable[..., list[str]]) -> None:
    assert shown(0, ["number", "name", "data"], ROWS)[1].endswith("x" * 50)


def test_a_terminal_that_is_too_narrow_wraps(shown: Callable[..., list[str]]) -> None:
    assert shown(30, ["number", "name", "data"], ROWS)[1].endswith("x" * 50)


def test_wide_characters_keep_columns_in_line(shown: Callable[..., list[str]]) -> None:
    _, first, second = shown(0, ["name", "data"], [("日本", "x"), ("abcd", "y")])
    assert first == "日本  x"
    assert second == "abcd  y"


def test_markup_and_control_characters_are_text(shown: Callable[..., list[str]]) -> None:
    assert shown(0, ["name"], [("[red]\x1b[31m\n",)])[1] == "[red]\\u001b[31m\\u000a"


def test_a_long_list_is_several_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(["n"], ((n,) for n in range(450))) == 450
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines].count("n") == 3
    assert lines.count("") == 2
    assert len(lines) == 450 + 3 + 2


def test_an_empty_list_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(["n"], []) == 0
    assert capsys.readouterr().out == ""


def test_fields_are_in_line_and_empty_ones_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("a", 1), ("name", "x"), ("none", None), ("empty", "")])
    assert capsys.readouterr().out == "a     1\nname  x\n"
