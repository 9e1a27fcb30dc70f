"""`eventfold group create, list, show, delete, reset, parked, replay, purge`."""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, Literal

import typer

from eventfold import Client, Group, GroupSettings, ParkedEvent
from eventfold.cli.connection import with_store
from eventfold.cli.events import Copied, event_fields
from eventfold.cli.output import AsJson, note, print_fields, print_json, print_table
from eventfold.cli.text import joined, time_text
from eventfold.cli.values import moment, resume_token

app = typer.Typer(help="Consumer groups, and what they have parked.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]
_From = Annotated[
    int | None, typer.Option("--from", min=1, help="Position to begin with, inclusive.")
]
_After = Annotated[
    str | None, typer.Option("--after", metavar="TOKEN", help="Begin behind this resume token.")
]
_RecordedAt = Annotated[
    str | None,
    typer.Option(
        "--recorded-at", metavar="TIME", help="Begin with what was recorded at or after this time."
    ),
]
_Now = Annotated[bool, typer.Option("--now", help="Begin with what is appended from now on.")]
_Positions = Annotated[
    list[int] | None, typer.Argument(metavar="[POSITION]...", help="Positions of parked events.")
]
_All = Annotated[bool, typer.Option("--all", help="All that are parked.")]


def _start(first: int | None, after: str | None, at: str | None, *, now: bool) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if first is not None:
        chosen["from_position"] = first
    if after is not None:
        chosen["resume_token"] = resume_token(after)
    if at is not None:
        chosen["from_recorded_at"] = moment(at)
    if now:
        chosen["from_now"] = True
    if len(chosen) > 1:
        raise typer.BadParameter("at most one of --from, --after, --recorded-at and --now")
    return chosen


def _source(group: Group) -> str:
    parts = [
        group.stream,
        joined(group.categories),
        f"types {joined(group.types)}" if group.types else "",
        f"tags {joined(group.tags)}" if group.tags else "",
        f"where {group.where}" if group.where else "",
        "system events" if group.include_system_events else "",
        f"{group.copies} copies" if group.copies else "",
    ]
    return "; ".join(part for part in parts if part) or "all events"


def _fields(group: Group) -> dict[str, Any]:
    settings = group.settings
    return {
        "name": group.name,
        "stream": group.stream,
        "categories": list(group.categories),
        "types": list(group.types),
        "tags": list(group.tags),
        "where": group.where,
        "include_system_events": group.include_system_events,
        "copies": group.copies,
        "settings": {name: getattr(settings, name) for name in settings.__slots__},
        "generation": group.generation,
        "created_at": time_text(group.created_at),
        "created_by": group.created_by,
        "cursor": group.cursor,
        "progress": group.progress,
        "lag": group.lag,
    }


def _status(group: Group) -> dict[str, Any]:
    status = group.status
    assert status is not None
    return {
        "head": status.head,
        "waiting": status.waiting,
        "under_way": status.under_way,
        "retrying": status.retrying,
        "held_back": status.held_back,
        "parked": status.parked,
        "oldest_parked": status.oldest_parked,
        "oldest_recorded_at": time_text(status.oldest_recorded_at) or None,
        "consumers": [
            {
                "session": one.session,
                "consumer": one.consumer,
                "caller": one.caller,
                "since": time_text(one.since),
                "streams": one.streams,
                "under_way": one.under_way,
            }
            for one in status.consumers
        ],
    }


def _shown(group: Group) -> list[tuple[str, object]]:
    settings = group.settings
    order = "none" if settings.unordered else f"by stream, parked events {settings.on_park}"
    return [
        ("name", group.name),
        ("events", _source(group)),
        ("order", order),
        ("ack timeout", f"{settings.ack_timeout:g} s"),
        ("attempts", settings.attempts_max),
        ("retry", f"after {settings.retry_initial:g} s, times {settings.retry_factor:g}"),
        ("retry at most", f"after {settings.retry_max:g} s"),
        ("generation", group.generation),
        ("created", f"{time_text(group.created_at)} by {group.created_by}"),
        ("progress", group.progress),
        ("cursor", group.cursor),
        ("lag", group.lag),
    ]


@app.command("create")
@with_store
def create(
    store: Client,
    name: _Name,
    stream: Annotated[str | None, typer.Option(help="Only events of this stream.")] = None,
    categories: Annotated[
        list[str] | None, typer.Option("--category", help="Only this category; repeat for more.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only this event type; repeat for more.")
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Only events with this tag; repeated: with all of them."),
    ] = None,
    where: Annotated[
        str, typer.Option(metavar="CEL", help="Only events for which this expression is true.")
    ] = "",
    system: Annotated[
        bool, typer.Option("--system", help="Also streams whose name starts with `$`.")
    ] = False,
    copies: Copied = None,
    first: _From = None,
    after: _After = None,
    recorded_at: _RecordedAt = None,
    now: _Now = False,
    ack_timeout: Annotated[
        float | None, typer.Option(help="Seconds in which an event has to be handled.")
    ] = None,
    attempts: Annotated[
        int, typer.Option(min=0, help="Deliveries after which an event is parked; 0: 10.")
    ] = 0,
    retry_initial: Annotated[
        float | None, typer.Option(help="Seconds before the second attempt.")
    ] = None,
    retry_factor: Annotated[
        float, typer.Option(help="What the wait is multiplied with; 0: 2.")
    ] = 0.0,
    retry_max: Annotated[float | None, typer.Option(help="Longest wait in seconds.")] = None,
    on_park: Annotated[
        Literal["hold-back", "let-pass"],
        typer.Option(help="What a parked event does to the later ones of its stream."),
    ] = "hold-back",
    unordered: Annotated[
        bool, typer.Option("--unordered", help="Without regard for the order in streams.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a group; the same again changes nothing."""
    group = store.create_group(
        name,
        stream=stream,
        categories=categories or (),
        types=types or (),
        tags=tags or (),
        where=where,
        include_system_events=system,
        copies=copies,
        settings=GroupSettings(
            ack_timeout,
            attempts,
            retry_initial,
            retry_factor,
            retry_max,
            "let pass" if on_park == "let-pass" else "hold back",
            unordered,
        ),
        **_start(first, after, recorded_at, now=now),
    )
    if as_json:
        print_json({**_fields(group), "created": group.created})
    else:
        print_fields([*_shown(group), ("new", "yes" if group.created else "no, the same")])


@app.command("list")
@with_store
def list_groups(store: Client, as_json: AsJson = False) -> None:
    """List groups in byte order of their names."""
    if as_json:
        for group in store.list_groups():
            print_json(_fields(group))
        return
    rows = ((one.lag, one.progress, one.name, _source(one)) for one in store.list_groups())
    if print_table(["lag", "progress", "group", "events"], rows) == 0:
        note("no groups")


@app.command("show")
@with_store
def show(store: Client, name: _Name, as_json: AsJson = False) -> None:
    """Describe a group, how far it is, and who consumes it."""
    group = store.get_group(name)
    status = _status(group)
    if as_json:
        print_json({**_fields(group), "status": status})
        return
    consumers = status.pop("consumers")
    names = ((key.replace("_", " "), value) for key, value in status.items())
    print_fields([*_shown(group), *names])
    if consumers:
        print()
        columns = ["session", "under way", "streams", "since", "caller", "consumer"]
        keys = ["session", "under_way", "streams", "since", "caller", "consumer"]
        print_table(columns, ([one[key] for key in keys] for one in consumers))


@app.command("delete")
@with_store
def delete(store: Client, name: _Name) -> None:
    """Delete a group, with its progress and its parked events."""
    store.delete_group(name)


@app.command("reset")
@with_store
def reset(
    store: Client,
    name: _Name,
    first: _From = None,
    after: _After = None,
    recorded_at: _RecordedAt = None,
    now: _Now = False,
    as_json: AsJson = False,
) -> None:
    """Let a group begin anew somewhere in the log."""
    start = _start(first, after, recorded_at, now=now)
    if not start:
        raise typer.BadParameter("name the start: --from, --after, --recorded-at or --now")
    group = store.reset_group(name, **start)
    if as_json:
        print_json(_fields(group))
    else:
        print_fields(_shown(group))


@app.command("parked")
@with_store
def parked(
    store: Client,
    name: _Name,
    limit: Annotated[int, typer.Option(min=0, help="Most events to list; 0: no limit.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the parked events of a group."""
    found = store.list_parked(name)
    listed = islice(found, limit) if limit else found
    if as_json:
        for one in listed:
            print_json(_parked_fields(one))
        return
    columns = ["position", "attempts", "parked", "cause", "holds back", "stream", "type", "reason"]
    count = print_table(columns, (_parked_row(one) for one in listed))
    if count == 0:
        note("no parked events")
    elif limit and next(found, None) is not None:
        note(f"there are more: --limit is {limit}")


def _parked_fields(one: ParkedEvent) -> dict[str, Any]:
    return {
        "attempts": one.attempts,
        "parked_at": time_text(one.parked_at),
        "cause": one.cause,
        "reason": one.reason,
        "consumer": one.consumer,
        "holds_back": one.holds_back,
        "event": event_fields(one.event),
    }


def _parked_row(one: ParkedEvent) -> tuple[object, ...]:
    return (
        one.event.position,
        one.attempts,
        time_text(one.parked_at),
        one.cause,
        "yes" if one.holds_back else "no",
        one.event.stream,
        one.event.type,
        one.reason,
    )


@app.command("replay")
@with_store
def replay(store: Client, name: _Name, positions: _Positions = None, every: _All = False) -> None:
    """Deliver parked events again."""
    note(f"{_settle(store.replay_parked, name, positions, every=every)} delivered again")


@app.command("purge")
@with_store
def purge(store: Client, name: _Name, positions: _Positions = None, every: _All = False) -> None:
    """Give parked events up; they stay in the log."""
    note(f"{_settle(store.purge_parked, name, positions, every=every)} given up")


def _settle(
    call: Callable[..., int], name: str, positions: list[int] | None, *, every: bool
) -> int:
    if bool(positions) == every:
        raise typer.BadParameter("name POSITIONs, or say --all")
    return call(name, positions or (), all=every)
