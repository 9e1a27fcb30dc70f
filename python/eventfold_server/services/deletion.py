"""The service `eventfold.v1.Deletion`."""

from eventfold.v1 import appends_pb2
from eventfold.v1 import deletion_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.deletion.admin import DeletionAdmin
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import DELETION_STREAMS_MAX
from eventfold_server.services.deletion_messages import (
    deletion_message,
    detached_message,
    plan_message,
    stream_message,
)


class DeletionService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, admin: DeletionAdmin) -> None:
        self._admin = admin

    async def plan_delete(
        self, request: pb.PlanDeleteRequest, _caller: Caller
    ) -> pb.PlanDeleteResponse:
        """`Deletion.PlanDelete`."""
        return pb.PlanDeleteResponse(plan=plan_message(await self._admin.plan(request.stream)))

    async def delete_stream(
        self, request: pb.DeleteStreamRequest, caller: Caller
    ) -> pb.DeleteStreamResponse:
        """`Deletion.DeleteStream`."""
        deletion = await self._admin.delete(
            caller,
            request.stream,
            _expected(request.stream, request.expected_version),
            request.reason,
            request.plan_digest,
        )
        return pb.DeleteStreamResponse(deletion=deletion_message(deletion))

    async def get_deletion(
        self, request: pb.GetDeletionRequest, _caller: Caller
    ) -> pb.GetDeletionResponse:
        """`Deletion.GetDeletion`."""
        size, after = request.page_size, requests.text("page_token", request.page_token)
        if not 0 <= size <= DELETION_STREAMS_MAX:
            raise requests.invalid(
                "page_size", f"must be from 0 to {DELETION_STREAMS_MAX}", DELETION_STREAMS_MAX
            )
        found = await self._admin.get(request.deletion_id)
        answer = pb.GetDeletionResponse(deletion=deletion_message(found))
        if size:
            rows = list(await self._admin.streams(found, after, size + 1))
            answer.streams.extend(map(stream_message, rows[:size]))
            if len(rows) > size:
                answer.next_page_token = rows[size - 1].stream
            if not after:
                answer.detached.extend(map(detached_message, await self._admin.detached(found)))
        return answer

    async def list_deletions(
        self, request: pb.ListDeletionsRequest, _caller: Caller
    ) -> pb.ListDeletionsResponse:
        """`Deletion.ListDeletions`."""
        size = requests.page_size(request.page_size)
        before = requests.position_token(request.page_token)
        found = await self._admin.page(request.stream, before, size + 1)
        rows, more = requests.page_of(found, size)
        return pb.ListDeletionsResponse(
            deletions=map(deletion_message, rows),
            next_page_token=str(rows[-1].deletion_no) if more else "",
        )


def _expected(stream: str, expected: appends_pb2.ExpectedVersion) -> int:
    """A version, or below 0 for any that there is."""
    match expected.WhichOneof("kind"):
        case "exact":
            return expected.exact
        case "exists" | "any":
            return -1
    raise Refusal(
        "EXPECTED_VERSION_REQUIRED",
        "a deletion names the version that it was decided on, `exists` or `any`",
        stream=stream,
    )
