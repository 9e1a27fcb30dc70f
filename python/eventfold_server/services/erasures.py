"""The service `eventfold.v1.Erasures`."""

from eventfold.v1 import erasure_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.erasure.admin import ErasureAdmin
from eventfold_server.domain.privacy.holds import LegalHolds
from eventfold_server.domain.requests import Caller
from eventfold_server.services.erasure_messages import (
    erasure_message,
    hold_message,
    plan_message,
)


class ErasuresService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, admin: ErasureAdmin, holds: LegalHolds) -> None:
        self._admin = admin
        self._holds = holds

    async def plan_erase(
        self, request: pb.PlanEraseRequest, _caller: Caller
    ) -> pb.PlanEraseResponse:
        """`Erasures.PlanErase`."""
        return pb.PlanEraseResponse(plan=plan_message(await self._admin.plan(request.subject)))

    async def erase(self, request: pb.EraseRequest, caller: Caller) -> pb.EraseResponse:
        """`Erasures.Erase`."""
        erasure = await self._admin.erase(
            caller, request.subject, request.reason, request.request_id, request.plan_digest
        )
        return pb.EraseResponse(erasure=erasure_message(erasure))

    async def get_erasure(
        self, request: pb.GetErasureRequest, _caller: Caller
    ) -> pb.GetErasureResponse:
        """`Erasures.GetErasure`."""
        found = await self._admin.get(request.erasure_id)
        return pb.GetErasureResponse(erasure=erasure_message(found), receipt=found.receipt or "")

    async def list_erasures(
        self, request: pb.ListErasuresRequest, _caller: Caller
    ) -> pb.ListErasuresResponse:
        """`Erasures.ListErasures`."""
        size = requests.page_size(request.page_size)
        before = requests.position_token(request.page_token)
        found = await self._admin.page(request.subject, before, size + 1, is_open=request.open)
        rows, more = requests.page_of(found, size)
        return pb.ListErasuresResponse(
            erasures=map(erasure_message, rows),
            next_page_token=str(rows[-1].erasure_no) if more else "",
        )

    async def put_legal_hold(
        self, request: pb.PutLegalHoldRequest, caller: Caller
    ) -> pb.PutLegalHoldResponse:
        """`Erasures.PutLegalHold`."""
        target = request.WhichOneof("target")
        hold = await self._holds.put(
            caller,
            request.name,
            request.subject if target == "subject" else None,
            request.stream if target == "stream" else None,
            request.reason,
        )
        return pb.PutLegalHoldResponse(hold=hold_message(hold))

    async def release_legal_hold(
        self, request: pb.ReleaseLegalHoldRequest, caller: Caller
    ) -> pb.ReleaseLegalHoldResponse:
        """`Erasures.ReleaseLegalHold`."""
        await self._holds.release(caller, request.name)
        return pb.ReleaseLegalHoldResponse()

    async def list_legal_holds(
        self, request: pb.ListLegalHoldsRequest, _caller: Caller
    ) -> pb.ListLegalHoldsResponse:
        """`Erasures.ListLegalHolds`."""
        size = requests.page_size(request.page_size)
        rows, more = requests.page_of(await self._holds.page(request.page_token, size + 1), size)
        return pb.ListLegalHoldsResponse(
            holds=map(hold_message, rows), next_page_token=rows[-1].name if more else ""
        )
