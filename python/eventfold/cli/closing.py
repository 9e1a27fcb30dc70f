"""`eventfold close`: the books of one stream, or of a whole category."""

import asyncio
import sys
from typing import Annotated, Any

import typer

from eventfold import EXISTS, Client, ClosedStream, EventfoldError
from eventfold.cli.close_streams import Closer, Counts, Plan
from eventfold.cli.connection import Target, with_target
from eventfold.cli.failures import ExitCode, Failure, describe, exit_code_of
from eventfold.cli.hydrate import fold_argument
from eventfold.cli.output import AsJson, Steps, print_fields, print_json, progress_bar


def _closed_fields(closed: ClosedStream) -> dict[str, Any]:
    return {
        "stream": closed.stream,
        "version": closed.version,
        "position": closed.position,
        "successor": closed.successor,
        "opening_position": closed.opening_position or None,
        "folds": [state.fold for state in closed.states],
        "duplicate": closed.duplicate,
    }


def _chosen(event_type: str, default: str) -> str:
    """The type, where it is not the one that the server takes by itself."""
    return "" if event_type == default else event_type


def _close_one(
    store: Client, stream: str, plan: Plan, successor: str | None, expected: int | None
) -> dict[str, Any]:
    closed = store.close_stream(
        stream,
        successor=successor,
        folds=plan.folds,
        expected_version=EXISTS if expected is None else expected,
        closing_type=plan.closing_type,
        opening_type=plan.opening_type,
        follow="all" if plan.through else None,
    )
    return _closed_fields(closed)


async def _close_all(target: Target, plan: Plan, in_flight: int, steps: Steps) -> Counts:
    async with target.async_client() as store:
        closer = Closer(store, plan, in_flight, steps.advance)
        try:
            await closer.close_all()
        except EventfoldError as error:
            facts: dict[str, object] = {**error.facts, **_count_fields(closer.counts)}
            raise Failure(error.reason, error.message, exit_code_of(error), facts) from error
        return closer.counts


def _count_fields(counts: Counts) -> dict[str, int]:
    return {
        "closed": counts.closed,
        "closed_already": counts.already,
        "left_open": counts.left_open,
        "failed": counts.failed,
    }


def _print(fields: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(fields)
    else:
        shown = {name: ", ".join(one) if isinstance(one, list) else one
                 for name, one in fields.items()}  # fmt: skip
        print_fields(shown.items())


@with_target
def close(
    target: Target,
    stream: Annotated[
        str | None, typer.Argument(metavar="[STREAM]", help="Name, category-id.")
    ] = None,
    successor: Annotated[
        str | None,
        typer.Option(metavar="STREAM", help="The stream that goes on, of the same category."),
    ] = None,
    end: Annotated[
        bool, typer.Option("--end", help="No stream goes on: the stream only ends.")
    ] = False,
    category: Annotated[
        str | None, typer.Option(help="Close all open streams of this category.")
    ] = None,
    successor_suffix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="With --category: the successor's name is that of the first stream of the line "
            "and this text. Streams whose name ends so are of the new period, and stay open.",
        ),
    ] = None,
    fold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE", help="A fold whose state the successor starts from; repeatable."
        ),
    ] = None,
    expected_version: Annotated[
        int | None, typer.Option(min=1, help="Version of the stream. Default: whichever it is.")
    ] = None,
    closing_type: Annotated[str, typer.Option(help="Type of the closing event.")] = "$Closed",
    opening_type: Annotated[str, typer.Option(help="Type of the opening event.")] = "$Opened",
    follow_all: Annotated[
        bool,
        typer.Option(
            "--follow-all", help="Fold what a stream was not opened with through all periods."
        ),
    ] = False,
    in_flight: Annotated[
        int, typer.Option(min=1, max=128, help="With --category: streams closed at once.")
    ] = 16,
    as_json: AsJson = False,
) -> None:
    """Close the books: a stream ends, and another one goes on with the states of folds.

    A category is closed while appends go on; a run that was stopped is gone on with by another,
    since what is closed is skipped.
    """
    folds = [fold_argument(one) for one in fold or []]
    plan = Plan(category or "", successor_suffix or "", folds,
                _chosen(closing_type, "$Closed"), _chosen(opening_type, "$Opened"),
                follow_all)  # fmt: skip
    if category is None:
        if stream is None or successor_suffix is not None or (successor is None) != end:
            raise typer.BadParameter("name a STREAM, and either --successor or --end")
        with target.client() as store:
            _print(_close_one(store, stream, plan, successor, expected_version), as_json)
        return
    if stream is not None or successor is not None or end or expected_version is not None:
        raise typer.BadParameter("--category goes with --successor-suffix, and not with a STREAM")
    if not successor_suffix:
        raise typer.BadParameter("--category needs --successor-suffix")
    with progress_bar("Closing", None) as steps:
        counts = asyncio.run(_close_all(target, plan, in_flight, steps))
    _print(_count_fields(counts), as_json)
    if counts.failed:
        for name, error in counts.failures:
            print(describe(error.reason, error.message, {"stream": name}), file=sys.stderr)
        message = "some streams could not be closed; the others are"
        raise Failure("NOT_ALL_CLOSED", message, ExitCode.REFUSED, {"failed": counts.failed})
