"""Calls that delete streams."""

import time
from collections.abc import AsyncIterator, Callable

from eventfold import _privacy_methods as methods
from eventfold import _requests as requests
from eventfold._async import _platform
from eventfold._async.connection import AsyncConnection
from eventfold._deletion import DeletedStream, DeletionInfo, DeletionPlan
from eventfold._errors import EventfoldError
from eventfold._expected import ExpectedVersion
from eventfold._generated.errors import DeadlineExceeded
from eventfold._reconnects import Reconnects
from eventfold._settings import check_timeout
from eventfold.v1 import deletion_pb2 as pb

# As long as projections that are built anew take.
_LONG_TIMEOUT_S = 3_600.0
_POLL_FIRST_S = 0.05
_POLL_MAX_S = 1.0


class AsyncDeletionCalls:
    """The calls of the service `Deletion`."""

    _connection: AsyncConnection

    async def plan_delete(self, stream: str, *, timeout: float | None = None) -> DeletionPlan:
        """Says what a deletion would take with it, and changes nothing.

        Args:
            stream: name of the stream; any of its line of periods.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            StreamNotFound, StreamDeleted, InvalidStreamName: there is nothing to delete.
            LinksBehind: a rule of links has not looked through the log yet.
            DeletionTooLarge: more than 1,000 streams would go.
        """
        request = pb.PlanDeleteRequest(stream=stream)
        answer = await self._connection.unary(methods.PLAN_DELETE, request, timeout)
        return DeletionPlan._from_wire(answer.plan)

    async def delete_stream(
        self,
        stream: str,
        *,
        expected_version: ExpectedVersion,
        reason: str,
        plan_digest: str = "",
        timeout: float | None = None,
    ) -> DeletionInfo:
        """Deletes what the events of a stream hold, of its whole line of periods, and of the
        streams that belong to it. It cannot be taken back.

        When the call returns, nobody appends to these streams, reads or hydrates them any more;
        `wait_deletion` waits until their events are empty, and nothing is left of them in kept
        states and projections.

        Args:
            stream: name of the stream; any of its line of periods.
            expected_version: the version that it was decided on, `eventfold.EXISTS` or `ANY`.
            reason: why, 1 to 1,024 bytes; it stays in the store.
            plan_digest: `digest` of the plan that was agreed to. Default: whatever it is by now.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            StreamNotFound, StreamDeleted, InvalidStreamName: there is nothing to delete.
            VersionConflict: the stream is at another version.
            DeletionRestricted: streams that belong to it forbid it.
            DeletionPlanMoved: it would do something else than was agreed to.
            LinksBehind, DeletionTooLarge: as in `plan_delete`.
            StorageFull, OutcomeUnknown: see there.
        """
        request = pb.DeleteStreamRequest(
            stream=stream,
            expected_version=requests.expected(expected_version),
            reason=reason,
            plan_digest=plan_digest,
        )
        answer = await self._connection.unary(methods.DELETE_STREAM, request, timeout)
        return DeletionInfo._from_wire(answer.deletion)

    async def get_deletion(self, deletion_id: str, *, timeout: float | None = None) -> DeletionInfo:
        """Describes a deletion: how far it is.

        Raises:
            DeletionNotFound: there is none of this id.
        """
        request = pb.GetDeletionRequest(deletion_id=deletion_id)
        answer = await self._connection.unary(methods.GET_DELETION, request, timeout)
        return DeletionInfo._from_wire(answer.deletion)

    async def list_deleted_streams(
        self, deletion_id: str, *, page_size: int = 1_000, timeout: float | None = None
    ) -> AsyncIterator[DeletedStream]:
        """Lists the streams of a deletion in byte order, fetching page after page.

        Args:
            deletion_id: id of the deletion.
            page_size: streams fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            DeletionNotFound: there is none of this id.
        """
        request = pb.GetDeletionRequest(deletion_id=deletion_id, page_size=page_size)
        while True:
            page = await self._connection.unary(methods.GET_DELETION, request, timeout)
            for one in page.streams:
                yield DeletedStream._from_wire(one)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_deletions(
        self, *, stream: str = "", page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[DeletionInfo]:
        """Lists deletions, the newest first, fetching page after page.

        Args:
            stream: only the one that has deleted this stream. Default: any.
            page_size: deletions fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListDeletionsRequest(stream=stream, page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_DELETIONS, request, timeout)
            for one in page.deletions:
                yield DeletionInfo._from_wire(one)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def wait_deletion(
        self,
        deletion_id: str,
        *,
        on_progress: Callable[[DeletionInfo], object] | None = None,
        timeout: float = _LONG_TIMEOUT_S,
    ) -> DeletionInfo:
        """Waits until a deletion is done, also while servers are restarted.

        Args:
            deletion_id: id of the deletion.
            on_progress: called with the deletion each time that it was looked at.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            DeletionNotFound: there is none of this id.
            DeadlineExceeded: it is not done within `timeout`.
        """
        deadline = time.monotonic() + check_timeout(timeout)
        reconnects = Reconnects(f"wait for {deletion_id}", self._connection.timeout(None))
        pause = _POLL_FIRST_S
        while True:
            reconnects.begin()
            try:
                found = await self.get_deletion(deletion_id)
            except EventfoldError as error:
                pause = reconnects.pause_s(error)
            else:
                reconnects.heard(is_new=True)
                if on_progress is not None:
                    on_progress(found)
                if found.state == "done":
                    return found
                pause = min(_POLL_MAX_S, pause * 1.5)
            if time.monotonic() + pause > deadline:
                facts = {"deadline_ms": round(timeout * 1000)}
                raise DeadlineExceeded(f"{deletion_id} is not done in {timeout:g} s", facts)
            await _platform.sleep(pause)
