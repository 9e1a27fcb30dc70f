"""What is said of event types and categories."""

from dataclasses import dataclass, replace
from typing import Any

from eventfold import _core
from eventfold_server.domain import requests
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import EVENT_TYPE_DESCRIPTION_BYTES_MAX
from eventfold_server.storage.event_types import EventTypeRow, EventTypeStorage

# What the domain knows of an event type is its row.
EventType = EventTypeRow


@dataclass
class ToSay:
    """What is to be said of an event type; None leaves what was said before. Modes are numbered as
    in the proto.
    """

    description: str | None = None
    # Empty: nothing is written instead.
    replaced_by: str | None = None
    schema_mode: int | None = None
    refs_mode: int | None = None


class Sayings:
    """What was said of the event types and categories of one store."""

    def __init__(self, storage: EventTypeStorage) -> None:
        self._storage = storage

    async def say(self, caller: Caller, event_type: str, new: ToSay) -> EventType:
        """Says it; INVALID_REQUEST if it is nothing, or the type were replaced by itself, or in a
        circle.
        """
        check_event_type(event_type)
        changes = _changes(new)
        if not changes:
            raise requests.invalid("event_type", "nothing is said of it")
        async with self._storage.changing() as change:
            before = await change.said(event_type)
            said = replace(before, **changes)
            if said.replaced_by is not None:
                chain = await change.replacements(said.replaced_by, event_type)
                if event_type in chain:
                    raise requests.invalid("replaced_by", "leads back to the event type itself")
            modes = [(one.schema_mode, one.refs_mode) for one in (before, said)]
            await change.say(event_type, said, caller.writer, of_rules=modes[0] != modes[1])
            await change.commit()
        return await self._storage.event_type(event_type)

    async def say_of_category(self, category: str, schema_mode: int) -> None:
        """Says what becomes of events of a category that their schema does not fit; 0 takes back
        what was said.
        """
        try:
            named = _core.check_stream_name(f"{category}-1")
        except _core.CoreError:
            named = None
        if named != category:
            raise requests.invalid("name", "is no name of a category")
        async with self._storage.changing() as change:
            await change.put_category(category, schema_mode)
            await change.commit()

    async def categories(self, after: str, limit: int) -> list[tuple[str, int]]:
        """Categories behind `after` of which something was said, with their modes."""
        return await self._storage.categories(after, limit)


def check_event_type(name: str) -> None:
    """INVALID_EVENT_TYPE, unless it is a type that events can have."""
    try:
        _core.check_event_type(name)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


def _changes(new: ToSay) -> dict[str, Any]:
    """The fields of `Said` that change."""
    changes: dict[str, Any] = {}
    if new.description is not None:
        if len(new.description.encode()) > EVENT_TYPE_DESCRIPTION_BYTES_MAX:
            raise requests.invalid(
                "description",
                f"at most {EVENT_TYPE_DESCRIPTION_BYTES_MAX} bytes",
                EVENT_TYPE_DESCRIPTION_BYTES_MAX,
            )
        changes["description"] = new.description
    if new.replaced_by is not None:
        if new.replaced_by:
            try:
                check_event_type(new.replaced_by)
            except Refusal as refusal:
                raise requests.invalid("replaced_by", refusal.message) from None
        changes["replaced_by"] = new.replaced_by or None
    if new.schema_mode is not None:
        changes["schema_mode"] = new.schema_mode
    if new.refs_mode is not None:
        changes["refs_mode"] = new.refs_mode
    return changes
