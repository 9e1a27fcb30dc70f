"""`eventfold read --follow`."""

import logging
import sys
from dataclasses import dataclass
from typing import Any

import typer

from eventfold import Client, Frame, OnReconnect, Reconnect, Subscription
from eventfold.cli.events import event_columns, event_fields, event_row
from eventfold.cli.output import GrowingTable, note, print_json
from eventfold.cli.values import resume_token, token_text


@dataclass(frozen=True)
class Options:
    """How to print, and how much."""

    limit: int
    as_json: bool
    show_token: bool


def start(stream: str | None, first: int | None, after: str | None, *, now: bool) -> dict[str, Any]:
    """Where the subscription begins."""
    if now and (first is not None or after is not None):
        raise typer.BadParameter("--now does not go with --from or --after")
    if after is not None:
        return {"resume_token": resume_token(after)}
    if first is not None:
        return {"from_position" if stream is None else "from_version": first}
    return {"from_now": now}


def subscription(
    store: Client, stream: str | None, start: dict[str, Any], **source: Any
) -> Subscription:
    """A subscription that tells of breaks on stderr."""
    return store.subscribe(stream, **source, **start, on_reconnect=tell_of_breaks())


def tell_of_breaks() -> OnReconnect:
    """What tells of breaks on stderr, in place of the log."""
    # What is told here would be told again by Python's last resort for logging.
    logging.getLogger("eventfold").addHandler(logging.NullHandler())
    return _tell


def _tell(told: Reconnect) -> None:
    # Every failure of a long outage would be a line.
    if told.failures == 1:
        note(f"connection lost ({told.error}); going on from position {told.position}")


def follow(subscription: Subscription, options: Options, *, whole_log: bool) -> None:
    """Prints events as they come."""
    table = GrowingTable(event_columns(whole_log))
    left = options.limit
    try:
        with subscription:
            for frame in subscription.frames():
                events = frame.events[:left] if options.limit else frame.events
                _print(frame, events, table, whole_log=whole_log, as_json=options.as_json)
                left -= len(events)
                if options.limit and left == 0:
                    return
    finally:
        if options.show_token:
            note(f"resume token: {token_text(subscription.resume_token)}")


def _print(
    frame: Frame, events: Any, table: GrowingTable, *, whole_log: bool, as_json: bool
) -> None:
    if not len(frame):
        return
    if as_json:
        for event in events:
            print_json(event_fields(event))
    else:
        table.add([event_row(event, whole_log) for event in events])
    sys.stdout.flush()
