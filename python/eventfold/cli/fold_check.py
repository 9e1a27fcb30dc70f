"""`eventfold fold check`, alone or against stored events."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from eventfold import EventfoldError, Fold, FoldReport
from eventfold.cli.connection import Target, with_target
from eventfold.cli.failures import ExitCode, Failure, describe
from eventfold.cli.output import (
    AsJson,
    note,
    print_fields,
    print_json,
    print_table,
    progress_bar,
)
from eventfold.cli.text import joined


def source_of(file: Path, reason: str = "INVALID_FOLD") -> str:
    """The text of a document; `reason` is that of one that cannot be used.

    Raises:
        Failure: it is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Failure(
            reason, f"not UTF-8: {error}", ExitCode.INVALID_INPUT, {"file": file}
        ) from None


def compiled(file: Path) -> Fold:
    """The fold of a file.

    Raises:
        Failure: it does not compile.
    """
    try:
        return Fold(source_of(file))
    except EventfoldError as error:
        facts = {"file": str(file), **error.facts}
        raise Failure(error.reason, error.message, ExitCode.INVALID_INPUT, facts) from None


def _folded(target: Target, fold: Fold, category: str) -> FoldReport:
    """Folds the category on the server, with a progress bar."""
    done = 0

    with target.client() as store, progress_bar("Folding streams", None) as steps:

        def advance(report: FoldReport) -> None:
            nonlocal done
            steps.advance(report.streams - done)
            done = report.streams

        # Not `target.timeout`: a category takes as long as it takes.
        return store.check_fold(fold, category, on_progress=advance)


def _json(report: FoldReport) -> dict[str, Any]:
    return {
        "streams": report.streams,
        "events": report.events,
        "failed_streams": report.failed_streams,
        "failures": [
            {
                "stream": stream,
                "reason": error.reason,
                "message": error.message,
                "facts": error.facts,
            }
            for stream, error in report.failures
        ],
        "unused_handlers": report.unused_handlers,
        "unhandled_types": report.unhandled_types,
        "unseen_fields": _fields(report.unseen_fields),
        "undeclared_fields": _fields(report.undeclared_fields),
    }


def _fields(fields: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"type": type_, "field": field} for type_, field in fields]


def _findings(report: FoldReport) -> Iterator[tuple[str, str]]:
    if report.unused_handlers:
        yield "no event for", joined(report.unused_handlers)
    if report.unhandled_types:
        yield "no handler for", joined(report.unhandled_types)
    for label, fields in [
        ("no event has", report.unseen_fields),
        ("no schema has", report.undeclared_fields),
    ]:
        if fields:
            yield label, joined(f"{type_}.{field}" for type_, field in fields)


def _print(report: FoldReport, category: str) -> None:
    print_fields(
        [
            ("category", category),
            ("streams", report.streams),
            ("events", report.events),
            ("failed streams", report.failed_streams or "none"),
            *_findings(report),
        ]
    )
    if not report.failures:
        return
    rows = (
        (stream, describe(error.reason, error.message, error.facts).partition("\n")[0])
        for stream, error in report.failures
    )
    print_table(["stream", "why"], rows)
    if report.failed_streams > len(report.failures):
        note(f"{report.failed_streams - len(report.failures)} more streams failed")


@with_target
def check(
    target: Target,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Document, YAML or JSON.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="CATEGORY",
            help="Then fold all stored streams of this category with it, on the server, and "
            "report how that went. Nothing is stored.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile a fold here, without a server, and say where it fails.

    With --against the exit code is 1 if a stream could not be folded.
    """
    fold = compiled(file)
    report = None if against is None else _folded(target, fold, against)
    if as_json:
        found = {"name": fold.name, "digest": fold.digest}
        print_json(found if report is None else {**found, **_json(report)})
    else:
        print_fields([("name", fold.name), ("digest", fold.digest), ("compiles", "yes")])
        if report is not None:
            _print(report, against or "")
    if report is not None and report.failed_streams:
        raise typer.Exit(ExitCode.REFUSED)
