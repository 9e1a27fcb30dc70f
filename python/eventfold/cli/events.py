"""Events as commands print them."""

from typing import Annotated, Any

import orjson
import typer

from eventfold import Copies, EventFlags, RecordedEvent
from eventfold.cli.text import compact_json, joined, time_text

Copied = Annotated[
    Copies | None,
    typer.Option(
        "--copies",
        help="Whether events that a transform has copied are among them. Default: those of named "
        "streams and categories are, those of the whole log are not.",
    ),
]


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


def event_columns(whole_log: bool) -> list[str]:
    """The columns of a table of events; those of a single stream lack its name."""
    name = ["stream"] if whole_log else []
    return ["position", *name, "version", "type", "occurred", "writer", "data"]


def event_row(event: RecordedEvent, whole_log: bool) -> tuple[object, ...]:
    """The cells of an event."""
    data = "(deleted)" if event.deleted else compact_json(event.data_json or b"{}")
    if event.tags:
        data += f"  [{joined(event.tags)}]"
    if event.cancels is not None:
        data += f"  (cancels {event.cancels})"
    if event.cancelled:
        data += "  (cancelled)"
    if EventFlags.SCHEMA_VIOLATED in event.flags:
        data += "  (did not fit its schema)"
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
