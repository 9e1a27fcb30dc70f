"""Calls on event types and categories: what is known of them, and what was said."""

from collections.abc import AsyncIterator

from eventfold import _methods as methods
from eventfold._async.mappings import AsyncMappingCalls
from eventfold._async.schemas import AsyncSchemaCalls
from eventfold._event_types import (
    CategoryInfo,
    EventTypeInfo,
    ReferenceMode,
    SchemaMode,
    reference_mode_to_wire,
    schema_mode_to_wire,
)
from eventfold.v1 import event_types_pb2 as pb


class AsyncEventTypeCalls(AsyncSchemaCalls, AsyncMappingCalls):
    """The calls of the service `EventTypes`."""

    async def put_event_type(
        self,
        name: str,
        *,
        description: str | None = None,
        replaced_by: str | None = None,
        schema_mode: SchemaMode | None = None,
        references: ReferenceMode | None = None,
        timeout: float | None = None,
    ) -> EventTypeInfo:
        """Says what is to be known of an event type, whether or not there are events of it.

        What is left out stays as it was; something must be said. A type of which all was taken
        back, by empty texts and `default`, and of which nothing else is known, is not listed any
        more.

        Args:
            name: the event type.
            description: what happened when there is such an event, at most 4 KiB; empty: nothing.
            replaced_by: the event type that is written instead; empty: none.
            schema_mode: what becomes of events that their schema does not fit: `off`, `warn`,
                `enforce`, or `default`: what is said of the category.
            references: `enforce`: what its events refer to must be there; `off`, `default`: not.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The event type, without counts.

        Raises:
            InvalidEventType: see there.
            InvalidRequest: nothing is said, or the type is replaced by itself, or in a circle.
            OutcomeUnknown: see there; it may be repeated.
        """
        request = pb.PutEventTypeRequest(
            event_type=name,
            description=description,
            replaced_by=replaced_by,
            schema_mode=None if schema_mode is None else schema_mode_to_wire(schema_mode),
            references=None if references is None else reference_mode_to_wire(references),
        )
        answer = await self._connection.unary(methods.PUT_EVENT_TYPE, request, timeout)
        return EventTypeInfo._from_wire(answer.event_type)

    async def list_event_types(
        self, *, prefix: str = "", page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[EventTypeInfo]:
        """Lists all event types that are stored, described, or have a schema or a mapping, in byte
        order, fetching page after page.

        Counting a large log for the first time takes a while: what is not counted in about 2 s, or
        half of the timeout, is missing in the answer, whose `head` is above its `position` then.

        Args:
            prefix: only types whose name starts with this. Default: all.
            page_size: event types fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListEventTypesRequest(prefix=prefix, page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_EVENT_TYPES, request, timeout)
            for event_type in page.event_types:
                yield EventTypeInfo._from_wire(event_type, page.position, page.head)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def put_category(
        self, name: str, *, schema_mode: SchemaMode, timeout: float | None = None
    ) -> CategoryInfo:
        """Says what becomes of events of a category that their schema does not fit, if nothing is
        said of their type.

        Args:
            name: the category; it need not have streams yet.
            schema_mode: `off`, `warn` or `enforce`; `default` takes back what was said.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            InvalidRequest: the name is that of no category.
            OutcomeUnknown: see there; it may be repeated.
        """
        request = pb.PutCategoryRequest(name=name, schema_mode=schema_mode_to_wire(schema_mode))
        answer = await self._connection.unary(methods.PUT_CATEGORY, request, timeout)
        return CategoryInfo._from_wire(answer.category)

    async def list_categories(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[CategoryInfo]:
        """Lists the categories of which something was said, in byte order, fetching page after
        page.

        Args:
            page_size: categories fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListCategoriesRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_CATEGORIES, request, timeout)
            for category in page.categories:
                yield CategoryInfo._from_wire(category)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
