"""References as commands print them."""

from collections.abc import Iterator
from typing import Any

from eventfold import Resolved, ResolvedEvent, StreamInfo
from eventfold.cli.events import event_fields
from eventfold.cli.streams import stream_fields
from eventfold.cli.text import compact_json


def resolved_fields(resolved: Resolved) -> dict[str, Any]:
    """What references lead to, by id and by name; null: it is missing."""
    return {
        "events": {id_: _event_fields(lead) for id_, lead in resolved.events.items()},
        "streams": {
            name: stream_fields(stream) if stream.exists else None
            for name, stream in resolved.streams.items()
        },
    }


def resolved_lines(resolved: Resolved) -> Iterator[str]:
    """What each reference leads to, for people."""
    for id_, lead in resolved.events.items():
        yield _event_line(id_, lead)
    for name, stream in resolved.streams.items():
        yield _stream_line(name, stream)


def _event_fields(lead: ResolvedEvent) -> dict[str, Any] | None:
    if lead.event is not None:
        return event_fields(lead.event)
    if lead.deleted:
        return {"deleted": True}
    return {"left_out": True} if lead.left_out else None


def _event_line(id_: str, lead: ResolvedEvent) -> str:
    event = lead.event
    if event is not None:
        place = f"{event.stream}@{event.version}"
        return f"{id_}  {event.type}  {place}  {compact_json(event.data_json or b'{}')}"
    if lead.deleted:
        return f"{id_}  (deleted)"
    return f"{id_}  (too large to be shown here)" if lead.left_out else f"{id_}  (missing)"


def _stream_line(name: str, stream: StreamInfo) -> str:
    if not stream.exists:
        return f"{name}  (missing)"
    return f"{name}  version {stream.version}, {stream.lifecycle.value}"
