"""The service `eventfold.v1.EventStore`."""

from collections.abc import AsyncIterator

from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import closing_pb2 as closing_pb
from eventfold.v1 import compensation_pb2 as compensation_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.append import Appender, FailedCheck
from eventfold_server.domain.closing import Closer
from eventfold_server.domain.compensation import Compensations, cancellation_data
from eventfold_server.domain.privacy.states import PersonalStates
from eventfold_server.domain.read import EventView, Frames, LogRead, ReadEnd, Reader, StreamRead
from eventfold_server.domain.references import References
from eventfold_server.domain.refusals import violations_of
from eventfold_server.domain.requests import Caller, Follow
from eventfold_server.domain.streams import StreamFilter, Streams
from eventfold_server.domain.tail import Tail
from eventfold_server.services.append_session import AppendSession
from eventfold_server.services.closing_messages import append_message, closed_message, closing_of
from eventfold_server.services.log_requests import copies
from eventfold_server.services.references import IN_EVENT, IN_READ, resolved_message
from eventfold_server.services.stream_messages import stream_message
from eventfold_server.services.violation_messages import violation_messages
from eventfold_server.status import to_status


class EventStoreService:
    """Decodes requests, calls the domain, encodes answers. Events pass as bytes."""

    # Methods whose requests the core reads.
    RAW = frozenset({"Append", "AppendMany", "AppendSession", "CheckAppend"})

    def __init__(
        self,
        appender: Appender,
        compensations: Compensations,
        reader: Reader,
        references: References,
        streams: Streams,
        tail: Tail,
        closer: Closer,
        personal: PersonalStates,
    ) -> None:
        self._personal = personal
        self._closer = closer
        self._appender = appender
        self._compensations = compensations
        self._reader = reader
        self._references = references
        self._streams = streams
        self._tail = tail

    async def append(self, request: bytes, caller: Caller) -> bytes:
        """`EventStore.Append`."""
        appended = await self._appender.append(caller, request)
        tried: set[str] = set()
        while appended.response is None:
            # The line of periods went on: the events go to its open stream.
            message = appends_pb.AppendRequest.FromString(request)
            tried.add(message.stream)
            message.stream = appended.stream or ""
            request = message.SerializeToString()
            appended = await self._appender.append(caller, request, tried)
        if appended.stream is None:
            return appended.response
        named = appends_pb.AppendResponse(stream=appended.stream)
        return appended.response + named.SerializeToString()

    async def append_many(
        self, request: bytes, caller: Caller
    ) -> bytes | appends_pb.AppendManyResponse:
        """`EventStore.AppendMany`."""
        outcome = await self._appender.append_many(caller, request)
        if isinstance(outcome, bytes):
            return outcome
        response = appends_pb.AppendManyResponse()
        room = limits.PAGE_BYTES
        for failed in outcome:
            line = _failed_check(failed)
            line.violations.extend(violation_messages(violations_of(failed.refusal), room))
            room -= sum(one.ByteSize() for one in line.violations)
            response.failed.checks.append(line)
        return response

    def append_session(
        self, messages: AsyncIterator[bytes], caller: Caller
    ) -> AsyncIterator[bytes]:
        """`EventStore.AppendSession`; takes and yields serialised messages."""
        return AppendSession(self._appender, caller).answers(messages)

    async def check_append(self, request: bytes, caller: Caller) -> appends_pb.CheckAppendResponse:
        """`EventStore.CheckAppend`."""
        checked = await self._appender.check(caller, request)
        return appends_pb.CheckAppendResponse(
            first_version=checked.first_version,
            last_version=checked.last_version,
            duplicate=checked.duplicate,
            violations=violation_messages(checked.violations),
            refused=None if checked.refusal is None else to_status(checked.refusal),
        )

    async def compensate(
        self, request: compensation_pb.CompensateRequest, caller: Caller
    ) -> compensation_pb.CompensateResponse:
        """`EventStore.Compensate`."""
        event_id = requests.event_id(request.event_id)
        data = cancellation_data(event_id, request.reason)
        own = request.cancellation
        cancellation = appends_pb.NewEvent(
            id=own.id,
            type=own.type or await self._compensations.type_for(event_id),
            data=data,
            metadata=own.metadata,
            tags=own.tags,
            occurred_at=own.occurred_at if own.HasField("occurred_at") else None,
        )
        append = appends_pb.AppendRequest(stream=request.stream, events=[cancellation])
        if request.HasField("expected_version"):
            append.expected_version.CopyFrom(request.expected_version)
        if request.HasField("correction"):
            append.events.append(request.correction)
        stored, ids = await self._compensations.compensate(
            caller, append.SerializeToString(), event_id
        )
        response = compensation_pb.CompensateResponse()
        appended = response.appended
        appended.first_version = stored.first_version
        appended.last_version = stored.first_version + len(append.events) - 1
        appended.positions.extend(stored.positions)
        if not all(event.id for event in append.events):
            appended.ids.extend(ids)
        appended.duplicate = stored.duplicate
        appended.recorded_at.FromDatetime(stored.recorded_at)
        return response

    async def close_stream(
        self, request: closing_pb.CloseStreamRequest, caller: Caller
    ) -> closing_pb.CloseStreamResponse:
        """`EventStore.CloseStream`."""
        closing = closing_of(request)
        for ref in closing.folds:
            # What they come to is stored, and not all of it is sealed.
            await self._personal.blinds(caller, [closing.stream], ref)
        return closed_message(await self._closer.close(caller, closing, append_message))

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
            view=caller.view(raw=request.raw),
            refers=request.resolve,
            marked=request.mark_cancelled,
            follow=requests.follow(request.follow),
        )
        frames = self._reader.stream(read)
        if read.follow is not Follow.ALONE:
            if to_version is not None or (read.follow is Follow.OPEN and from_version is not None):
                raise requests.invalid("follow", "does not go with these versions")
            frames = self._reader.following(read)
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        async for message in self._messages(frames, read.view):
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
            copies=copies(request),
            view=caller.view(raw=request.raw),
        )
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        async for message in self._messages(self._reader.all(read), read.view):
            yield message

    async def get_event(self, request: pb.GetEventRequest, caller: Caller) -> bytes:
        """`EventStore.GetEvent`; the answer is serialised already."""
        view = caller.view(raw=request.raw)
        event, _, references, _ = await self._reader.event(request.id, view, refers=request.resolve)
        # The event stands in the same field as the events of a read.
        if references is None:
            return event
        resolved = await self._references.all(references, IN_EVENT, view)
        return event + resolved_message(pb.GetEventResponse, resolved)

    async def get_stream(
        self, request: pb.GetStreamRequest, _caller: Caller
    ) -> pb.GetStreamResponse:
        """`EventStore.GetStream`."""
        return pb.GetStreamResponse(stream=stream_message(await self._streams.get(request.name)))

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
            streams=[stream_message(row) for row in rows],
            next_page_token=rows[-1].name if more else "",
        )

    async def _messages(self, frames: Frames, view: EventView) -> AsyncIterator[bytes]:
        """Serialised messages; both reads have theirs laid out alike, and fields of a message may
        stand one after the other.
        """
        async for events, end, references, _ in frames:
            resolved = b""
            if references is not None:
                async for part in self._references.follow(references, IN_READ, view):
                    # All but the last part go ahead of the events.
                    if resolved:
                        yield resolved
                    resolved = resolved_message(pb.ReadResponse, part)
            yield events + resolved if end is None else events + resolved + _end(end)


def _failed_check(failed: FailedCheck) -> appends_pb.FailedCheck:
    """One line of the answer to an append to several streams that is refused."""
    line = appends_pb.FailedCheck(
        stream=failed.stream,
        actual_version=failed.actual_version,
        refused=to_status(failed.refusal),
    )
    if failed.append_index is not None:
        line.append_index = failed.append_index
    elif failed.check_index is not None:
        line.check_index = failed.check_index
    return line


def _backwards(direction: pb.Direction.ValueType) -> bool:
    if direction not in pb.Direction.values():
        raise requests.invalid("direction", "is none of the known ones")
    return direction == pb.DIRECTION_BACKWARDS


def _end(end: ReadEnd) -> bytes:
    return pb.ReadResponse(
        end=pb.ReadEnd(
            version=end.version,
            position=end.position,
            resume_token=end.resume_token,
            end_reached=end.end_reached,
            stream=end.stream or "",
            opened_from=end.opened_from or "",
        )
    ).SerializeToString()
