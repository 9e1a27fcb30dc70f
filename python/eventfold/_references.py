"""References: what events refer to, and what that leads to."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventfold._errors import InvalidValue
from eventfold._events import Event, RecordedEvent
from eventfold._json import Numbers, as_uuid_text
from eventfold._results import StreamInfo
from eventfold.v1 import event_store_pb2 as pb

EventId: TypeAlias = str | uuid.UUID | Event | RecordedEvent
"""The id of an event, or an event that has it."""


@dataclass(frozen=True, slots=True, init=False)
class References:
    """Events and streams that an event refers to, instead of copying from them.

        booked = eventfold.Event("TransactionBooked", {...})
        tagged = eventfold.Event("TransactionTagged", refs=eventfold.References([booked]))

    At most 100 of both together, each once. Whether they are there is checked by the server, for
    event types that demand it.

    Attributes:
        events: ids of events, in canonical lower case; made of ids or of events.
        streams: names of streams.

    Raises:
        InvalidValue: an id is no UUID.
        TypeError: events or streams are one value instead of several.
    """

    events: tuple[str, ...]
    streams: tuple[str, ...]

    def __init__(self, events: Iterable[EventId] = (), streams: Iterable[str] = ()) -> None:
        for name, values in (("events", events), ("streams", streams)):
            if isinstance(values, (str, uuid.UUID, Event, RecordedEvent)):
                raise TypeError(f"{name} must be several, not one")
        object.__setattr__(self, "events", tuple(event_id(event) for event in events))
        object.__setattr__(self, "streams", tuple(streams))

    def __len__(self) -> int:
        return len(self.events) + len(self.streams)


@dataclass(frozen=True, slots=True)
class ResolvedEvent:
    """What the reference to an event leads to.

    Attributes:
        event: the event; None: it is missing, deleted, or left out.
        deleted: it was there, and its payload was deleted.
        left_out: it is there, and found no room in the answer, which holds 2 MiB of resolved
            events; `get_event` has it. Never in what `read` gives.
    """

    event: RecordedEvent | None
    deleted: bool = False
    left_out: bool = False

    @property
    def exists(self) -> bool:
        """Whether it was ever stored."""
        return self.event is not None or self.deleted or self.left_out


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the references of an event lead to, in the order in which it names them.

    Attributes:
        events: by id.
        streams: by name; one that never had an event has version 0.
    """

    events: Mapping[str, ResolvedEvent]
    streams: Mapping[str, StreamInfo]


class Leads:
    """What the references of all events of a message lead to."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._events: dict[str, ResolvedEvent] = {}
        self._streams: dict[str, StreamInfo] = {}

    def extend(self, references: Iterable[pb.ResolvedReference]) -> None:
        """Adds what a message says."""
        for reference in references:
            if reference.WhichOneof("target") == "stream_name":
                name = reference.stream_name
                found = reference.HasField("stream")
                self._streams[name] = (
                    StreamInfo._from_wire(reference.stream)
                    if found
                    else StreamInfo._never_written(name)
                )
                continue
            event = None
            if reference.HasField("event"):
                event = RecordedEvent(reference.event.SerializeToString(), self._numbers)
            resolved = ResolvedEvent(event, reference.deleted, reference.left_out)
            self._events[reference.event_id] = resolved

    def all(self) -> Resolved:
        """All of them."""
        return Resolved(self._events, self._streams)

    def of(self, references: References) -> Resolved:
        """What those of one event lead to."""
        return Resolved(
            {event: self._events[event] for event in references.events if event in self._events},
            {name: self._streams[name] for name in references.streams if name in self._streams},
        )


def event_id(event: EventId) -> str:
    """The id of an event in canonical lower case.

    Raises:
        InvalidValue: it is no UUID.
    """
    return event.id if isinstance(event, (Event, RecordedEvent)) else as_uuid_text(event)


def recorded(events: list[str], streams: list[str]) -> References:
    """What a stored event refers to; the core has looked at it."""
    references = object.__new__(References)
    object.__setattr__(references, "events", tuple(events))
    object.__setattr__(references, "streams", tuple(streams))
    return references


def with_refs(metadata: object, refs: object) -> Mapping[str, Any]:
    """Metadata that name what an event refers to."""
    if not isinstance(refs, References):
        raise TypeError(f"refs must be eventfold.References, not {type(refs).__name__}")
    if not isinstance(metadata, Mapping):
        raise TypeError("refs go into metadata that are a mapping")
    if "refs" in metadata:
        problem = "the metadata hold refs already"
        raise InvalidValue(problem, {"path": "metadata.refs", "problem": problem})
    named = {"events": list(refs.events), "streams": list(refs.streams)}
    wanted = {name: targets for name, targets in named.items() if targets}
    return {**metadata, "refs": wanted} if wanted else metadata
