"""Calls on references: what events refer to, and what refers to them."""

from collections.abc import AsyncIterator

from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._events import RecordedEvent, event_page
from eventfold._references import EventId, Leads, Resolved, event_id
from eventfold.v1 import references_pb2 as pb


class AsyncReferenceCalls:
    """The calls of the service `References`."""

    _connection: AsyncConnection

    async def get_references(self, event: EventId, *, timeout: float | None = None) -> Resolved:
        """Tells what an event refers to, and what that leads to.

        Args:
            event: id of the event, or the event itself.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            EventNotFound: no event has this id.
            InvalidValue: the id is no UUID.
        """
        request = pb.GetReferencesRequest(event_id=event_id(event))
        answer = await self._connection.unary(methods.GET_REFERENCES, request, timeout)
        leads = Leads(self._connection.settings.numbers)
        leads.extend(answer.references)
        return leads.all()

    async def get_referrers(
        self,
        event: EventId | None = None,
        *,
        stream: str | None = None,
        page_size: int = 1000,
        timeout: float | None = None,
    ) -> AsyncIterator[RecordedEvent]:
        """Goes through the events that refer to an event or to a stream, in order of position,
        fetching page after page.

        Args:
            event: id of the event, or the event itself. It need not be stored.
            stream: name of the stream; instead of `event`.
            page_size: most events fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            InvalidValue: the id is no UUID.
            InvalidStreamName: the name is no stream name.
            InvalidRequest: `page_size` is out of its range.
            TypeError: neither of both is named, or both.
        """
        if (event is None) == (stream is None):
            raise TypeError("name an event or a stream")
        request = pb.GetReferrersRequest(page_size=page_size)
        if event is not None:
            request.event_id = event_id(event)
        else:
            request.stream = stream or ""
        while True:
            answer = await self._connection.unary(methods.GET_REFERRERS, request, timeout)
            page = event_page(answer, self._connection.settings.numbers)
            for index in range(len(page)):
                yield page[index]
            request.page_token = pb.GetReferrersResponse.FromString(page.rest).next_page_token
            if not request.page_token:
                return
