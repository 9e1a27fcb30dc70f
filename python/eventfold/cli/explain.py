"""`eventfold fold explain`."""

from collections.abc import Iterator
from typing import Annotated, Any

import orjson
import typer

from eventfold import Client, ExplainedEvent
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.hydrate import fold_argument
from eventfold.cli.output import AsJson, note, print_json, print_table
from eventfold.cli.text import compact_json, time_text
from eventfold.cli.values import point_in_time


def _json(event: ExplainedEvent) -> dict[str, Any]:
    changes = []
    for change in event.changes:
        shown: dict[str, Any] = {"path": change.path}
        # A value that is absent is left out, because null is a value.
        if change.before_json is not None:
            shown["before"] = orjson.Fragment(change.before_json)
        if change.after_json is not None:
            shown["after"] = orjson.Fragment(change.after_json)
        changes.append(shown)
    return {
        "version": event.version,
        "position": event.position,
        "id": event.event_id,
        "type": event.type,
        "recorded_at": time_text(event.recorded_at),
        "occurred_at": time_text(event.occurred_at),
        "handled": event.handled,
        "exists": event.exists,
        "changes": changes,
        "changes_left_out": event.changes_left_out,
    }


def _text(value: bytes | None) -> str:
    return "nothing" if value is None else compact_json(value)


def _rows(event: ExplainedEvent) -> Iterator[tuple[object, ...]]:
    """One row for each change; only the first names the event."""
    first = (str(event.version), time_text(event.occurred_at), event.type)
    if not event.changes and not event.changes_left_out:
        why = "no change" if event.handled else "no handler"
        yield (*first, "", why if event.exists or not event.handled else "no aggregate")
        return
    for change in event.changes:
        before, after = _text(change.before_json), _text(change.after_json)
        yield (*first, change.path, f"{before} -> {after}")
        first = ("", "", "")
    if event.changes_left_out:
        yield (*first, "", f"and {event.changes_left_out} more")


@with_store
def explain(
    store: Client,
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Name, category-id.")],
    fold: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="A registered fold, or the file of one: what has a `/` or ends in .yaml, .yml "
            "or .json.",
        ),
    ],
    first: Annotated[
        int | None, typer.Option("--from", min=1, help="First version; earlier events count.")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Last version.")] = None,
    recorded_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Events recorded at or before this time."),
    ] = None,
    occurred_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Events that occurred at or before this time. A date alone takes in all of "
            "that day, in UTC.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say of each event of a stream which places of the state it changed, from what to what."""
    category, separator, rest = stream.partition("-")
    if not separator:
        raise Failure(
            "INVALID_STREAM_NAME",
            f"{stream!r} is no stream name, category-id",
            ExitCode.INVALID_INPUT,
            {"stream": stream},
        )
    explained = store.explain(
        category,
        rest,
        fold=fold_argument(fold),
        from_version=first,
        to_version=last,
        recorded_at=None if recorded_at is None else point_in_time(recorded_at),
        occurred_at=None if occurred_at is None else point_in_time(occurred_at),
    )
    if as_json:
        for event in explained:
            print_json(_json(event))
        return
    rows = (row for event in explained for row in _rows(event))
    if print_table(["version", "occurred", "type", "path", "change"], rows) == 0:
        note("no events")
