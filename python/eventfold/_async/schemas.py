"""Calls on schemas of event types."""

from collections.abc import AsyncIterator, Callable

from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._async.streaming import last_report
from eventfold._privacy import ExistingValues, existing_of
from eventfold._requests import whole
from eventfold._schema_sources import SchemaLike, schema_source
from eventfold._schemas import (
    SchemaCheck,
    SchemaInfo,
    SchemaPut,
    TrialProgress,
    described,
    telling,
)
from eventfold.v1 import schemas_pb2 as pb

# All stored events of a type are tried.
TRIAL_TIMEOUT_S = 3_600.0


class AsyncSchemaCalls:
    """The calls of the service `EventTypes` on schemas."""

    _connection: AsyncConnection

    async def put_schema(
        self,
        event_type: str | None,
        schema: SchemaLike,
        *,
        formats: bool = False,
        accept_misfits: bool = False,
        existing: ExistingValues = "refuse",
        undeclare: bool = False,
        on_progress: Callable[[TrialProgress], object] | None = None,
        timeout: float | None = TRIAL_TIMEOUT_S,
    ) -> SchemaPut:
        """Puts the schema of an event type in force, or registers one that others refer to.

            store.put_schema("UserRegistered", {"type": "object", "required": ["email"]})

        The same again changes nothing. A change under which all events that were valid stay valid
        is accepted; what the schemas alone cannot tell, and the first schema of a type, is decided
        by the stored events. An incompatible change is refused: register a new event type for it,
        and say so by `put_event_type(old, replaced_by=new)`.

        Args:
            event_type: the event type. None: a shared schema, which must have an `$id`.
            schema: JSON Schema (drafts 7, 2019-09, 2020-12), at most 256 KiB: a path, a mapping,
                JSON text, or a class: a pydantic model, a msgspec Struct, a dataclass. Other
                documents are found by the `$id` under which they were put, and never fetched.
            formats: whether `format` is checked: `uuid`, `date-time`, `email` and the others.
            accept_misfits: put it although stored events do not fit, or need not; they stay as they
                are.
            existing: what becomes of it if stored events hold plaintext of fields that it declares
                personal by `x-personal`.
            undeclare: that fields which the schema before declared personal, and not this one, are
                personal no more.
            on_progress: called now and then, while stored events are tried.
            timeout: seconds for all of it. Default: an hour.

        Returns:
            The schema in force, whether it is new, and what differs from the one before.

        Raises:
            InvalidSchema, SchemaTooLarge, InvalidEventType: see there.
            InvalidRequest: the event type is empty, or a shared schema has no `$id`.
            SchemaIncompatible: events that were valid would not be; the facts have the first path.
            PlaintextStored, PrivacyDeclaredTwice, PersonalUndeclared: as of `put_privacy_rules`.
            StorageFull, OutcomeUnknown: see there.
            OSError: the file cannot be read.
        """
        request = pb.PutSchemaRequest(
            event_type=described(event_type),
            source=schema_source(schema),
            formats=formats,
            accept_misfits=accept_misfits,
            existing=existing_of(existing),
            undeclare=undeclare,
        )
        answer = await last_report(
            self._connection, methods.PUT_SCHEMA, request, telling(on_progress), timeout
        )
        return SchemaPut._from_wire(answer)

    async def check_schema(
        self,
        event_type: str | None,
        schema: SchemaLike,
        *,
        formats: bool = False,
        misfits_max: int = 10,
        on_progress: Callable[[TrialProgress], object] | None = None,
        timeout: float | None = TRIAL_TIMEOUT_S,
    ) -> SchemaCheck:
        """Says what `put_schema` would do, and tries all stored events of the type in any case.

        Args:
            event_type: as in `put_schema`. None: only the document is checked.
            schema: as in `put_schema`.
            formats: as in `put_schema`.
            misfits_max: most misfits to report, 1 to 1,000.
            on_progress: called now and then, while stored events are tried.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            InvalidSchema, SchemaTooLarge, InvalidEventType, InvalidRequest: see there.
            OSError: the file cannot be read.
        """
        request = pb.CheckSchemaRequest(
            event_type=described(event_type),
            source=schema_source(schema),
            formats=formats,
            misfits_max=whole(misfits_max, "misfits_max"),
        )
        answer = await last_report(
            self._connection, methods.CHECK_SCHEMA, request, telling(on_progress), timeout
        )
        return SchemaCheck._from_wire(answer)

    async def get_schema(
        self,
        event_type: str | None = None,
        *,
        id: str | None = None,
        revision: int = 0,
        timeout: float | None = None,
    ) -> SchemaInfo:
        """Returns the schema of an event type, or a shared one by its `$id`, with the documents
        that it refers to.

        Args:
            event_type: the event type; or
            id: the `$id` of a shared schema.
            revision: which revision, from 1. 0, the default: the newest.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            SchemaNotFound: there is none, or not of this revision.
        """
        request = pb.GetSchemaRequest(revision=whole(revision, "revision"))
        if event_type is not None and id is None:
            request.event_type = event_type
        elif id is not None and event_type is None:
            request.id = id
        else:
            raise TypeError("name an event type or an id")
        answer = await self._connection.unary(methods.GET_SCHEMA, request, timeout)
        return SchemaInfo._from_wire(answer.schema, answer.resources)

    async def list_schemas(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[SchemaInfo]:
        """Lists the newest revisions of schemas, fetching page after page: those of event types in
        byte order of the types, then the shared ones in byte order of their `$id`.

        Args:
            page_size: schemas fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListSchemasRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_SCHEMAS, request, timeout)
            for schema in page.schemas:
                yield SchemaInfo._from_wire(schema)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
