"""`eventfold append`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eventfold import AppendResult, CheckResult, Client, Event
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode, violation_line
from eventfold.cli.lines import event_of_line, read_lines
from eventfold.cli.output import AsJson, note, print_fields, print_json
from eventfold.cli.projection_rows import error_fields
from eventfold.cli.text import time_text
from eventfold.cli.trials import violation_fields
from eventfold.cli.values import expected_version, json_argument, moment

_STDIN = "-"


def _events_of_file(name: str) -> list[Event]:
    return [event_of_line(line) for line in read_lines(name)]


def _one_event(
    type: str,
    data: str | None,
    metadata: str | None,
    tags: list[str],
    id: str | None,
    occurred_at: str | None,
) -> Event:
    return Event(
        type,
        b"{}" if data is None else json_argument(data, "DATA"),
        None if metadata is None else json_argument(metadata, "--metadata"),
        tags,
        id,
        None if occurred_at is None else moment(occurred_at),
    )


def appended_fields(stream: str, result: AppendResult, events: list[Event]) -> dict[str, Any]:
    """Where the events of an append stand."""
    return {
        "stream": stream,
        "first_version": result.first_version,
        "last_version": result.last_version,
        "positions": result.positions,
        "ids": [event.id for event in events],
        "duplicate": result.duplicate,
        "recorded_at": time_text(result.recorded_at),
    }


def print_appended(stream: str, result: AppendResult, events: list[Event]) -> None:
    """The same for people."""
    several = result.first_version != result.last_version
    first, last = result.positions[0], result.positions[-1]
    print_fields(
        [
            ("stream", stream),
            ("version", f"{result.first_version} to {result.last_version}")
            if several
            else ("version", result.last_version),
            ("position", f"{first} to {last}" if several else first),
            ("id", "" if several else events[0].id),
            ("recorded", time_text(result.recorded_at)),
            ("stored", "before: nothing new" if result.duplicate else "now"),
        ]
    )


def _print_check(stream: str, would: CheckResult, as_json: bool) -> None:
    refused = would.refused
    facts = {
        "stream": stream,
        "first_version": would.first_version,
        "last_version": would.last_version,
        "duplicate": would.duplicate,
    }
    if as_json:
        violations = [violation_fields(one) for one in would.violations]
        print_json({**facts, "violations": violations, "refused": error_fields(refused)})
    else:
        stored = "yes, before" if would.duplicate else "no, and would be accepted"
        fits = "" if refused is None else "no, and would be refused"
        print_fields([*list(facts.items())[:3], ("stored", fits or stored)])
        for one in would.violations:
            note(violation_line(one))
    if refused is not None:
        raise typer.Exit(ExitCode.REFUSED)


@with_store
def append(
    store: Client,
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Name, category-id.")],
    expected: Annotated[
        str,
        typer.Option(
            metavar="N|exists|any",
            help="Version that the stream must be at (0: no event yet), `exists`, or `any`.",
        ),
    ],
    type: Annotated[
        str | None,
        typer.Argument(metavar="TYPE", help="Event type; `-`: JSON lines from stdin."),
    ] = None,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="JSON object; default {}.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Several events from JSON lines: type, and as needed data, metadata, tags, id, "
            "occurred_at. All of them are stored, or none.",
        ),
    ] = None,
    metadata: Annotated[str | None, typer.Option(help="JSON object.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeat for more.")] = None,
    id: Annotated[
        str | None,
        typer.Option(help="UUID that makes the append idempotent; default: a new one."),
    ] = None,
    occurred_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it happened; default: now.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what would happen, and store nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Append an event, or several, to a stream at the version that it was decided on."""
    source = str(file) if file is not None else _STDIN if type == _STDIN else None
    if source is not None:
        if data or metadata or tags or id or occurred_at or (type and type != _STDIN):
            raise typer.BadParameter("with JSON lines, all else stands in the lines")
        events = _events_of_file(source)
    elif type is None:
        raise typer.BadParameter("name the TYPE of the event, or a --file of JSON lines")
    else:
        events = [_one_event(type, data, metadata, tags or [], id, occurred_at)]
    version = expected_version(expected)
    if not check:
        result = store.append(stream, events, expected_version=version)
        if as_json:
            print_json(appended_fields(stream, result, events))
        else:
            print_appended(stream, result, events)
        return
    _print_check(stream, store.check_append(stream, events, expected_version=version), as_json)
