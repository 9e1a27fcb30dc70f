"""Calls on mappings: how events of a type are read."""

from collections.abc import AsyncIterator, Callable

from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._async.schemas import TRIAL_TIMEOUT_S
from eventfold._async.streaming import last_report
from eventfold._mappings import (
    MappingCheck,
    MappingInfo,
    MappingPut,
    StaleProjection,
    stale_of,
)
from eventfold._requests import whole
from eventfold._schemas import TrialProgress, telling
from eventfold._sources import Document, source_or_file
from eventfold.v1 import mappings_pb2 as pb


class AsyncMappingCalls:
    """The calls of the service `EventTypes` on mappings."""

    _connection: AsyncConnection

    async def put_mapping(
        self,
        source: Document,
        *,
        on_progress: Callable[[TrialProgress], object] | None = None,
        timeout: float | None = TRIAL_TIMEOUT_S,
    ) -> MappingPut:
        """Puts the mapping of the event type that its document names in force: how all events of
        the type are read from now on.

        It is tried on all stored events of the type first, and refused if it fails on one. The same
        again changes nothing.

        Args:
            source: path of a YAML or JSON document, or the document as a mapping or as text of
                several lines; at most 64 KiB.
            on_progress: called now and then, while stored events are tried.
            timeout: seconds for all of it. Default: an hour.

        Returns:
            The mapping in force, and the projections that should be rebuilt.

        Raises:
            InvalidMapping: it does not compile; the facts have line, column and excerpt.
            MappingTooLarge, ExpressionTooLong, ExpressionTooDeep, InvalidEventType: see there.
            MappingFailed: it fails on stored events; the facts name the first.
            StorageFull, OutcomeUnknown: see there.
            OSError: the file cannot be read.
        """
        request = pb.PutMappingRequest(source=source_or_file(source))
        answer = await last_report(
            self._connection, methods.PUT_MAPPING, request, telling(on_progress), timeout
        )
        return MappingPut._from_wire(answer)

    async def check_mapping(
        self,
        source: Document,
        *,
        misfits_max: int = 10,
        on_progress: Callable[[TrialProgress], object] | None = None,
        timeout: float | None = TRIAL_TIMEOUT_S,
    ) -> MappingCheck:
        """Tries a mapping on all stored events of its type, and changes nothing.

        Args:
            source: as in `put_mapping`.
            misfits_max: most failures to report, 1 to 1,000.
            on_progress: called now and then, while stored events are tried.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            InvalidMapping, MappingTooLarge, ExpressionTooLong, ExpressionTooDeep, InvalidEventType,
            InvalidRequest: see there.
            OSError: the file cannot be read.
        """
        request = pb.CheckMappingRequest(
            source=source_or_file(source), misfits_max=whole(misfits_max, "misfits_max")
        )
        answer = await last_report(
            self._connection, methods.CHECK_MAPPING, request, telling(on_progress), timeout
        )
        return MappingCheck._from_wire(answer)

    async def get_mapping(
        self, event_type: str, *, revision: int = 0, timeout: float | None = None
    ) -> MappingInfo:
        """Returns the mapping of an event type.

        Args:
            event_type: the event type.
            revision: which revision, from 1. 0, the default: the one in force.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            MappingNotFound: there is none in force, or none of this revision.
        """
        request = pb.GetMappingRequest(event_type=event_type, revision=whole(revision, "revision"))
        answer = await self._connection.unary(methods.GET_MAPPING, request, timeout)
        return MappingInfo._from_wire(answer.mapping)

    async def list_mappings(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[MappingInfo]:
        """Lists the mappings in force in byte order of their event types, fetching page after page.

        Args:
            page_size: mappings fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListMappingsRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_MAPPINGS, request, timeout)
            for mapping in page.mappings:
                yield MappingInfo._from_wire(mapping)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def drop_mapping(
        self, event_type: str, *, timeout: float | None = None
    ) -> tuple[StaleProjection, ...]:
        """Takes the mapping of an event type out of force: its events are read as they are stored.

        Returns:
            The projections that should be rebuilt.

        Raises:
            MappingNotFound: there is none in force.
            OutcomeUnknown: see there.
        """
        request = pb.DropMappingRequest(event_type=event_type)
        answer = await self._connection.unary(methods.DROP_MAPPING, request, timeout)
        return stale_of(answer)
