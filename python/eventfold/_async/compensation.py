"""Cancelling events that were wrong."""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from eventfold import _methods as methods
from eventfold import _requests as requests
from eventfold._async.connection import AsyncConnection
from eventfold._events import Event
from eventfold._expected import ExpectedVersion
from eventfold._references import EventId, event_id
from eventfold._results import AppendResult

if TYPE_CHECKING:
    from eventfold._core_events import JsonObject


class AsyncCompensationCalls:
    """The call of the service `EventStore` that takes an event back."""

    _connection: AsyncConnection

    async def compensate(
        self,
        stream: str,
        event: EventId,
        *,
        reason: str,
        expected_version: ExpectedVersion,
        correction: Event | None = None,
        type: str | None = None,
        id: str | uuid.UUID | None = None,
        metadata: "JsonObject | None" = None,
        tags: Iterable[str] = (),
        occurred_at: dt.datetime | None = None,
        timeout: float | None = None,
    ) -> AppendResult:
        """Cancels an event that was wrong, and stores what would have been right.

            store.compensate(
                "customer-7", paid, reason="Euro was meant", expected_version=12,
                correction=Event("Paid", {"amount": 97, "currency": "EUR"}),
            )

        There is no update of events: the wrong one stays, and an event behind it says so, of the
        type `PaidCancelled`, with the data `{"reasonEventId": ..., "reason": ...}`; its `cancels`
        is the id of the wrong one. An event is cancelled once at the most, a cancellation never.

        It is repeated by itself as `append` is. To repeat it yourself, name an `id`, and pass the
        same `Event` object as the correction.

        Args:
            stream: name of the stream that has the event.
            event: id of the event that was wrong, or the event itself.
            reason: why, for people; 1 to 1,024 bytes. It stays in the log: nothing personal.
            expected_version: as in `append`.
            correction: the event that would have been right, stored right behind the cancellation
                in one transaction. Default: none.
            type: type of the cancellation. Default: that of the event, with `Cancelled` behind it.
            id: id of the cancellation. Default: a new one for each call.
            metadata: metadata of the cancellation, as of an `Event`. Default: `{}`.
            tags: tags of the cancellation. Default: none.
            occurred_at: when the mistake was found. Default: the time at which it is recorded.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Raises:
            EventNotFound: no event has this id.
            EventOfOtherStream: it is in another stream.
            EventAlreadyCancelled: another event cancels it; `cancelled_by` is its id.
            CancellationNotCancellable: it cancels another event itself.
            EventNotCancellable: it opens or closes a stream, or is one of the system's.
            EventfoldError: as in `append`; `event_index` is 0 for the cancellation, 1 for the
                correction.
        """
        # The server writes the data, and the type where none is named.
        cancellation = Event(type or "", b"{}", metadata, tags, id, occurred_at)
        request = requests.compensate_request(
            stream, event_id(event), reason, cancellation, correction, expected_version
        )
        answer = await self._connection.unary(methods.COMPENSATE, request, timeout)
        return AppendResult._from_wire(answer.appended)
