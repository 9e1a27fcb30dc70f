"""Verifications, retries and trials of the service `eventfold.v1.Projections`."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.protobuf import json_format

from eventfold.v1 import projections_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.projections.retry import Retries
from eventfold_server.domain.projections.trial import Asked, ProjectionTrials, SetAside
from eventfold_server.domain.projections.verify import Verifications
from eventfold_server.domain.requests import Caller
from eventfold_server.services.projection_messages import row_message
from eventfold_server.status import to_status


class RefoldCalls:
    """The calls of the service that fold events beside those who build projections."""

    def __init__(
        self, verifications: Verifications, retries: Retries, trials: ProjectionTrials
    ) -> None:
        self._verifications = verifications
        self._retries = retries
        self._trials = trials

    async def verify_projection(
        self, request: pb.VerifyProjectionRequest, _caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Projections.VerifyProjection`; yields serialised messages."""
        compared = self._verifications.compare(request.name, request.generation, request.keys)
        async with aclosing(compared) as messages:
            async for comparison, found in messages:
                message = pb.VerifyProjectionResponse(
                    position=comparison.position,
                    to_position=comparison.to_position,
                    done=found is not None,
                )
                if found is not None:
                    json_format.Parse(found, message.verification)
                yield message.SerializeToString()

    async def retry_projection(
        self, request: pb.RetryProjectionRequest, _caller: Caller
    ) -> pb.RetryProjectionResponse:
        """`Projections.RetryProjection`."""
        outcome = await self._retries.retry(request.name, request.generation, request.keys)
        return pb.RetryProjectionResponse(
            keys_mended=outcome.mended,
            events_folded=outcome.events,
            keys_failed=outcome.failed,
            resumed=outcome.resumed,
        )

    async def try_projection(
        self, request: pb.TryProjectionRequest, caller: Caller
    ) -> pb.TryProjectionResponse:
        """`Projections.TryProjection`."""
        asked = Asked(
            source=request.source,
            from_position=request.from_position,
            events_max=request.events_max,
            filter=request.filter,
            order=[(order.column, order.descending) for order in request.order],
            page_size=requests.page_size(request.page_size),
        )
        tried = await self._trials.attempt(asked, caller)
        return pb.TryProjectionResponse(
            rows=[row_message(row) for row in tried.rows],
            rows_passing=tried.passing,
            rows_shown=tried.shown,
            rows_hidden=tried.hidden,
            events=tried.events,
            position=tried.position,
            head=tried.head,
            stopped=None if tried.stopped is None else to_status(tried.stopped),
            parked=[_parked(one) for one in tried.parked],
        )


def _parked(one: SetAside) -> pb.ParkedKey:
    return pb.ParkedKey(
        key=one.key, error=to_status(one.error), position=one.position, events=one.events
    )
