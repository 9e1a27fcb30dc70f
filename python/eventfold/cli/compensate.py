"""`eventfold compensate`."""

from typing import Annotated

import typer

from eventfold import Client, Event
from eventfold.cli.append import appended_fields, print_appended
from eventfold.cli.connection import with_store
from eventfold.cli.output import AsJson, print_json
from eventfold.cli.values import expected_version, json_argument, moment


@with_store
def compensate(
    store: Client,
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Name, category-id.")],
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event that was wrong.")],
    reason: Annotated[str, typer.Option(help="Why, for people; it stays in the log.")],
    expected: Annotated[
        str,
        typer.Option(
            metavar="N|exists|any", help="Version that the stream must be at, `exists`, or `any`."
        ),
    ],
    correction: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="TYPE DATA", help="Event that would have been right, stored with it: JSON data."
        ),
    ] = None,
    type: Annotated[
        str | None,
        typer.Option(help="Type of the cancellation; default: that of the event and `Cancelled`."),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(help="UUID of the cancellation, to repeat it with; default: a new one."),
    ] = None,
    correction_id: Annotated[
        str | None, typer.Option(help="UUID of the correction; default: a new one.")
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(help="Metadata of the cancellation, a JSON object.")
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="A tag of it; repeat for more.")
    ] = None,
    occurred_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the mistake was found; default: now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an event that was wrong, and store what would have been right."""
    right = None
    if correction is not None:
        kind, data = correction
        right = Event(kind, json_argument(data, "--correction"), id=correction_id)
    elif correction_id is not None:
        raise typer.BadParameter("--correction-id goes with --correction")
    # A cancellation without data of its own, for its id alone.
    cancellation = Event("Cancelled", id=id)
    result = store.compensate(
        stream,
        event,
        reason=reason,
        expected_version=expected_version(expected),
        correction=right,
        type=type,
        id=cancellation.id,
        metadata=None if metadata is None else json_argument(metadata, "--metadata"),
        tags=tags or (),
        occurred_at=None if occurred_at is None else moment(occurred_at),
    )
    events = [cancellation] if right is None else [cancellation, right]
    if as_json:
        print_json(appended_fields(stream, result, events) | {"cancels": event.lower()})
    else:
        print_appended(stream, result, events)
