"""Event types on raw stubs: schemas, mappings, and appends that they are held to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from tests.support.raw import answer_of

from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as store_pb
from eventfold.v1 import event_store_pb2_grpc, event_types_pb2_grpc
from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb

CALL_SECONDS = 60.0
OFF, WARN, ENFORCE = pb.SCHEMA_MODE_OFF, pb.SCHEMA_MODE_WARN, pb.SCHEMA_MODE_ENFORCE
VIOLATED = store_pb.EVENT_FLAG_SCHEMA_VIOLATED


def schema(*required: str, **properties: Any) -> str:
    """A schema of objects: types of properties by their names, or schemas of them."""
    named = {
        name: {"type": what} if isinstance(what, str) else what for name, what in properties.items()
    }
    document: dict[str, Any] = {"type": "object", "properties": named}
    if required:
        document["required"] = list(required)
    return json.dumps(document)


def reason_of(status: status_pb2.Status) -> tuple[str, dict[str, str]]:
    """Reason and facts of a status in an answer."""
    [detail] = status.details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    return info.reason, dict(info.metadata)


class EventTypes:
    """The event types of a server, and its log."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = event_types_pb2_grpc.EventTypesStub(channel)
        self.log = event_store_pb2_grpc.EventStoreStub(channel)

    def put(
        self, event_type: str, source: str, *, accept: bool = False, formats: bool = False
    ) -> schemas_pb.PutSchemaResponse:
        """Puts a schema; the last message."""
        request = schemas_pb.PutSchemaRequest(
            event_type=event_type, source=source, accept_misfits=accept, formats=formats
        )
        return _last(self.stub.PutSchema(request, timeout=CALL_SECONDS))

    def check(
        self, event_type: str, source: str, misfits: int = 0
    ) -> schemas_pb.CheckSchemaResponse:
        """Checks a schema; the last message."""
        request = schemas_pb.CheckSchemaRequest(
            event_type=event_type, source=source, misfits_max=misfits
        )
        return _last(self.stub.CheckSchema(request, timeout=CALL_SECONDS))

    def put_mapping(self, source: str) -> mappings_pb.PutMappingResponse:
        """Puts a mapping; the last message."""
        request = mappings_pb.PutMappingRequest(source=source)
        return _last(self.stub.PutMapping(request, timeout=CALL_SECONDS))

    def check_mapping(self, source: str, misfits: int = 0) -> mappings_pb.CheckMappingResponse:
        """Checks a mapping; the last message."""
        request = mappings_pb.CheckMappingRequest(source=source, misfits_max=misfits)
        return _last(self.stub.CheckMapping(request, timeout=CALL_SECONDS))

    def drop_mapping(self, event_type: str) -> mappings_pb.DropMappingResponse:
        """Drops a mapping."""
        request = mappings_pb.DropMappingRequest(event_type=event_type)
        return self.stub.DropMapping(request, timeout=CALL_SECONDS)

    def say(self, event_type: str, **fields: Any) -> pb.EventType:
        """Says something of an event type."""
        request = pb.PutEventTypeRequest(event_type=event_type, **fields)
        return self.stub.PutEventType(request, timeout=CALL_SECONDS).event_type

    def category(self, name: str, mode: Any) -> None:
        """Says something of a category."""
        request = pb.PutCategoryRequest(name=name, schema_mode=mode)
        self.stub.PutCategory(request, timeout=CALL_SECONDS)

    def append(self, stream: str, *events: Event) -> appends_pb.AppendResponse:
        """Appends, whatever the version."""
        return self.log.Append(append_request(stream, *events), timeout=CALL_SECONDS)

    def foreseen(self, stream: str, *events: Event) -> appends_pb.CheckAppendResponse:
        """What an append would come to."""
        request = appends_pb.CheckAppendRequest(append=append_request(stream, *events))
        return self.log.CheckAppend(request, timeout=CALL_SECONDS)

    def stored(self, stream: str) -> list[store_pb.RecordedEvent]:
        """The events of a stream, as they are stored."""
        request = store_pb.ReadRequest(stream=stream, raw=True)
        answers = self.log.Read(request, timeout=CALL_SECONDS)
        return [event for answer in answers for event in answer.events]


# Type and data of an event, and its id if it has one.
Event = tuple[str, Any] | tuple[str, Any, str]


def append_request(stream: str, *events: Event) -> appends_pb.AppendRequest:
    """An append, whatever the version."""
    request = appends_pb.AppendRequest(stream=stream)
    request.expected_version.any.SetInParent()
    for event in events:
        request.events.add(
            type=event[0],
            data=json.dumps(event[1]).encode(),
            id=event[2] if len(event) > 2 else str(uuid.uuid4()),
        )
    return request


def tried(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a call answers, or the `Answer` that says how it is refused."""
    try:
        return call(*arguments, **named)
    except grpc.RpcError as error:
        return answer_of(error)


def places(violations: Sequence[schemas_pb.SchemaViolation]) -> list[tuple[int, str, str]]:
    """Event, pointer and rule of violations."""
    return [(one.event_index, one.pointer, one.rule) for one in violations]


@contextmanager
def event_types_of(address: str) -> Iterator[EventTypes]:
    """The event types of the server at an address."""
    with grpc.insecure_channel(address) as channel:
        yield EventTypes(channel)


def _last(messages: Any) -> Any:
    """The last message of a stream, which alone is `done`."""
    *before, last = messages
    assert last.done
    assert not any(message.done for message in before)
    return last
