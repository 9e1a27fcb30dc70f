"""`eventfold read`."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from eventfold import Client, Direction, EventReader, RecordedEvent
from eventfold.cli import follow as following
from eventfold.cli.connection import with_store
from eventfold.cli.events import Copied, event_columns, event_fields, event_row
from eventfold.cli.output import AsJson, note, print_json, print_table
from eventfold.cli.references import resolved_fields, resolved_lines
from eventfold.cli.values import PeriodsOption, follow_of, resume_token, token_text


def _print(reader: EventReader, shows_streams: bool, resolve: bool, as_json: bool) -> None:
    if as_json:
        for event in reader:
            resolved = {"resolved": resolved_fields(event.resolved)} if resolve else {}
            print_json(event_fields(event) | resolved)
        return
    count = 0

    def rows() -> Iterator[tuple[object, ...]]:
        nonlocal count
        for event in reader:
            count += 1
            yield from _rows(event, shows_streams, resolve)

    print_table(event_columns(shows_streams), rows())
    if not reader.end.end_reached:
        note(f"{count} events; there are more")
    elif count == 0:
        note("no events")


def _rows(event: RecordedEvent, whole_log: bool, resolve: bool) -> Iterator[tuple[object, ...]]:
    """The row of an event, and those of what it refers to."""
    row = event_row(event, whole_log)
    yield row
    if resolve:
        for line in resolved_lines(event.resolved):
            yield (*[""] * (len(row) - 1), f"-> {line}")


def _check(
    stream: str | None, whole_log: bool, categories: Any, tags: Any, system: bool, copied: bool
) -> None:
    if (stream is None) != whole_log:
        raise typer.BadParameter("name a STREAM, or say --all, and not both")
    if not whole_log and (categories or tags or system):
        raise typer.BadParameter("--category, --tag, --system and --after go with --all")
    if copied:
        raise typer.BadParameter("--copies goes with --all or --follow")


_Stream = Annotated[str | None, typer.Argument(metavar="STREAM", help="Name, category-id.")]
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
_Follow = Annotated[
    bool,
    typer.Option("--follow", "-f", help="Then print what is appended, as it comes, until Ctrl-C."),
]
_Now = Annotated[
    bool, typer.Option("--now", help="With --follow: only what is appended from now on.")
]
_Where = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="CEL",
        help="With --follow: only events for which this expression over `event` and `meta` is "
        "true.",
    ),
]
_Raw = Annotated[
    bool,
    typer.Option("--raw", help="Data as it is stored, without the mappings in force."),
]
_ShowToken = Annotated[
    bool, typer.Option("--show-token", help="Print the resume token at the end, to stderr.")
]

_Resolve = Annotated[
    bool, typer.Option("--resolve", help="Also print what each event refers to, one level deep.")
]


def _check_start(after: str | None, first: int | None, backwards: bool) -> None:
    if after is not None and (first is not None or backwards):
        raise typer.BadParameter("--after does not go with --from or --backwards")


def _check_of_one_read(other: bool, resolve: bool, periods: bool) -> None:
    for given, option in ((resolve, "--resolve"), (periods, "--periods")):
        if other and given:
            raise typer.BadParameter(f"{option} does not go with --all or --follow")


@with_store
def read(
    store: Client,
    stream: _Stream = None,
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
    follow: _Follow = False,
    now: _Now = False,
    where: _Where = "",
    copies: Copied = None,
    raw: _Raw = False,
    show_token: _ShowToken = False,
    resolve: _Resolve = False,
    periods: PeriodsOption = None,
    as_json: AsJson = False,
) -> None:
    """Read a stream, or with --all the log, in order."""
    copied = copies is not None and not (whole_log or follow)
    _check(stream, whole_log, categories, tags, system or after is not None, copied)
    _check_start(after, first, backwards)
    _check_of_one_read(whole_log or follow, resolve, periods is not None)
    if follow:
        if last is not None or backwards:
            raise typer.BadParameter("--follow does not go with --to or --backwards")
        subscription = following.subscription(
            store,
            stream,
            following.start(stream, first, after, now=now),
            categories=categories or (),
            types=types or (),
            tags=tags or (),
            where=where,
            include_system_events=system,
            copies=copies,
            raw=raw,
        )
        options = following.Options(limit, as_json, show_token)
        following.follow(subscription, options, whole_log=whole_log)
        return
    if now or where:
        raise typer.BadParameter("--now and --where go with --follow")
    direction: Direction = "backwards" if backwards else "forwards"
    if stream is not None:
        reader = store.read(
            stream,
            from_version=first,
            to_version=last,
            direction=direction,
            limit=limit,
            types=types or (),
            raw=raw,
            resolve=resolve,
            mark_cancelled=True,
            follow=follow_of(periods),
        )
    else:
        reader = store.read_all(
            from_position=first,
            resume_token=None if after is None else resume_token(after),
            to_position=last,
            direction=direction,
            limit=limit,
            categories=categories or (),
            types=types or (),
            tags=tags or (),
            include_system_events=system,
            copies=copies,
            raw=raw,
        )
    with reader:
        _print(reader, whole_log or periods is not None, resolve, as_json)
        if show_token:
            note(f"resume token: {token_text(reader.end.resume_token)}")
