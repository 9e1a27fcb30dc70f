"""`eventfold refs`."""

import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from eventfold import Client, EventNotFound, RecordedEvent
from eventfold.cli.connection import with_store
from eventfold.cli.events import event_columns, event_fields, event_row
from eventfold.cli.output import AsJson, note, print_json, print_table
from eventfold.cli.references import resolved_fields, resolved_lines

_PAGE_EVENTS_MAX = 1000


@with_store
def refs(
    store: Client,
    what: Annotated[
        str, typer.Argument(metavar="EVENT_ID|STREAM", help="Id of an event, or name of a stream.")
    ],
    is_stream: Annotated[
        bool, typer.Option("--stream", help="It is the name of a stream, though it is a UUID too.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most referrers to list; 0: no limit.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what an event refers to, and which events refer to it, or to a stream."""
    page_size = min(limit + 1, _PAGE_EVENTS_MAX) if limit else _PAGE_EVENTS_MAX
    if not is_stream and _is_id(what):
        _print_references(store, what, as_json)
        found = store.get_referrers(what, page_size=page_size)
    else:
        found = store.get_referrers(stream=what, page_size=page_size)
    _print_referrers(found, limit, as_json)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _print_references(store: Client, event_id: str, as_json: bool) -> None:
    try:
        resolved = store.get_references(event_id)
    except EventNotFound:
        # What is missing may be referred to all the same.
        note("no event has this id")
        return
    if as_json:
        print_json({"refers_to": resolved_fields(resolved)})
        return
    if print_table(["refers to"], ([line] for line in resolved_lines(resolved))):
        print()
    else:
        note("it refers to nothing")


def _print_referrers(found: Iterator[RecordedEvent], limit: int, as_json: bool) -> None:
    listed = islice(found, limit) if limit else found
    if as_json:
        for event in listed:
            print_json({"referrer": event_fields(event)})
        return
    count = print_table(["referrers at", *event_columns(True)[1:]], map(_row, listed))
    if count == 0:
        note("nothing refers to it")
    elif limit and next(found, None) is not None:
        note(f"there are more: --limit is {limit}")


def _row(event: RecordedEvent) -> tuple[object, ...]:
    return event_row(event, True)
