"""`eventfold hydrate`."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from eventfold import Client, FoldLike, Hydrated
from eventfold.cli.connection import with_store
from eventfold.cli.output import AsJson, console, print_fields, print_json
from eventfold.cli.text import pretty_json
from eventfold.cli.values import PeriodsOption, follow_of, point_in_time


def fold_argument(text: str) -> FoldLike:
    """A path if it looks like one or names a file with a separator in it, else a name."""
    looks_like_path = "/" in text or text.lower().endswith((".yaml", ".yml", ".json"))
    return Path(text) if looks_like_path else text


def _print(stream: str, found: Hydrated, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "stream": stream,
                "exists": found.exists,
                "version": found.version,
                "position": found.position,
                "events_read": found.events_read,
                "events_folded": found.events_folded,
                "kept_version": found.kept_version,
                "fold_digest": found.fold_digest,
                "state": orjson.Fragment(found.state_json),
            }
        )
        return
    print_fields(
        [
            ("stream", stream),
            ("exists", "yes" if found.exists else "no"),
            ("version", found.version),
            ("position", found.position),
            ("events", f"{found.events_read} read, {found.events_folded} folded"),
            ("kept", f"from version {found.kept_version} on" if found.kept_version else ""),
        ]
    )
    console().print(pretty_json(found.state_json))


@with_store
def hydrate(
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
    version: Annotated[
        int | None, typer.Option(min=0, help="Events up to this version; 0: the initial state.")
    ] = None,
    position: Annotated[
        int | None, typer.Option(min=0, help="Events up to this position of the log.")
    ] = None,
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
    periods: PeriodsOption = None,
    as_json: AsJson = False,
) -> None:
    """Fold the events of a stream into its state, at its head or at a point before."""
    points = [version, position, recorded_at, occurred_at]
    if sum(point is not None for point in points) > 1:
        raise typer.BadParameter(
            "at most one of --version, --position, --recorded-at and --occurred-at"
        )
    found = store.hydrate_stream(
        stream,
        fold=fold_argument(fold),
        version=version,
        position=position,
        recorded_at=None if recorded_at is None else point_in_time(recorded_at),
        occurred_at=None if occurred_at is None else point_in_time(occurred_at),
        follow=follow_of(periods),
    )
    _print(found.stream or stream, found, as_json)
