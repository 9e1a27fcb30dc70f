"""The service `eventfold.v1.Projections`."""

from eventfold.v1 import projections_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.projections.admin import ProjectionAdmin
from eventfold_server.domain.projections.query import ProjectionQueries
from eventfold_server.domain.projections.retry import Retries
from eventfold_server.domain.projections.trial import ProjectionTrials
from eventfold_server.domain.projections.verify import Verifications
from eventfold_server.domain.requests import Caller
from eventfold_server.services.projection_messages import (
    parked_key_message,
    projection_message,
    switch_of,
    within_page,
)
from eventfold_server.services.projection_queries import QueryCalls
from eventfold_server.services.projection_refolds import RefoldCalls


class ProjectionsService(QueryCalls, RefoldCalls):
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(
        self,
        admin: ProjectionAdmin,
        queries: ProjectionQueries,
        verifications: Verifications,
        retries: Retries,
        trials: ProjectionTrials,
    ) -> None:
        QueryCalls.__init__(self, queries)
        RefoldCalls.__init__(self, verifications, retries, trials)
        self._admin = admin

    async def put_projection(
        self, request: pb.PutProjectionRequest, caller: Caller
    ) -> pb.PutProjectionResponse:
        """`Projections.PutProjection`."""
        projection, generation, created = await self._admin.put(
            caller, request.source, switch_of(request.switch), in_place=request.in_place
        )
        return pb.PutProjectionResponse(
            projection=projection_message(projection), generation=generation, created=created
        )

    async def get_projection(
        self, request: pb.GetProjectionRequest, _caller: Caller
    ) -> pb.GetProjectionResponse:
        """`Projections.GetProjection`."""
        found = await self._admin.get(request.name)
        return pb.GetProjectionResponse(projection=projection_message(found))

    async def list_projections(
        self, request: pb.ListProjectionsRequest, _caller: Caller
    ) -> pb.ListProjectionsResponse:
        """`Projections.ListProjections`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        rows, more = requests.page_of(await self._admin.page(after, size + 1), size)
        projections, cut = within_page([projection_message(row) for row in rows])
        return pb.ListProjectionsResponse(
            projections=projections, next_page_token=projections[-1].name if more or cut else ""
        )

    async def rebuild_projection(
        self, request: pb.RebuildProjectionRequest, caller: Caller
    ) -> pb.RebuildProjectionResponse:
        """`Projections.RebuildProjection`."""
        projection, generation = await self._admin.rebuild(
            caller, request.name, switch_of(request.switch)
        )
        return pb.RebuildProjectionResponse(
            projection=projection_message(projection), generation=generation
        )

    async def switch_projection(
        self, request: pb.SwitchProjectionRequest, _caller: Caller
    ) -> pb.SwitchProjectionResponse:
        """`Projections.SwitchProjection`."""
        projection = await self._admin.switch(request.name, request.generation)
        return pb.SwitchProjectionResponse(projection=projection_message(projection))

    async def drop_projection(
        self, request: pb.DropProjectionRequest, _caller: Caller
    ) -> pb.DropProjectionResponse:
        """`Projections.DropProjection`."""
        await self._admin.drop(request.name, request.generation)
        return pb.DropProjectionResponse()

    async def list_parked_keys(
        self, request: pb.ListParkedKeysRequest, _caller: Caller
    ) -> pb.ListParkedKeysResponse:
        """`Projections.ListParkedKeys`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        found = await self._admin.parked(request.name, request.generation, after, size + 1)
        rows, more = requests.page_of(list(found), size)
        keys, cut = within_page([parked_key_message(row) for row in rows])
        return pb.ListParkedKeysResponse(
            keys=keys, next_page_token=keys[-1].key if more or cut else ""
        )
