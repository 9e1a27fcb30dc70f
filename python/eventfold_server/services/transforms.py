"""The service `eventfold.v1.Transforms`."""

from uuid import UUID

from eventfold.v1 import transforms_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.transforms.admin import TransformAdmin
from eventfold_server.domain.transforms.receiving import Copies, Receiver
from eventfold_server.limits import (
    COPIES_APPENDS_MAX,
    COPIES_IDS_MAX,
    COPIES_STREAMS_MAX,
    TRANSFORM_STREAMS_MAX,
)
from eventfold_server.services.transform_messages import (
    plan_message,
    source_message,
    target_message,
    transform_message,
)


class TransformsService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, admin: TransformAdmin, receiver: Receiver) -> None:
        self._admin = admin
        self._receiver = receiver

    async def start_transform(
        self, request: pb.StartTransformRequest, caller: Caller
    ) -> pb.StartTransformResponse:
        """`Transforms.StartTransform`."""
        started = await self._admin.start(
            caller,
            request.source,
            request.states_max,
            dry_run=request.dry_run,
            target=request.target,
        )
        return pb.StartTransformResponse(transform=transform_message(started))

    async def get_transform(
        self, request: pb.GetTransformRequest, _caller: Caller
    ) -> pb.GetTransformResponse:
        """`Transforms.GetTransform`."""
        size = request.page_size
        if not 0 <= size <= TRANSFORM_STREAMS_MAX:
            raise requests.invalid(
                "page_size", f"must be from 0 to {TRANSFORM_STREAMS_MAX}", TRANSFORM_STREAMS_MAX
            )
        after = requests.text("page_token", request.page_token)
        found = await self._admin.get(request.transform_id)
        answer = pb.GetTransformResponse(transform=transform_message(found))
        if size:
            streams = await self._admin.streams(found, after, size)
            answer.streams.extend(map(source_message, streams.sources))
            answer.targets.extend(map(target_message, streams.targets))
            if streams.more:
                ends = [row.stream for row in streams.sources[-1:]]
                ends += [row.stream for row in streams.targets[-1:]]
                answer.next_page_token = max(ends)
        return answer

    async def list_transforms(
        self, request: pb.ListTransformsRequest, _caller: Caller
    ) -> pb.ListTransformsResponse:
        """`Transforms.ListTransforms`."""
        size = requests.page_size(request.page_size)
        before = requests.position_token(request.page_token)
        rows, more = requests.page_of(await self._admin.page(before, size + 1), size)
        return pb.ListTransformsResponse(
            transforms=[transform_message(row, whole=False) for row in rows],
            next_page_token=str(rows[-1].transform_no) if more else "",
        )

    async def cut_over(self, request: pb.CutOverRequest, _caller: Caller) -> pb.CutOverResponse:
        """`Transforms.CutOver`."""
        found, plan = await self._admin.cut_over(
            request.transform_id, request.cutover_ms_max, dry_run=request.dry_run
        )
        return pb.CutOverResponse(transform=transform_message(found), plan=plan_message(plan))

    async def cancel_transform(
        self, request: pb.CancelTransformRequest, _caller: Caller
    ) -> pb.CancelTransformResponse:
        """`Transforms.CancelTransform`."""
        found = await self._admin.cancel(request.transform_id)
        return pb.CancelTransformResponse(transform=transform_message(found))

    async def append_copies(
        self, request: pb.AppendCopiesRequest, caller: Caller
    ) -> pb.AppendCopiesResponse:
        """`Transforms.AppendCopies`."""
        store_id = _uuid("store_id", request.store_id)
        if not 1 <= len(request.appends) <= COPIES_APPENDS_MAX:
            raise requests.invalid(
                "appends", f"must be 1 to {COPIES_APPENDS_MAX}", COPIES_APPENDS_MAX
            )
        copies = [_copies(one) for one in request.appends]
        return pb.AppendCopiesResponse(
            duplicates=await self._receiver.append(caller, store_id, copies)
        )

    async def digest_copies(
        self, request: pb.DigestCopiesRequest, _caller: Caller
    ) -> pb.DigestCopiesResponse:
        """`Transforms.DigestCopies`."""
        if len(request.event_ids) > COPIES_IDS_MAX:
            raise requests.invalid("event_ids", f"at most {COPIES_IDS_MAX}", COPIES_IDS_MAX)
        if len(request.streams) > COPIES_STREAMS_MAX:
            raise requests.invalid("streams", f"at most {COPIES_STREAMS_MAX}", COPIES_STREAMS_MAX)
        if len({one.stream for one in request.streams}) < len(request.streams):
            raise requests.invalid("streams", "each may stand there once")
        for one in request.streams:
            requests.text("streams", one.stream)
            if one.events < 0 or len(one.digest) != (32 if one.events else 0):
                raise requests.invalid("digest", "must have 32 bytes, and none without events")
        ids = [str(_uuid("event_ids", one)) for one in request.event_ids]
        streams = [(one.stream, one.events, one.digest) for one in request.streams]
        store_id, rows, versions = await self._receiver.digests(streams, ids)
        return pb.DigestCopiesResponse(
            store_id=str(store_id),
            streams=[
                pb.CopiesDigest(
                    stream=stream, events=events, digest=digest, version=versions.get(stream, 0)
                )
                for stream, events, digest in rows
            ],
        )


def _copies(message: pb.StreamCopies) -> Copies:
    """Copies for one stream, each with what it was copied from."""
    append = message.append
    events = len(append.events)
    if append.follow or append.expected_version.WhichOneof("kind") != "exact":
        raise requests.invalid("expected_version", "must be exact, without follow")
    if not all(event.id for event in append.events):
        raise requests.invalid("id", "each copy must have one")
    if len(message.copied_from) != events:
        raise requests.invalid("copied_from", "must be one for each event")
    if message.cancels and len(message.cancels) != events:
        raise requests.invalid("cancels", "must be one for each event, or none")
    return Copies(
        append.SerializeToString(),
        [_uuid("copied_from", one) for one in message.copied_from],
        [_uuid("cancels", one) if one else None for one in message.cancels] or [None] * events,
    )


def _uuid(field: str, value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise requests.invalid(field, "must be a UUID") from None
