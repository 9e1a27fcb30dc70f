"""The service `eventfold.v1.Subscriptions`."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from eventfold.v1 import subscriptions_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.subscribe import Subscriptions
from eventfold_server.domain.subscription import Frame, Wanted
from eventfold_server.services.log_requests import copies, demands, log_start


class SubscriptionsService:
    """Decodes requests, calls the domain, encodes answers. Events pass as bytes."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    async def subscribe(self, request: pb.SubscribeRequest, caller: Caller) -> AsyncIterator[bytes]:
        """`Subscriptions.Subscribe`; yields serialised messages."""
        set_ = request.WhichOneof("start")
        version = None
        if set_ == "from_version":
            version = requests.at_least("from_version", request.from_version, 1)
        start = log_start(request, set_) or LogStart()
        frames = self._subscriptions.frames(_wanted(request, caller), start, version)
        async with aclosing(frames):
            async for frame in frames:
                yield _message(frame)


def _wanted(request: pb.SubscribeRequest, caller: Caller) -> Wanted:
    categories, types, tags, where = demands(request)
    return Wanted(
        stream=request.stream or None,
        categories=categories,
        types=types,
        tags=tags,
        where=where,
        with_system=request.include_system_events,
        copies=copies(request),
        view=caller.view(raw=request.raw),
    )


def _message(frame: Frame) -> bytes:
    """A serialised message; fields of one may stand one after the other."""
    rest = pb.SubscribeResponse(
        kind=pb.FrameKind.ValueType(frame.kind),
        position=frame.position,
        resume_token=frame.resume_token,
        head=frame.head,
    ).SerializeToString()
    # A client that takes its time holds up the message, and need not hold up the events too.
    events, frame.events = frame.events, b""
    return events + rest
