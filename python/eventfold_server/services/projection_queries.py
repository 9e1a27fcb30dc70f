"""The queries of the service `eventfold.v1.Projections`."""

from eventfold.v1 import projections_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.projections.query import Freshness, ProjectionQueries, Query
from eventfold_server.domain.requests import Caller
from eventfold_server.services.projection_messages import row_message
from eventfold_server.status import to_status


class QueryCalls:
    """The calls of the service that only read rows."""

    def __init__(self, queries: ProjectionQueries) -> None:
        self._queries = queries

    async def query_projection(
        self, request: pb.QueryProjectionRequest, caller: Caller
    ) -> pb.QueryProjectionResponse:
        """`Projections.QueryProjection`."""
        query = Query(
            projection=requests.text("name", request.name),
            filter=request.filter,
            order=[(order.column, order.descending) for order in request.order],
            columns=list(request.columns),
            at_least_position=requests.at_least_position(request.at_least_position),
            page_size=requests.page_size(request.page_size),
            page_token=request.page_token,
        )
        page = await self._queries.page(query, caller)
        return pb.QueryProjectionResponse(
            rows=[row_message(row) for row in page.rows.rows],
            next_page_token=page.token,
            freshness=_freshness(page.rows.fresh),
        )

    async def count_projection(
        self, request: pb.CountProjectionRequest, caller: Caller
    ) -> pb.CountProjectionResponse:
        """`Projections.CountProjection`."""
        query = Query(
            projection=requests.text("name", request.name),
            filter=request.filter,
            at_least_position=requests.at_least_position(request.at_least_position),
        )
        rows, fresh = await self._queries.count(query, caller)
        return pb.CountProjectionResponse(rows=rows, freshness=_freshness(fresh))


def _freshness(fresh: Freshness) -> pb.Freshness:
    return pb.Freshness(
        generation=fresh.generation,
        position=fresh.position,
        head=fresh.head,
        stopped=None if fresh.stopped is None else to_status(fresh.stopped),
        parked_keys=fresh.parked_keys,
    )
