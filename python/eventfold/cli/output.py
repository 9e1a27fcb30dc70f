"""What commands print: tables for people, lines of JSON for programs, progress on stderr."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from eventfold.cli.text import printable

AsJson = Annotated[
    bool, typer.Option("--json", help="JSON for programs; lists have one object a line.")
]

# A table needs all of its rows to find the widths; a long list is several tables.
_ROWS_A_TABLE = 200
# Wider than any row, for output that no terminal has to wrap.
_UNBOUNDED_COLUMNS = 1 << 20


def console() -> Console:
    """The console for results; rows are cut to the width of a terminal, never elsewhere."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False, emoji=False)
    return Console(highlight=False, markup=False, emoji=False, width=_UNBOUNDED_COLUMNS)


def print_json(value: Any) -> None:
    """Prints one value on one line; `orjson.Fragment` passes JSON that is ready."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Prints rows as tables, as they come; returns how many there were.

    Numbers stand to the right. The last column takes what is left of the line.
    """
    count = 0
    pending: list[Sequence[object]] = []
    out = console()
    for row in rows:
        pending.append(row)
        count += 1
        if len(pending) == _ROWS_A_TABLE:
            out.print(_table(columns, pending))
            pending = []
    if pending:
        out.print(_table(columns, pending))
    return count


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        is_number = all(isinstance(row[index], int) for row in rows)
        is_last = index == len(columns) - 1
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=True,
            overflow="ellipsis" if is_last else "fold",
            # Only the last column gives way when the line is full.
            min_width=None if is_last else max(len(printable(str(row[index]))) for row in rows),
        )
    for row in rows:
        table.add_row(*(Text(printable(str(value))) for value in row))
    return table


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Prints names and values, a line each; values that are None or empty are left out."""
    shown = [(name, value) for name, value in fields if value is not None and value != ""]
    width = max((len(name) for name, _ in shown), default=0)
    out = console()
    for name, value in shown:
        out.print(Text(f"{name:<{width}}", style="bold"), Text(printable(str(value))), sep="  ")


def note(text: str) -> None:
    """Prints a remark for people to stderr."""
    print(text, file=sys.stderr, flush=True)


class Steps:
    """A progress bar that is moved on; off when stderr is no terminal."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._progress.advance(self._task, count)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Steps]:
    """Shows how far a long work is, on stderr and only on a terminal."""
    err = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        yield Steps(progress, progress.add_task(title, total=total))
