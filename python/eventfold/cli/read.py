"""`eventfold read`."""

import base64
from collections.abc import Iterator
from typing import Annotated, Any

import orjson
import typer

from eventfold import Client, Direction, EventReader, RecordedEvent
from eventfold.cli.connection import with_store
from eventfold.cli.output import AsJson, note, print_json, print_table
from eventfold.cli.text import compact_json, joined, time_text


def event_fields(event: RecordedEvent) -> dict[str, Any]:
    """All of an event, with data and metadata byte for byte."""
    return {
        "id": event.id,
        "stream": event.stream,
        "type": event.type,
        "version": event.version,
        "position": event.position,
        "recorded_at": time_text(event.recorded_at),
        "occurred_at": time_text(event.occurred_at),
        "writer": event.writer,
        "data": _fragment(event.data_json),
        "metadata": _fragment(event.metadata_json),
        "tags": list(event.tags),
        "flags": int(event.flags),
        "copied_from": event.copied_from,
        "cancels": event.cancels,
        "trace_context": event.trace_context,
        "deleted": event.deleted,
    }


def _fragment(text: bytes) -> orjson.Fragment:
    # JSON may be spelled over several lines; then it would no longer be one object a line.
    ready = b"\n" not in text and b"\r" not in text
    return orjson.Fragment((text if ready else compact_json(text)) or b"null")


def _row(event: RecordedEvent, whole_log: bool) -> tuple[object, ...]:
    data = "(deleted)" if event.deleted else compact_json(event.data_json or b"{}")
    if event.tags:
        data += f"  [{joined(event.tags)}]"
    name = (event.stream,) if whole_log else ()
    return (
        event.position,
        *name,
        event.version,
        event.type,
        time_text(event.occurred_at),
        event.writer,
        data,
    )


def _print(reader: EventReader, whole_log: bool, as_json: bool) -> None:
    if as_json:
        for event in reader:
            print_json(event_fields(event))
        return
    name = ["stream"] if whole_log else []
    rows: Iterator[tuple[object, ...]] = (_row(event, whole_log) for event in reader)
    columns = ["position", *name, "version", "type", "occurred", "writer", "data"]
    count = print_table(columns, rows)
    if not reader.end.end_reached:
        note(f"{count} events; there are more")
    elif count == 0:
        note("no events")


def _check(stream: str | None, whole_log: bool, categories: Any, tags: Any, system: bool) -> None:
    if (stream is None) != whole_log:
        raise typer.BadParameter("name a STREAM, or say --all, and not both")
    if not whole_log and (categories or tags or system):
        raise typer.BadParameter("--category, --tag, --system and --after go with --all")


_First = Annotated[
    int | None,
    typer.Option(
        "--from", min=1, help="Version, or position with --all, to begin with, inclusive."
    ),
]
_Last = Annotated[
    int | None, typer.Option("--to", min=1, help="Version or position to end with, inclusive.")
]
_Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only this event type; repeat for more.")
]
_Categories = Annotated[
    list[str] | None, typer.Option("--category", help="Only this category; repeat for more.")
]
_Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only events with this tag; repeated: with all of them."),
]
_System = Annotated[bool, typer.Option("--system", help="Also streams whose name starts with `$`.")]
_After = Annotated[
    str | None,
    typer.Option("--after", metavar="TOKEN", help="With --all: begin behind this resume token."),
]
_ShowToken = Annotated[
    bool, typer.Option("--show-token", help="Print the resume token at the end, to stderr.")
]


@with_store
def read(
    store: Client,
    stream: Annotated[
        str | None, typer.Argument(metavar="STREAM", help="Name, category-id.")
    ] = None,
    whole_log: Annotated[bool, typer.Option("--all", help="The log with all streams.")] = False,
    first: _First = None,
    last: _Last = None,
    limit: Annotated[int, typer.Option(min=0, help="Most events to print; 0: no limit.")] = 0,
    types: _Types = None,
    categories: _Categories = None,
    tags: _Tags = None,
    backwards: Annotated[bool, typer.Option("--backwards", help="From the head down.")] = False,
    system: _System = False,
    after: _After = None,
    show_token: _ShowToken = False,
    as_json: AsJson = False,
) -> None:
    """Read a stream, or with --all the log, in order."""
    _check(stream, whole_log, categories, tags, system or after is not None)
    if after is not None and (first is not None or backwards):
        raise typer.BadParameter("--after does not go with --from or --backwards")
    direction: Direction = "backwards" if backwards else "forwards"
    if stream is not None:
        reader = store.read(
            stream,
            from_version=first,
            to_version=last,
            direction=direction,
            limit=limit,
            types=types or (),
        )
    else:
        reader = store.read_all(
            from_position=first,
            resume_token=None if after is None else _token(after),
            to_position=last,
            direction=direction,
            limit=limit,
            categories=categories or (),
            types=types or (),
            tags=tags or (),
            include_system_events=system,
        )
    with reader:
        _print(reader, whole_log, as_json)
        if show_token:
            note(f"resume token: {base64.urlsafe_b64encode(reader.end.resume_token).decode()}")


def _token(text: str) -> bytes:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no resume token") from None
