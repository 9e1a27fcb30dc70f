"""`eventfold projection query, count, try`."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from eventfold import (
    Client,
    EventfoldError,
    Freshness,
    ParkedKey,
    ProjectionPage,
    ProjectionRow,
)
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode, describe
from eventfold.cli.fold_check import source_of
from eventfold.cli.folds import as_document
from eventfold.cli.output import AsJson, note, print_fields, print_json, print_table
from eventfold.cli.text import cell, parse_exactly, time_text

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the projection.")]

_PAGE_ROWS_MAX = 1_000
# What is printed unless more is asked for.
_ROWS = 100

_Filter = Annotated[
    str,
    typer.Option(
        metavar="EXPRESSION",
        help="Only rows for which this is true, such as `born_on <= years_before(today, 18)`.",
    ),
]
_Order = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Order by this column; `-COLUMN`: descending; repeat for more. Default: by key.",
    ),
]
_AtLeast = Annotated[
    int,
    typer.Option(
        min=0, metavar="POSITION", help="Wait until events up to this position are in the rows."
    ),
]


def error_fields(error: EventfoldError | None) -> dict[str, Any] | None:
    """An error as a part of an answer."""
    if error is None:
        return None
    return {"reason": error.reason, "message": error.message, "facts": dict(error.facts)}


def parked_fields(one: ParkedKey) -> dict[str, Any]:
    """A parked key for programs."""
    return {
        "key": one.key,
        "position": one.position,
        "events": one.events,
        "parked_at": time_text(one.parked_at),
        "error": error_fields(one.error),
    }


def print_parked(parked: Iterable[ParkedKey]) -> int:
    """Prints parked keys for people; returns how many there were."""
    rows = (
        (one.position, one.events, time_text(one.parked_at), one.key, _why(one.error))
        for one in parked
    )
    return print_table(["position", "events", "parked", "key", "why"], rows)


def _why(error: EventfoldError) -> str:
    text = describe(error.reason, error.message, error.facts)
    return text.partition("\n")[0].removeprefix("error: ")


def _row_fields(row: ProjectionRow) -> dict[str, Any]:
    return {
        "key": row.key,
        "columns": orjson.Fragment(row.columns_json),
        "version": row.version,
        "position": row.position,
    }


def _fresh_fields(fresh: Freshness) -> dict[str, Any]:
    return {
        "generation": fresh.generation,
        "position": fresh.position,
        "head": fresh.head,
        "stopped": error_fields(fresh.stopped),
        "parked_keys": fresh.parked_keys,
    }


def _print_rows(rows: Iterable[ProjectionRow]) -> int:
    """Prints rows as tables, whose columns are those of the first row."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        note("no rows")
        return 0
    names = parse_exactly(first.columns_json)
    cells = (_cells(row) for row in chain([first], remaining))
    return print_table(["key", *names, "version", "position"], cells)


def _cells(row: ProjectionRow) -> list[object]:
    values = parse_exactly(row.columns_json).values()
    return [row.key, *(cell(value) for value in values), row.version, row.position]


def _tell_freshness(fresh: Freshness) -> None:
    note(f"generation {fresh.generation}, position {fresh.position} of {fresh.head}")
    if fresh.stopped is not None:
        note(f"the projection stopped there: {_why(fresh.stopped)}")
    if fresh.parked_keys:
        note(f"{fresh.parked_keys} keys are parked, and their rows are old")


class _Pages:
    """The rows of a query, page by page, and how fresh the last page was."""

    def __init__(self, store: Client, name: str, limit: int | None, **query: Any) -> None:
        self._store = store
        self._name = name
        self._left = limit
        self._query = query
        self.has_more = False
        self.freshness: Freshness | None = None

    def __iter__(self) -> Iterator[ProjectionRow]:
        token = ""
        while True:
            left = self._left
            size = _PAGE_ROWS_MAX if left is None else min(left, _PAGE_ROWS_MAX)
            page: ProjectionPage = self._store.query_projection_page(
                self._name, page_size=size, page_token=token, **self._query
            )
            self.freshness = page.freshness
            yield from page.rows
            token = page.next_page_token
            if left is not None:
                self._left = left = left - len(page.rows)
            if not token or left == 0:
                self.has_more = bool(token)
                return


@with_store
def query(
    store: Client,
    name: Name,
    filter: _Filter = "",
    order: _Order = None,
    columns: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="Columns to print; default: all.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most rows to print; default: 100.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All rows, however many.")] = False,
    at_least: _AtLeast = 0,
    as_json: AsJson = False,
) -> None:
    """Print the rows of a projection that pass a filter."""
    if every and limit is not None:
        raise typer.BadParameter("name a --limit, or say --all, not both")
    most = None if every else limit or _ROWS
    pages = _Pages(
        store,
        name,
        most,
        filter=filter,
        order=order or (),
        columns=[column for column in columns.split(",") if column],
        at_least_position=at_least,
    )
    if as_json:
        for row in pages:
            print_json(_row_fields(row))
    else:
        _print_rows(pages)
    if pages.has_more:
        note(f"there are more: --limit is {most}")
    if pages.freshness is not None:
        _tell_freshness(pages.freshness)


@with_store
def count(
    store: Client, name: Name, filter: _Filter = "", at_least: _AtLeast = 0, as_json: AsJson = False
) -> None:
    """Count the rows of a projection that pass a filter."""
    found = store.count_projection(name, filter, at_least_position=at_least)
    if as_json:
        print_json({"rows": found.rows, "freshness": _fresh_fields(found.freshness)})
        return
    print_fields([("rows", found.rows)])
    _tell_freshness(found.freshness)


@with_store
def try_out(
    store: Client,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Document, YAML or JSON.")],
    first: Annotated[
        int, typer.Option("--from", min=1, help="Position to begin with, inclusive.")
    ] = 1,
    events: Annotated[int, typer.Option(min=1, max=100_000, help="Most events to fold.")] = 10_000,
    filter: _Filter = "",
    order: _Order = None,
    limit: Annotated[
        int, typer.Option(min=1, max=_PAGE_ROWS_MAX, help="Most rows to print.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Fold some events with a document that is not registered, and keep nothing.

    The exit code is 1 if an event failed.
    """
    found = store.try_projection(
        as_document(source_of(file)),
        filter,
        order=order or (),
        from_position=first,
        events_max=events,
        page_size=limit,
    )
    counts = {
        name: getattr(found, name)
        for name in ("rows_passing", "rows_shown", "rows_hidden", "events", "position", "head")
    }
    if as_json:
        print_json(
            {
                **counts,
                "stopped": error_fields(found.stopped),
                "parked": [parked_fields(one) for one in found.parked],
                "rows": [_row_fields(row) for row in found.rows],
            }
        )
    else:
        print_fields((name.replace("_", " "), value) for name, value in counts.items())
        print()
        _print_rows(found.rows)
        if found.parked:
            print()
            print_parked(found.parked)
        if found.stopped is not None:
            note(f"it stopped behind position {found.position}: {_why(found.stopped)}")
    if found.stopped is not None or found.parked:
        raise typer.Exit(ExitCode.REFUSED)
