"""Calls on the log: appending events, reading them, streams."""

import uuid
from collections.abc import AsyncIterator, Iterable
from types import MappingProxyType
from typing import Literal, overload

from eventfold import _methods as methods
from eventfold import _requests as requests
from eventfold._async import _platform
from eventfold._async.appends import AsyncAppends
from eventfold._async.batch import AsyncBatch
from eventfold._async.connection import AsyncConnection
from eventfold._async.reader import AsyncEventReader
from eventfold._closing import Follow, follow_to_wire
from eventfold._cursor import Cursor
from eventfold._errors import EventfoldError, UnexpectedAnswer
from eventfold._events import Event, RecordedEvent, event_page
from eventfold._expected import ExpectedVersion
from eventfold._generated.errors import StreamNotFound
from eventfold._json import as_uuid_text
from eventfold._references import Leads
from eventfold._requests import Checks, StreamAppendLike
from eventfold._results import (
    LIFECYCLE_TO_WIRE,
    AppendResult,
    CheckResult,
    Copies,
    Direction,
    Lifecycle,
    StreamInfo,
    appended_many,
)
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb


class AsyncLogCalls:
    """The calls of the service `EventStore`."""

    _connection: AsyncConnection
    _appends: AsyncAppends

    async def append(
        self,
        stream: str,
        events: Iterable[Event],
        *,
        expected_version: ExpectedVersion,
        follow: bool = False,
        timeout: float | None = None,
    ) -> AppendResult:
        """Appends events to a stream: all of them are stored, or none.

        Every event has an id, so the call is repeated by itself when the connection breaks, and
        may be repeated with the same `Event` objects at any time: the events are stored once.

        Args:
            stream: name of the stream, `category-id`, at most 255 bytes. It begins with its
                first event.
            events: 1 to 1,000 events, at most 3 MiB together.
            expected_version: the version that the append was decided on; 0: the stream has no
                event yet. `eventfold.EXISTS`: it has one. `eventfold.ANY`: whatever it is.
            follow: True: where the stream is closed, the events go to the open stream at the end of
                its line of periods, and the result names it. Only with `ANY`: whoever decided on a
                state decides again on the successor's. Default: `StreamClosed`.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Raises:
            VersionConflict: the stream is at another version.
            EventIdReused: an id is stored already, with other content or in another place.
            StreamClosed, StreamDeleted: the stream takes no events.
            SchemaViolation: an event does not fit the schema in force; `violations` says where.
            MappingFailed: the mapping of its type, by which an event would be read, fails on it.
            ReferenceNotFound: it refers to what is not there, and its type demands that it is.
            InvalidStreamName, InvalidEventType, InvalidTag, InvalidTime, InvalidJson, JsonTooDeep,
            EventTooLarge, MetadataTooLarge, AppendTooLarge, TooManyEvents, EmptyAppend,
            InvalidReferences: see there.
            OutcomeUnknown: the events may be stored or not; append the same objects again.
            ConnectionFailed: the same, if the connection broke after the request was sent.
        """
        request = requests.append_request(stream, events, expected_version)
        if follow:
            message = appends_pb.AppendRequest.FromString(request)
            message.follow = True
            answer = await self._connection.unary(methods.APPEND, message, timeout)
            return AppendResult._from_wire(appends_pb.AppendResponse.FromString(answer))
        return AppendResult(*await self._appends.append(request, timeout))

    async def append_many(
        self,
        appends: Iterable[StreamAppendLike],
        *,
        checks: Checks = MappingProxyType({}),
        timeout: float | None = None,
    ) -> tuple[AppendResult, ...]:
        """Appends events to several streams: all of them are stored, or none.

            store.append_many(
                [("account-1", [withdrawn], 7), ("account-2", [deposited], 3)],
                checks={"customer-9": 12},
            )

        For the rare decision that concerns several aggregates at once. It is repeated by itself as
        `append` is, and may be repeated with the same `Event` objects.

        Args:
            appends: for each stream its name, its events and the version that it is expected at:
                a `StreamAppend` or a tuple. At least one; a stream stands once. All together are
                held to the limits of one append: 1,000 events, 3 MiB.
            checks: streams that are not written to and the version that each is expected at, a
                number (0: it has no event) or `eventfold.EXISTS`; at most 1,000. Default: none.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Returns:
            The result of each append, in order; their positions follow that order too.

        Raises:
            ChecksFailed: streams are at other versions, or take no events, or an id is stored
                already; `failed` lists all of them.
            EventfoldError: as in `append`; the facts name `append_index` or `check_index`.
        """
        request = requests.append_many_request(appends, checks)
        return appended_many(await self._connection.unary(methods.APPEND_MANY, request, timeout))

    @overload
    def append_batch(
        self,
        appends: _platform.Items[StreamAppendLike],
        *,
        return_errors: Literal[False] = False,
        in_flight: int = 128,
        timeout: float | None = None,
    ) -> AsyncIterator[AppendResult]: ...

    @overload
    def append_batch(
        self,
        appends: _platform.Items[StreamAppendLike],
        *,
        return_errors: Literal[True],
        in_flight: int = 128,
        timeout: float | None = None,
    ) -> AsyncIterator[AppendResult | EventfoldError]: ...

    async def append_batch(
        self,
        appends: _platform.Items[StreamAppendLike],
        *,
        return_errors: bool = False,
        in_flight: int = 128,
        timeout: float | None = None,
    ) -> AsyncIterator[AppendResult | EventfoldError]:
        """Makes many appends, each on its own, and gives their results in order.

            for result in store.append_batch((name, events, 0) for name, events in accounts):
                ...

        For bulk loads: many appends are under way at once, and appends are pulled from the
        iterable as there is room, so it may be endless. Nothing happens until the results are
        asked for. Nothing is atomic across appends: one that is refused stops none before it. Two
        appends to the same stream are made in their order, one after the other.

        Each append is repeated by itself as `append` is. To go on with a load that was stopped,
        run it again with the same `Event` objects or ids: what is stored already is found.

        Args:
            appends: for each append the stream, the events and the expected version: a
                `StreamAppend` or a tuple.
            return_errors: False, the default: the first error is raised in its place, and no
                append is made after those under way. True: the error of an append that was
                refused, or failed for good, stands in the place of its result, and the load goes
                on.
            in_flight: most appends under way at once, at least 1.
            timeout: seconds for each append with its repetitions. Default: that of the client.

        Raises:
            EventfoldError: as in `append`. What the iterable raises passes through. All appends
                under way are waited for before.
        """
        if in_flight < 1:
            raise ValueError(f"in_flight must be at least 1, not {in_flight}")
        seconds = self._connection.timeout(timeout)
        results = AsyncBatch(self._appends, in_flight, seconds).results(appends)
        try:
            async for result in results:
                if isinstance(result, EventfoldError) and not return_errors:
                    raise result
                yield result
        finally:
            await results.aclose()

    async def check_append(
        self,
        stream: str,
        events: Iterable[Event],
        *,
        expected_version: ExpectedVersion,
        timeout: float | None = None,
    ) -> CheckResult:
        """Says what `append` would answer now, and stores nothing.

        Parameters and errors are those of `append`, but for `SchemaViolation`: where events do not
        fit their schemas is an answer.
        """
        append = requests.append_request(stream, events, expected_version)
        request = appends_pb.CheckAppendRequest(append=appends_pb.AppendRequest.FromString(append))
        answer = await self._connection.unary(methods.CHECK_APPEND, request, timeout)
        return CheckResult._from_wire(answer)

    def read(
        self,
        stream: str,
        *,
        from_version: int | None = None,
        to_version: int | None = None,
        direction: Direction = "forwards",
        limit: int = 0,
        types: Iterable[str] = (),
        follow: Follow | None = None,
        at_least_position: int = 0,
        resolve: bool = False,
        mark_cancelled: bool = False,
        raw: bool = False,
        timeout: float | None = None,
    ) -> AsyncEventReader:
        """Reads a stream, as it stood when the read began.

        Args:
            stream: name of the stream.
            from_version: version to begin with, inclusive, at least 1. Default: 1 forwards, the
                head backwards.
            to_version: version to end with, inclusive, at least 1. Default: the head forwards, 1
                backwards; beyond the head it means the head.
            direction: `forwards` (the default) or `backwards`.
            limit: most events to return; 0, the default: all.
            types: only events of these types; at most 100. Default: all.
            follow: `open`: the last stream of the line of periods in place of the one that is
                named; without `from_version` and `to_version`. `all`: all streams of the line, from
                the first on (backwards: from the last on), or, with `from_version`, from that
                version of the stream that is named; without `to_version`. Default: the one that is
                named alone.
            at_least_position: waits until the log has this position, and reads then. 0, the
                default: does not wait.
            resolve: also fetches what the events refer to, one level deep: `event.resolved` of
                each has it. Default: False.
            mark_cancelled: also finds out which events others cancel: `event.cancelled` of each
                says it. Default: False.
            raw: data as it is stored, for exports and copies. False, the default: as the mappings
                in force make it.
            timeout: seconds in which something new has to come. Default: that of the client.

        Returns:
            An iterator over `RecordedEvent`; its `end` says where the read ended. These errors
            come when it is first used:

        Raises:
            DeadlineExceeded: the log did not get to `at_least_position` in time.
            StreamNotFound: the stream never had an event.
            VersionAhead: `from_version` is beyond the head + 1.
            MappingFailed: the mapping of its type fails on an event.
            StreamDeleted, InvalidStreamName, InvalidRequest: see there.
        """
        request = requests.read_request(stream, from_version, to_version, direction, limit, types)
        request.at_least_position = requests.whole(at_least_position, "at_least_position")
        request.raw, request.resolve = raw, resolve
        request.mark_cancelled = mark_cancelled
        request.follow = follow_to_wire(follow)
        cursor = Cursor(request)
        return AsyncEventReader(self._connection, methods.READ, cursor, timeout, resolve)

    def read_all(
        self,
        *,
        from_position: int | None = None,
        resume_token: bytes | None = None,
        to_position: int | None = None,
        direction: Direction = "forwards",
        limit: int = 0,
        categories: Iterable[str] = (),
        types: Iterable[str] = (),
        tags: Iterable[str] = (),
        include_system_events: bool = False,
        copies: Copies | None = None,
        at_least_position: int = 0,
        raw: bool = False,
        timeout: float | None = None,
    ) -> AsyncEventReader:
        """Reads the log in the order of commits, as it stood when the read began.

        Args:
            from_position: position to begin with, inclusive, at least 1. Default: 1 forwards, the
                head backwards.
            resume_token: begin behind the place that this token of an earlier `end` stands for;
                empty: at the beginning. Not together with `from_position` or `backwards`.
            to_position: position to end with, inclusive, at least 1; beyond the head it means the
                head.
            direction: `forwards` (the default) or `backwards`.
            limit: most events to return; 0, the default: all.
            categories: only events of these categories; at most 100. Default: all.
            types: only events of these types; at most 100. Default: all.
            tags: only events that have all of these tags; at most 64. Default: all.
            include_system_events: also events of streams whose name starts with `$`.
            copies: `include` or `exclude` events that a transform has copied from others. Default:
                those of `categories` are included, those of the whole log are not.
            at_least_position: waits until the log has this position, and reads then. 0, the
                default: does not wait.
            raw: data as it is stored, for exports and copies. False, the default: as the mappings
                in force make it.
            timeout: seconds in which something new has to come. Default: that of the client.

        Returns:
            An iterator over `RecordedEvent`; its `end` says where the read ended. These errors
            come when it is first used:

        Raises:
            DeadlineExceeded: the log did not get to `at_least_position` in time.
            PositionAhead: `from_position` is beyond the head + 1.
            StoreIncarnationChanged: the log is not the one that the token was made on.
            CopiesAmbiguous: both a source and a target of one transform are among `categories`.
            MappingFailed: the mapping of its type fails on an event.
            InvalidResumeToken, InvalidRequest: see there.
        """
        request = requests.read_all_request(
            from_position,
            resume_token,
            to_position,
            direction,
            limit,
            (categories, types, tags),
            include_system_events,
            copies,
        )
        request.at_least_position = requests.whole(at_least_position, "at_least_position")
        request.raw = raw
        return AsyncEventReader(self._connection, methods.READ_ALL, Cursor(request), timeout)

    async def get_event(
        self,
        id: str | uuid.UUID,
        *,
        raw: bool = False,
        resolve: bool = False,
        timeout: float | None = None,
    ) -> RecordedEvent:
        """Reads one event by its id; with `resolve` also what it refers to, one level deep, which
        `event.resolved` has then.

        Args:
            id: the id.
            raw: data as it is stored. False, the default: as the mapping in force makes it.
            resolve: also fetches what it refers to. Default: False.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Raises:
            EventNotFound: no event has this id.
            MappingFailed: the mapping of its type fails on it.
            InvalidValue: the id is no UUID.
        """
        request = pb.GetEventRequest(id=as_uuid_text(id), raw=raw, resolve=resolve)
        answer = await self._connection.unary(methods.GET_EVENT, request, timeout)
        numbers = self._connection.settings.numbers
        events = event_page(answer, numbers)
        if not events:
            raise UnexpectedAnswer("the answer holds no event")
        if resolve:
            leads = Leads(numbers)
            leads.extend(pb.GetEventResponse.FromString(events.rest).references)
            events.resolve(leads)
        return events[0]

    async def get_stream(self, name: str, *, timeout: float | None = None) -> StreamInfo:
        """Describes a stream. One that never had an event has version 0: that is no error.

        Raises:
            InvalidStreamName: the name is no stream name.
        """
        request = pb.GetStreamRequest(name=name)
        try:
            answer = await self._connection.unary(methods.GET_STREAM, request, timeout)
        except StreamNotFound:
            return StreamInfo._never_written(name)
        return StreamInfo._from_wire(answer.stream)

    async def list_streams(
        self,
        *,
        category: str = "",
        prefix: str = "",
        lifecycle: Lifecycle | None = None,
        page_size: int = 1000,
        timeout: float | None = None,
    ) -> AsyncIterator[StreamInfo]:
        """Lists streams in byte order of their names, fetching page after page.

        Args:
            category: only streams of this category. Default: all but those that start with `$`.
            prefix: only streams whose name starts with this. Default: all.
            lifecycle: only streams of this lifecycle. Default: any.
            page_size: streams fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            InvalidRequest: `page_size` is out of its range.
        """
        request = pb.ListStreamsRequest(
            category=category,
            prefix=prefix,
            lifecycle=pb.LIFECYCLE_UNSPECIFIED
            if lifecycle is None
            else LIFECYCLE_TO_WIRE[lifecycle],
            page_size=page_size,
        )
        while True:
            page = await self._connection.unary(methods.LIST_STREAMS, request, timeout)
            for stream in page.streams:
                yield StreamInfo._from_wire(stream)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
