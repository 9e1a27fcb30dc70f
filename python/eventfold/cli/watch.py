"""`eventfold watch`."""

import sys
from typing import Annotated, Any

import orjson
import typer

from eventfold import Client, WatchedState
from eventfold.cli.connection import with_store
from eventfold.cli.follow import tell_of_breaks
from eventfold.cli.hydrate import fold_argument
from eventfold.cli.output import AsJson, GrowingTable, print_json
from eventfold.cli.text import compact_json, time_text


def _fields(stream: str, now: WatchedState) -> dict[str, Any]:
    return {
        "stream": stream,
        "version": now.version,
        "position": now.position,
        "event_id": now.event_id,
        "type": now.type,
        "recorded_at": time_text(now.recorded_at) or None,
        "occurred_at": time_text(now.occurred_at) or None,
        "exists": now.exists,
        "state": orjson.Fragment(now.state_json),
    }


def _row(now: WatchedState) -> list[object]:
    return [
        now.version,
        now.position,
        time_text(now.recorded_at),
        now.type or "",
        compact_json(now.state_json),
    ]


@with_store
def watch(
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
        int | None,
        typer.Option("--from", min=1, help="Version to begin with, inclusive; default: the head."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most states to print; 0: no limit.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print the state of a stream, and again after every event, until Ctrl-C."""
    table = GrowingTable(["version", "position", "recorded", "type", "state"])
    states = store.watch(
        stream, fold=fold_argument(fold), from_version=first, on_reconnect=tell_of_breaks()
    )
    printed = 0
    with states:
        for now in states:
            if as_json:
                print_json(_fields(stream, now))
            else:
                table.add([_row(now)])
            sys.stdout.flush()
            printed += 1
            if printed == limit:
                return
