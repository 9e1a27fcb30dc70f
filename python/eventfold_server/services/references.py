"""The service `eventfold.v1.References`, and what reads say of references."""

from collections.abc import Callable

from google.protobuf.message import Message

from eventfold.v1 import event_store_pb2, references_pb2
from eventfold.v1.references_pb2 import GetReferencesRequest, GetReferrersRequest
from eventfold_server.domain import requests
from eventfold_server.domain.read import LIFECYCLE_DELETED, Reader
from eventfold_server.domain.references import References, Resolved
from eventfold_server.domain.requests import Caller
from eventfold_server.services.stream_messages import stream_message

# Where the messages have what references lead to.
IN_READ = event_store_pb2.ReadResponse.REFERENCES_FIELD_NUMBER
IN_EVENT = event_store_pb2.GetEventResponse.REFERENCES_FIELD_NUMBER
_ALONE = references_pb2.GetReferencesResponse.REFERENCES_FIELD_NUMBER


class ReferencesService:
    """Decodes requests, calls the domain, encodes answers. Events pass as bytes."""

    def __init__(self, references: References, reader: Reader) -> None:
        self._references = references
        self._reader = reader

    async def get_references(self, request: GetReferencesRequest, caller: Caller) -> bytes:
        """`References.GetReferences`; the answer is serialised already."""
        view = caller.view()
        event = await self._reader.event(request.event_id, view, refers=True)
        resolved = await self._references.all(event.references, _ALONE, view)
        return resolved_message(references_pb2.GetReferencesResponse, resolved)

    async def get_referrers(self, request: GetReferrersRequest, caller: Caller) -> bytes:
        """`References.GetReferrers`; the answer is serialised already."""
        size = requests.page_size(request.page_size)
        after = requests.position_token(request.page_token)
        target = request.WhichOneof("target")
        if target is None:
            raise requests.invalid("target", "is required")
        event = request.event_id if target == "event_id" else None
        events, more_after = await self._references.referrers(
            event, request.stream, after, size, caller.view()
        )
        token = "" if more_after is None else str(more_after)
        rest = references_pb2.GetReferrersResponse(next_page_token=token)
        return events + rest.SerializeToString()


def resolved_message(answer: Callable[..., Message], resolved: Resolved) -> bytes:
    """What references lead to, as a part of a serialised answer."""
    streams = [
        event_store_pb2.ResolvedReference(
            stream_name=name,
            stream=None if stream is None else stream_message(stream),
            deleted=stream is not None and stream.lifecycle == LIFECYCLE_DELETED,
        )
        for name, stream in resolved.streams
    ]
    return resolved.events + answer(references=streams).SerializeToString()
