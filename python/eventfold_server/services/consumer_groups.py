"""The service `eventfold.v1.ConsumerGroups`."""

from collections.abc import AsyncIterator

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.groups.admin import GroupAdmin
from eventfold_server.domain.groups.consuming import Consumers
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.requests import Caller
from eventfold_server.services.consume_session import ConsumeSession
from eventfold_server.services.group_messages import (
    group_message,
    parked_message,
    spec_of,
    start_of,
    status_message,
)


class ConsumerGroupsService:
    """Decodes requests, calls the domain, encodes answers. Events pass as bytes."""

    def __init__(self, admin: GroupAdmin, consumers: Consumers) -> None:
        self._admin = admin
        self._consumers = consumers

    async def create_group(
        self, request: pb.CreateGroupRequest, caller: Caller
    ) -> pb.CreateGroupResponse:
        """`ConsumerGroups.CreateGroup`."""
        start = start_of(request.start) if request.HasField("start") else LogStart()
        group, created = await self._admin.create(
            caller, request.name, spec_of(request.source, request.settings), start
        )
        return pb.CreateGroupResponse(group=group_message(group), created=created)

    def consume(
        self, messages: AsyncIterator[pb.ConsumeRequest], caller: Caller
    ) -> AsyncIterator[bytes]:
        """`ConsumerGroups.Consume`; yields serialised messages."""
        return ConsumeSession(self._consumers, caller).messages(messages)

    async def get_group(self, request: pb.GetGroupRequest, _caller: Caller) -> pb.GetGroupResponse:
        """`ConsumerGroups.GetGroup`."""
        group = await self._admin.get(request.name)
        status = await self._admin.status(group)
        return pb.GetGroupResponse(group=group_message(group), status=status_message(group, status))

    async def list_groups(
        self, request: pb.ListGroupsRequest, _caller: Caller
    ) -> pb.ListGroupsResponse:
        """`ConsumerGroups.ListGroups`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        rows, more = requests.page_of(await self._admin.page(after, size + 1), size)
        return pb.ListGroupsResponse(
            groups=[group_message(row) for row in rows],
            next_page_token=rows[-1].name if more else "",
        )

    async def delete_group(
        self, request: pb.DeleteGroupRequest, _caller: Caller
    ) -> pb.DeleteGroupResponse:
        """`ConsumerGroups.DeleteGroup`."""
        await self._admin.delete(request.name)
        return pb.DeleteGroupResponse()

    async def reset_group(
        self, request: pb.ResetGroupRequest, _caller: Caller
    ) -> pb.ResetGroupResponse:
        """`ConsumerGroups.ResetGroup`."""
        group = await self._admin.reset(request.name, start_of(request.start))
        return pb.ResetGroupResponse(group=group_message(group))

    async def list_parked(self, request: pb.ListParkedRequest, caller: Caller) -> bytes:
        """`ConsumerGroups.ListParked`; the answer is serialised already."""
        size = requests.page_size(request.page_size)
        after = requests.position_token(request.page_token)
        events, parked, more_after = await self._admin.parked(
            request.group, after, size, caller.view()
        )
        return (
            events
            + pb.ListParkedResponse(
                parked=[parked_message(row) for row in parked],
                next_page_token="" if more_after is None else str(more_after),
            ).SerializeToString()
        )

    async def replay_parked(
        self, request: pb.ReplayParkedRequest, _caller: Caller
    ) -> pb.ReplayParkedResponse:
        """`ConsumerGroups.ReplayParked`."""
        replayed = await self._admin.unpark(
            request.group, request.positions, request.all, purge=False
        )
        return pb.ReplayParkedResponse(replayed=replayed)

    async def purge_parked(
        self, request: pb.PurgeParkedRequest, _caller: Caller
    ) -> pb.PurgeParkedResponse:
        """`ConsumerGroups.PurgeParked`."""
        purged = await self._admin.unpark(request.group, request.positions, request.all, purge=True)
        return pb.PurgeParkedResponse(purged=purged)
