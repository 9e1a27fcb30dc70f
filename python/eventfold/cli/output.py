"""What commands print: tables for people, lines of JSON for programs, progress on stderr."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import orjson
import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from eventfold.cli.text import printable

AsJson = Annotated[
    bool, typer.Option("--json", help="JSON for programs; lists have one object a line.")
]

# A table needs all of its rows to find the widths; a long list is several tables.
_ROWS_A_TABLE = 200
_GAP = "  "
# Where less is left for the last column, the terminal wraps lines instead.
_LAST_COLUMNS_MIN = 20


def console() -> Console:
    """The console for results, which shows text as it is."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Prints one value on one line; `orjson.Fragment` passes JSON that is ready."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def print_document(source: str) -> None:
    """Prints a document as it came in."""
    # A pipe gets the document itself; a terminal must not obey what stands in it.
    text = printable(source, keep="\n\t") if sys.stdout.isatty() else source
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Prints rows as tables, as they come; returns how many there were.

    Numbers stand to the right. On a terminal the last column is cut to what is left of the line.
    """
    count = 0
    remaining = iter(rows)
    while part := list(islice(remaining, _ROWS_A_TABLE)):
        if count:
            print()
        GrowingTable(columns).add(part)
        count += len(part)
    return count


class GrowingTable:
    """A table that rows are added to: its columns grow wider, and never narrower."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._widths = [cell_len(column) for column in columns]
        # Of each column, once rows have come: whether it has numbers.
        self._numeric: list[bool] = []

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """Prints rows, the first ones below the names of the columns."""
        out = console()
        cells = [[printable(str(value)) for value in row] for row in rows]
        for i, width in enumerate(self._widths):
            self._widths[i] = max([width, *(cell_len(row[i]) for row in cells)])
        widths = list(self._widths)
        used = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        left = out.width - used if out.is_terminal else 0
        if _LAST_COLUMNS_MIN <= left < widths[-1]:
            widths[-1] = left
        if not self._numeric and rows:
            self._numeric = [
                all(isinstance(row[i], int | Decimal) for row in rows) for i in range(len(widths))
            ]
            out.print(Text(self._line(self._columns, widths), style="bold"))
        for row in cells:
            out.print(Text(self._line(row, widths)))

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        parts = []
        for cell, width, is_number in zip(row, widths, self._numeric, strict=True):
            padding = " " * (width - cell_len(cell))
            parts.append(padding + cell if is_number else cell + padding)
        if cell_len(row[-1]) > widths[-1]:
            parts[-1] = set_cell_size(row[-1], widths[-1] - 1) + "…"
        return _GAP.join(parts).rstrip()


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

    def show(self, done: int, total: int, detail: str = "") -> None:
        """So many are done by now, of so many; `detail` stands beside the bar."""
        self._progress.update(self._task, completed=done, total=total, detail=detail)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Steps]:
    """Shows how far a long work is, on stderr and only on a terminal."""
    err = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        yield Steps(progress, progress.add_task(title, total=total, detail=""))
