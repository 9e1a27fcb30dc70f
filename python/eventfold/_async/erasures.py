"""Calls that erase subjects, and that hold them."""

import time
from collections.abc import AsyncIterator, Callable

from eventfold import _privacy_methods as methods
from eventfold._async import _platform
from eventfold._async.connection import AsyncConnection
from eventfold._erasures import ErasureInfo, ErasurePlan, ErasureReceipt, LegalHoldInfo
from eventfold._errors import EventfoldError
from eventfold._generated.errors import DeadlineExceeded
from eventfold._reconnects import Reconnects
from eventfold._settings import check_timeout
from eventfold.v1 import erasure_pb2 as pb

# As long as projections that are built anew take.
_LONG_TIMEOUT_S = 3_600.0
_POLL_FIRST_S = 0.05
_POLL_MAX_S = 1.0


class AsyncErasureCalls:
    """The calls of the service `Erasures`."""

    _connection: AsyncConnection

    async def plan_erase(self, subject: str, *, timeout: float | None = None) -> ErasurePlan:
        """Says what an erasure would take with it, and changes nothing.

        Args:
            subject: the subject, named like a stream.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            SubjectIndexBehind, LinksBehind: the log was not looked through yet.
            DeletionTooLarge: more than 1,000 streams would go.
            KeysNotConfigured: the server has no master key.
        """
        request = pb.PlanEraseRequest(subject=subject)
        answer = await self._connection.unary(methods.PLAN_ERASE, request, timeout)
        return ErasurePlan._from_wire(answer.plan)

    async def erase(
        self,
        subject: str,
        *,
        reason: str,
        request_id: str = "",
        plan_digest: str = "",
        timeout: float | None = None,
    ) -> ErasureInfo:
        """Begins to erase a subject: its keys are destroyed, and with them its personal values in
        all events. It cannot be taken back.

        `wait_erasure` waits until nobody can open a value any more, and nothing is left of them in
        kept states and projections; `get_receipt` then says what was done.

        Args:
            subject: the subject, named like a stream.
            reason: why, 1 to 1,024 bytes; it stays in the store.
            request_id: a UUID that becomes the id of the erasure: the same call again answers the
                same erasure. Default: the server makes one.
            plan_digest: `digest` of the plan that was agreed to. Default: whatever it is by now.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            LegalHold: a legal hold forbids it.
            DeletionRestricted: streams that belong to the subject forbid it.
            ErasurePlanMoved: it would do something else than was agreed to.
            SubjectIndexBehind, LinksBehind, DeletionTooLarge, KeysNotConfigured: as in
                `plan_erase`.
            StorageFull, OutcomeUnknown: see there.
        """
        request = pb.EraseRequest(
            subject=subject, reason=reason, request_id=request_id, plan_digest=plan_digest
        )
        answer = await self._connection.unary(methods.ERASE, request, timeout)
        return ErasureInfo._from_wire(answer.erasure)

    async def get_erasure(self, erasure_id: str, *, timeout: float | None = None) -> ErasureInfo:
        """Describes an erasure: how far it is.

        Raises:
            ErasureNotFound: there is none of this id.
        """
        request = pb.GetErasureRequest(erasure_id=erasure_id)
        answer = await self._connection.unary(methods.GET_ERASURE, request, timeout)
        return ErasureInfo._from_wire(answer.erasure)

    async def get_receipt(
        self, erasure_id: str, *, timeout: float | None = None
    ) -> ErasureReceipt | None:
        """The receipt of an erasure; None: it is not done.

        Raises:
            ErasureNotFound: there is none of this id.
        """
        request = pb.GetErasureRequest(erasure_id=erasure_id)
        answer = await self._connection.unary(methods.GET_ERASURE, request, timeout)
        return ErasureReceipt(erasure_id, answer.receipt) if answer.receipt else None

    async def list_erasures(
        self,
        *,
        subject: str = "",
        open_only: bool = False,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[ErasureInfo]:
        """Lists erasures, the newest first, fetching page after page.

        Args:
            subject: only those of this subject. Default: of any.
            open_only: only those that are not done.
            page_size: erasures fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListErasuresRequest(subject=subject, open=open_only, page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_ERASURES, request, timeout)
            for one in page.erasures:
                yield ErasureInfo._from_wire(one)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def wait_erasure(
        self,
        erasure_id: str,
        *,
        on_progress: Callable[[ErasureInfo], object] | None = None,
        timeout: float = _LONG_TIMEOUT_S,
    ) -> ErasureInfo:
        """Waits until an erasure is done, also while servers are restarted.

        Args:
            erasure_id: id of the erasure.
            on_progress: called with the erasure each time that it was looked at.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            ErasureNotFound: there is none of this id.
            DeadlineExceeded: it is not done within `timeout`.
        """
        deadline = time.monotonic() + check_timeout(timeout)
        reconnects = Reconnects(f"wait for {erasure_id}", self._connection.timeout(None))
        pause = _POLL_FIRST_S
        while True:
            reconnects.begin()
            try:
                found = await self.get_erasure(erasure_id)
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
                raise DeadlineExceeded(f"{erasure_id} is not done in {timeout:g} s", facts)
            await _platform.sleep(pause)

    async def put_legal_hold(
        self,
        name: str,
        *,
        subject: str | None = None,
        stream: str | None = None,
        reason: str,
        timeout: float | None = None,
    ) -> LegalHoldInfo:
        """Holds a subject or a stream: it is neither erased nor deleted until that is released.

        Args:
            name: name of the hold, 1 to 128 bytes.
            subject: the subject; or
            stream: the stream, any of its line of periods.
            reason: why, 1 to 1,024 bytes; it stays in the store.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            ValueError: neither a subject nor a stream is named, or both are.
            HoldExists: a hold of this name holds something else.
            TooManyHolds: there are 1,000 already.
        """
        if (subject is None) == (stream is None):
            raise ValueError("name a subject or a stream")
        request = pb.PutLegalHoldRequest(name=name, reason=reason)
        if subject is not None:
            request.subject = subject
        if stream is not None:
            request.stream = stream
        answer = await self._connection.unary(methods.PUT_LEGAL_HOLD, request, timeout)
        return LegalHoldInfo._from_wire(answer.hold)

    async def release_legal_hold(self, name: str, *, timeout: float | None = None) -> None:
        """Releases a hold.

        Raises:
            HoldNotFound: there is none of this name.
        """
        request = pb.ReleaseLegalHoldRequest(name=name)
        await self._connection.unary(methods.RELEASE_LEGAL_HOLD, request, timeout)

    async def list_legal_holds(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[LegalHoldInfo]:
        """Lists legal holds in byte order of their names, fetching page after page.

        Args:
            page_size: holds fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListLegalHoldsRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_LEGAL_HOLDS, request, timeout)
            for one in page.holds:
                yield LegalHoldInfo._from_wire(one)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
