"""The service `eventfold.v1.EventTypes`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb
from eventfold_server.domain import requests
from eventfold_server.domain.event_types import mappings, schemas
from eventfold_server.domain.event_types.said import Sayings, ToSay
from eventfold_server.domain.event_types.trials import Progress, misfits_max
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.type_counts import TypeCounting
from eventfold_server.services.event_type_messages import (
    difference_message,
    event_type_message,
    mapping_message,
    resource_messages,
    schema_message,
    stale_messages,
    trial_message,
)
from eventfold_server.services.privacy_messages import (
    accepts_plaintext,
    rules_message,
    warning_message,
)
from eventfold_server.services.projection_messages import within_page
from eventfold_server.status import to_status

Done = TypeVar(
    "Done", schemas.SchemaPut, schemas.SchemaChecked, mappings.MappingPut, mappings.MappingChecked
)

# Pages of schemas have those of event types first, then the shared ones.
_OF_TYPE, _SHARED = "type:", "id:"


class EventTypesService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(
        self,
        schemas_: schemas.Schemas,
        mappings_: mappings.Mappings,
        sayings: Sayings,
        counting: TypeCounting,
    ) -> None:
        self._schemas = schemas_
        self._mappings = mappings_
        self._sayings = sayings
        self._counting = counting

    async def put_schema(
        self, request: schemas_pb.PutSchemaRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`EventTypes.PutSchema`; yields serialised messages."""
        asked = schemas.Asked(
            request.event_type,
            request.source,
            request.formats,
            accepts_plaintext=accepts_plaintext(request.existing),
            undeclares=request.undeclare,
        )
        putting = self._schemas.put(caller, asked, accept_misfits=request.accept_misfits)
        async with aclosing(putting) as steps:
            async for step in steps:
                yield _put_schema(step).SerializeToString()

    async def check_schema(
        self, request: schemas_pb.CheckSchemaRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`EventTypes.CheckSchema`; yields serialised messages."""
        asked = schemas.Asked(request.event_type, request.source, request.formats)
        checking = self._schemas.check(caller, asked, misfits_max(request.misfits_max))
        async with aclosing(checking) as steps:
            async for step in steps:
                yield _check_schema(step).SerializeToString()

    async def get_schema(
        self, request: schemas_pb.GetSchemaRequest, _caller: Caller
    ) -> schemas_pb.GetSchemaResponse:
        """`EventTypes.GetSchema`."""
        revision = requests.at_least("revision", request.revision, 0)
        event_type = schema_id = None
        match request.WhichOneof("of"):
            case "event_type":
                event_type = request.event_type
            case "id":
                schema_id = requests.text("id", request.id)
            case _:
                raise requests.invalid("of", "is required: an event type or an id")
        found = await self._schemas.get(event_type, schema_id, revision)
        return schemas_pb.GetSchemaResponse(
            schema=schema_message(found), resources=resource_messages(found)
        )

    async def list_schemas(
        self, request: schemas_pb.ListSchemasRequest, _caller: Caller
    ) -> schemas_pb.ListSchemasResponse:
        """`EventTypes.ListSchemas`."""
        size = requests.page_size(request.page_size)
        rows, more = await self._schemas.page(*_place(request.page_token), size)
        return schemas_pb.ListSchemasResponse(
            schemas=[schema_message(row) for row in rows],
            next_page_token=_token(rows[-1]) if more else "",
        )

    async def put_mapping(
        self, request: mappings_pb.PutMappingRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`EventTypes.PutMapping`; yields serialised messages."""
        async with aclosing(self._mappings.put(caller, request.source)) as steps:
            async for step in steps:
                yield _put_mapping(step).SerializeToString()

    async def check_mapping(
        self, request: mappings_pb.CheckMappingRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`EventTypes.CheckMapping`; yields serialised messages."""
        checking = self._mappings.check(caller, request.source, misfits_max(request.misfits_max))
        async with aclosing(checking) as steps:
            async for step in steps:
                yield _check_mapping(step).SerializeToString()

    async def get_mapping(
        self, request: mappings_pb.GetMappingRequest, _caller: Caller
    ) -> mappings_pb.GetMappingResponse:
        """`EventTypes.GetMapping`."""
        revision = requests.at_least("revision", request.revision, 0)
        found = await self._mappings.get(request.event_type, revision)
        return mappings_pb.GetMappingResponse(mapping=mapping_message(found))

    async def list_mappings(
        self, request: mappings_pb.ListMappingsRequest, _caller: Caller
    ) -> mappings_pb.ListMappingsResponse:
        """`EventTypes.ListMappings`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        rows, more = await self._mappings.page(after, size)
        return mappings_pb.ListMappingsResponse(
            mappings=[mapping_message(row) for row in rows],
            next_page_token=rows[-1].type if more else "",
        )

    async def drop_mapping(
        self, request: mappings_pb.DropMappingRequest, _caller: Caller
    ) -> mappings_pb.DropMappingResponse:
        """`EventTypes.DropMapping`."""
        stale = await self._mappings.drop(request.event_type)
        return mappings_pb.DropMappingResponse(stale=stale_messages(stale))

    async def put_event_type(
        self, request: pb.PutEventTypeRequest, caller: Caller
    ) -> pb.PutEventTypeResponse:
        """`EventTypes.PutEventType`."""
        new = ToSay()
        if request.HasField("description"):
            new.description = requests.text("description", request.description)
        if request.HasField("replaced_by"):
            new.replaced_by = request.replaced_by
        if request.HasField("schema_mode"):
            new.schema_mode = _mode(request.schema_mode)
        if request.HasField("references"):
            if request.references not in pb.ReferenceMode.values():
                raise requests.invalid("references", "is none of the known ones")
            new.refs_mode = request.references
        known = await self._sayings.say(caller, request.event_type, new)
        return pb.PutEventTypeResponse(event_type=event_type_message(known))

    async def put_category(
        self, request: pb.PutCategoryRequest, _caller: Caller
    ) -> pb.PutCategoryResponse:
        """`EventTypes.PutCategory`."""
        mode = _mode(request.schema_mode)
        await self._sayings.say_of_category(request.name, mode)
        category = pb.Category(name=request.name, schema_mode=mode)
        return pb.PutCategoryResponse(category=category)

    async def list_categories(
        self, request: pb.ListCategoriesRequest, _caller: Caller
    ) -> pb.ListCategoriesResponse:
        """`EventTypes.ListCategories`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        rows, more = requests.page_of(await self._sayings.categories(after, size + 1), size)
        return pb.ListCategoriesResponse(
            categories=[
                pb.Category(name=name, schema_mode=pb.SchemaMode.ValueType(mode))
                for name, mode in rows
            ],
            next_page_token=rows[-1][0] if more else "",
        )

    async def list_event_types(
        self, request: pb.ListEventTypesRequest, caller: Caller
    ) -> pb.ListEventTypesResponse:
        """`EventTypes.ListEventTypes`."""
        size = requests.page_size(request.page_size)
        prefix = requests.text("prefix", request.prefix)
        after = requests.text("page_token", request.page_token)
        position, head, found = await self._counting.page(
            prefix, after, size + 1, expires=caller.expires
        )
        rows, more = requests.page_of(found, size)
        event_types, cut = within_page([event_type_message(row.row, row.counts) for row in rows])
        return pb.ListEventTypesResponse(
            event_types=event_types,
            next_page_token=event_types[-1].name if more or cut else "",
            position=position,
            head=head,
        )


def _mode(mode: pb.SchemaMode.ValueType) -> pb.SchemaMode.ValueType:
    if mode not in pb.SchemaMode.values():
        raise requests.invalid("schema_mode", "is none of the known ones")
    return mode


def _token(schema: schemas.Schema) -> str:
    """Stands for the place behind a schema."""
    return _SHARED + (schema.schema_id or "") if schema.type is None else _OF_TYPE + schema.type


def _place(token: str) -> tuple[str | None, str]:
    """The place that a token stands for: behind an event type, or behind all and an id."""
    requests.text("page_token", token)
    if not token:
        return "", ""
    if token.startswith(_OF_TYPE):
        return token.removeprefix(_OF_TYPE), ""
    if token.startswith(_SHARED):
        return None, token.removeprefix(_SHARED)
    raise requests.invalid("page_token", "is no token of a page before")


def _put_schema(step: Progress | schemas.SchemaPut) -> schemas_pb.PutSchemaResponse:
    at, done = _split(step)
    message = schemas_pb.PutSchemaResponse(events=at.events, position=at.position, head=at.head)
    if done is not None:
        message.done = True
        message.schema.CopyFrom(schema_message(done.schema))
        message.created = done.created
        message.differences.extend(map(difference_message, done.differences))
        if done.annotated.declaration is not None and done.annotated.before is not None:
            message.privacy.CopyFrom(rules_message(done.annotated.before))
        message.warnings.extend(map(warning_message, done.annotated.warnings()))
    return message


def _check_schema(step: Progress | schemas.SchemaChecked) -> schemas_pb.CheckSchemaResponse:
    at, done = _split(step)
    message = schemas_pb.CheckSchemaResponse(
        events=at.events, misfits=at.misfits, position=at.position, head=at.head
    )
    if done is not None:
        message.done = True
        message.differences.extend(map(difference_message, done.differences))
        if done.trial is not None:
            message.trial.CopyFrom(trial_message(done.trial))
        if done.refused is not None:
            message.refused.CopyFrom(to_status(done.refused))
    return message


def _put_mapping(step: Progress | mappings.MappingPut) -> mappings_pb.PutMappingResponse:
    at, done = _split(step)
    message = mappings_pb.PutMappingResponse(events=at.events, position=at.position, head=at.head)
    if done is not None:
        message.done = True
        message.mapping.CopyFrom(mapping_message(done.mapping))
        message.created = done.created
        message.stale.extend(stale_messages(done.stale))
    return message


def _check_mapping(step: Progress | mappings.MappingChecked) -> mappings_pb.CheckMappingResponse:
    at, done = _split(step)
    message = mappings_pb.CheckMappingResponse(
        events=at.events,
        misfits=at.misfits,
        changed=at.changed,
        position=at.position,
        head=at.head,
    )
    if done is not None:
        message.done = True
        message.trial.CopyFrom(trial_message(done.trial))
        message.stale.extend(stale_messages(done.stale))
    return message


def _split(step: Progress | Done) -> tuple[Progress, Done | None]:
    """How far it is, and what became of it, if that is known."""
    if isinstance(step, Progress):
        return step, None
    return step.progress, step
