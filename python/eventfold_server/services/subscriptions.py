"""The service `eventfold.v1.Subscriptions`."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from eventfold.v1 import subscriptions_pb2 as pb
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.subscribe import Start, Subscriptions
from eventfold_server.domain.subscription import Frame, Wanted


class SubscriptionsService:
    """Decodes requests, calls the domain, encodes answers. Events pass as bytes."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    async def subscribe(
        self, request: pb.SubscribeRequest, _caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Subscriptions.Subscribe`; yields serialised messages."""
        frames = self._subscriptions.frames(_wanted(request), _start(request))
        async with aclosing(frames):
            async for frame in frames:
                yield _message(frame)


def _wanted(request: pb.SubscribeRequest) -> Wanted:
    return Wanted(
        stream=request.stream or None,
        categories=requests.at_most("categories", request.categories, limits.FILTER_CATEGORIES_MAX),
        types=requests.at_most("types", request.types, limits.FILTER_TYPES_MAX),
        tags=requests.at_most("tags", request.tags, limits.FILTER_TAGS_MAX),
        where=request.where or None,
        with_system=request.include_system_events,
    )


def _start(request: pb.SubscribeRequest) -> Start:
    match request.WhichOneof("start"):
        case "resume_token":
            return Start(resume_token=request.resume_token)
        case "from_position":
            return Start(position=requests.at_least("from_position", request.from_position, 1))
        case "from_version":
            return Start(version=requests.at_least("from_version", request.from_version, 1))
        case "from_recorded_at":
            time = request.from_recorded_at
            return Start(
                recorded_at=requests.to_datetime(
                    requests.time_us(time.seconds, time.nanos, "from_recorded_at")
                )
            )
        case "now":
            return Start(now=True)
    return Start()


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
