"""The service `eventfold.v1.EventStore`."""

from collections.abc import AsyncIterator

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import event_store_pb2 as pb
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.append import Appended, Appender, NewEvents, placed
from eventfold_server.domain.read import Frames, LogRead, ReadEnd, Reader, StreamRead
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.streams import Stream, StreamFilter, Streams
from eventfold_server.domain.tail import Tail
from eventfold_server.services.append_session import AppendSession
from eventfold_server.services.appends import (
    append_response,
    expected_version,
    failed_check,
    new_events,
)


class EventStoreService:
    """Decodes requests, calls the domain, encodes answers. Events pass as bytes."""

    def __init__(self, appender: Appender, reader: Reader, streams: Streams, tail: Tail) -> None:
        self._appender = appender
        self._reader = reader
        self._streams = streams
        self._tail = tail

    async def append(self, request: pb.AppendRequest, caller: Caller) -> pb.AppendResponse:
        """`EventStore.Append`."""
        return append_response(await self._appender.append(caller, new_events(request)))

    async def append_many(
        self, request: pb.AppendManyRequest, caller: Caller
    ) -> pb.AppendManyResponse:
        """`EventStore.AppendMany`."""
        appends: list[NewEvents] = []
        for index, append in enumerate(request.appends):
            with placed(append_index=index):
                appends.append(new_events(append))
        checks: list[tuple[str, int | None]] = []
        for index, check in enumerate(request.checks):
            with placed(check_index=index):
                checks.append((check.stream, expected_version(check)))
        outcome = await self._appender.append_many(caller, appends, checks)
        response = pb.AppendManyResponse()
        for done in outcome:
            if isinstance(done, Appended):
                response.stored.appends.append(append_response(done))
            else:
                response.failed.checks.append(failed_check(done))
        return response

    def append_session(
        self, messages: AsyncIterator[pb.AppendSessionRequest], caller: Caller
    ) -> AsyncIterator[bytes]:
        """`EventStore.AppendSession`; yields serialised messages."""
        return AppendSession(self._appender, caller).answers(messages)

    async def check_append(
        self, request: pb.CheckAppendRequest, _caller: Caller
    ) -> pb.CheckAppendResponse:
        """`EventStore.CheckAppend`."""
        append = request.append
        decision = await self._appender.check(new_events(append))
        assert decision.first_version is not None
        return pb.CheckAppendResponse(
            first_version=decision.first_version,
            last_version=decision.first_version + len(append.events) - 1,
            duplicate=decision.outcome == "duplicate",
        )

    async def read(self, request: pb.ReadRequest, caller: Caller) -> AsyncIterator[bytes]:
        """`EventStore.Read`; yields serialised messages."""
        from_version = to_version = None
        if request.HasField("from_version"):
            from_version = requests.at_least("from_version", request.from_version, 1)
        if request.HasField("to_version"):
            to_version = requests.at_least("to_version", request.to_version, 1)
        read = StreamRead(
            stream=request.stream,
            backwards=_backwards(request.direction),
            from_version=from_version,
            to_version=to_version,
            limit=requests.at_least("limit", request.limit, 0),
            types=requests.at_most("types", request.types, limits.FILTER_TYPES_MAX),
        )
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        async for message in _messages(self._reader.stream(read)):
            yield message

    async def read_all(self, request: pb.ReadAllRequest, caller: Caller) -> AsyncIterator[bytes]:
        """`EventStore.ReadAll`; yields serialised messages."""
        from_position = resume_token = to_position = None
        start = request.WhichOneof("from")
        if start == "from_position":
            from_position = requests.at_least("from_position", request.from_position, 1)
        elif start == "resume_token":
            resume_token = request.resume_token
        if request.HasField("to_position"):
            to_position = requests.at_least("to_position", request.to_position, 1)
        backwards = _backwards(request.direction)
        if backwards and resume_token is not None:
            raise requests.invalid("resume_token", "a token goes forwards only")
        read = LogRead(
            backwards=backwards,
            from_position=from_position,
            resume_token=resume_token,
            to_position=to_position,
            limit=requests.at_least("limit", request.limit, 0),
            categories=requests.at_most(
                "categories", request.categories, limits.FILTER_CATEGORIES_MAX
            ),
            types=requests.at_most("types", request.types, limits.FILTER_TYPES_MAX),
            tags=requests.at_most("tags", request.tags, limits.FILTER_TAGS_MAX),
            with_system=request.include_system_events,
        )
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        async for message in _messages(self._reader.all(read)):
            yield message

    async def get_event(self, request: pb.GetEventRequest, _caller: Caller) -> pb.GetEventResponse:
        """`EventStore.GetEvent`."""
        events = pb.ReadResponse.FromString(await self._reader.event(request.id)).events
        return pb.GetEventResponse(event=events[0])

    async def get_stream(
        self, request: pb.GetStreamRequest, _caller: Caller
    ) -> pb.GetStreamResponse:
        """`EventStore.GetStream`."""
        return pb.GetStreamResponse(stream=_stream(await self._streams.get(request.name)))

    async def list_streams(
        self, request: pb.ListStreamsRequest, _caller: Caller
    ) -> pb.ListStreamsResponse:
        """`EventStore.ListStreams`."""
        size = requests.page_size(request.page_size)
        if request.lifecycle not in pb.Lifecycle.values():
            raise requests.invalid("lifecycle", "is none of the known ones")
        wanted = StreamFilter(
            requests.text("category", request.category),
            requests.text("prefix", request.prefix),
            request.lifecycle or None,
        )
        after = requests.text("page_token", request.page_token)
        found = await self._streams.list(wanted, after, size + 1)
        rows, more = requests.page_of(found, size)
        return pb.ListStreamsResponse(
            streams=[_stream(row) for row in rows],
            next_page_token=rows[-1].name if more else "",
        )


def _backwards(direction: pb.Direction.ValueType) -> bool:
    if direction not in pb.Direction.values():
        raise requests.invalid("direction", "is none of the known ones")
    return direction == pb.DIRECTION_BACKWARDS


async def _messages(frames: Frames) -> AsyncIterator[bytes]:
    """Serialised messages; both reads have theirs laid out alike, and fields of a message may
    stand one after the other.
    """
    async for events, end in frames:
        yield events if end is None else events + _end(end)


def _end(end: ReadEnd) -> bytes:
    return pb.ReadResponse(
        end=pb.ReadEnd(
            version=end.version,
            position=end.position,
            resume_token=end.resume_token,
            end_reached=end.end_reached,
        )
    ).SerializeToString()


def _stream(row: Stream) -> pb.Stream:
    seconds, nanos = requests.to_seconds_nanos(row.created_at)
    return pb.Stream(
        name=row.name,
        category=row.category,
        id=row.name[len(row.category) + 1 :],
        version=row.version,
        lifecycle=pb.Lifecycle.ValueType(row.lifecycle),
        root=row.root,
        predecessor=row.predecessor or "",
        successor=row.successor or "",
        created_at=Timestamp(seconds=seconds, nanos=nanos),
    )
