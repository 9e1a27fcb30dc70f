"""Subscriptions: iterators over the log, from history into the present, that survive breaks."""

import datetime as dt
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Self

from eventfold import _methods as methods
from eventfold._async import _platform, _waiting
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._errors import EventfoldError
from eventfold._events import event_page
from eventfold._following import Following, Frame
from eventfold._generated.errors import EventNotFound, PositionAhead
from eventfold._methods import Safety
from eventfold._place import Place
from eventfold._reconnects import SILENCE_S, OnReconnect, Reconnects, ended, silent
from eventfold._results import Copies
from eventfold._starts import Source, Start
from eventfold.v1 import event_store_pb2 as pb


class AsyncSubscription:
    """The events of a subscription, in order and without an end; used once.

        async with store.subscribe(categories=["account"], place=place) as events:
            async for event in events:
                ...

    The call begins with the first event that is asked for. When it breaks, the subscription calls
    again, with growing pauses, and goes on behind the last event that was taken: none is left out,
    none comes twice. It says so on the logger `eventfold`, and to `on_reconnect`. An error that no
    further call can mend is raised.

    `place` says after each event how far the loop is. The event in hand counts as taken: keep the
    place after having handled it, best in the same transaction (`eventfold.checkpoint`).

    `aclose` ends it, from wherever it is called, and so does leaving `async with`: a loop that is
    under way then ends as if there were no more events.
    """

    def __init__(
        self, connection: AsyncConnection, following: Following, reconnects: Reconnects
    ) -> None:
        self._connection = connection
        self._following = following
        self._reconnects = reconnects
        self._closing = _waiting.Closing()
        self._call: _platform.Call | None = None
        self._source: AsyncGenerator[Any] | None = None
        self._events: _platform.Events | None = None

    @property
    def place(self) -> Place:
        """How far the loop is: what `subscribe(place=...)` goes on from."""
        return self._following.place

    @property
    def position(self) -> int:
        """Position up to which everything was taken; 0: not known yet."""
        return self._following.place.position

    @property
    def resume_token(self) -> bytes:
        """The newest token that stands for no more than what was taken; empty: none came yet.

        There is one for each frame, not for each event: whoever goes on from it alone gets the
        events again that were taken of the frame under way. `place` goes on exactly.
        """
        return self._following.place.resume_token

    @property
    def head(self) -> int:
        """Head of the log as the server last told it; 0: not known yet."""
        return self._following.head

    @property
    def is_caught_up(self) -> bool:
        """Whether the subscription got to the head, and events come as they are appended."""
        return self._following.is_caught_up

    def __aiter__(self) -> _platform.Events:
        if self._events is None:
            self._source = self._begin(whole=False)
            self._events = _platform.flattened(self._source)
        return self._events

    async def __anext__(self) -> Any:
        return await self.__aiter__().__anext__()

    def frames(self) -> AsyncGenerator[Frame]:
        """The frames in which the events come, in place of the events: also checkpoints, news of
        having caught up, and a sign of life every 10 s.

        A frame is taken as a whole, and has a token of its own: a good unit for a transaction.
        """
        self._source = self._begin(whole=True)
        return self._source

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the subscription; may be called again."""
        self._closing.set()
        if self._call is not None:
            self._call.cancel()
        if self._source is not None:
            await _waiting.close_source(self._source)

    def _begin(self, *, whole: bool) -> AsyncGenerator[Any]:
        if self._source is not None:
            raise RuntimeError("a subscription is used once, by its events or by its frames")
        return self._read(whole=whole)

    async def _read(self, *, whole: bool) -> AsyncGenerator[Any]:
        following = self._following
        while not self._closing.is_set():
            incoming = self._frames()
            try:
                async for frame in incoming:
                    if whole:
                        following.take_whole(frame)
                        yield frame
                    elif len(frame):
                        events = following.take(frame)
                        try:
                            yield events
                        finally:
                            # Whoever iterates over it sees the end of what was closed.
                            events.close()
                    else:
                        following.take_whole(frame)
                    if self._closing.is_set():
                        return
                failure: EventfoldError = ended(self._connection.settings.target)
            except EventfoldError as error:
                failure = error
            finally:
                await incoming.aclose()
            if not self._closing.is_set():
                pause = self._reconnects.pause_s(failure, following.place.position)
                await self._closing.pause(pause)

    async def _frames(self) -> AsyncGenerator[Frame]:
        """The frames of one call."""
        following, settings = self._following, self._connection.settings
        self._reconnects.begin()
        request = following.request()
        call = self._call = self._connection.stream(methods.SUBSCRIBE, request, None)
        try:
            # `aclose` sets the one and looks at the other.
            if self._closing.is_set():
                return
            async for message in _waiting.messages(call):
                frame = following.accept(event_page(message, settings.numbers))
                self._reconnects.heard(bool(frame and len(frame)))
                await self._prove()
                if frame is not None:
                    yield frame
        except _waiting.SilenceError:
            raise silent(settings.target) from None
        except CallError as error:
            failure = self._connection.failure(error, SILENCE_S, Safety.READ)
            if isinstance(failure, PositionAhead) and following.place.event_id is not None:
                raise following.changed() from failure
            raise failure from error
        finally:
            call.cancel()

    async def _prove(self) -> None:
        """Looks up the event that was taken last, if it did not come by."""
        place = self._following.doubtful
        if place is None:
            return
        request = pb.GetEventRequest(id=place.event_id or "")
        try:
            answer = await self._connection.unary(methods.GET_EVENT, request, None)
        except EventNotFound:
            self._following.prove(None)
            return
        found = event_page(answer, self._connection.settings.numbers)
        self._following.prove(found[0] if len(found) else None)


class AsyncSubscriptionCalls:
    """The calls of the service `Subscriptions`."""

    _connection: AsyncConnection

    def subscribe(
        self,
        stream: str | None = None,
        *,
        categories: Iterable[str] = (),
        types: Iterable[str] = (),
        tags: Iterable[str] = (),
        where: str = "",
        include_system_events: bool = False,
        copies: Copies | None = None,
        raw: bool = False,
        place: Place | None = None,
        resume_token: bytes | None = None,
        from_position: int | None = None,
        from_version: int | None = None,
        from_recorded_at: dt.datetime | None = None,
        from_now: bool = False,
        on_reconnect: OnReconnect | None = None,
        give_up_after: float | None = None,
        timeout: float | None = None,
    ) -> AsyncSubscription:
        """Follows the log, categories or a stream: first what is stored, then what is appended.

            for event in store.subscribe(categories=["account"], place=place):
                ...

        It begins with the first event unless one of `place`, `resume_token` and the parameters
        named `from` says otherwise.

        Args:
            stream: only events of this stream, which need not exist yet; not with `categories`.
                Default: the log.
            categories: only events of these categories; at most 100. Default: all.
            types: only events of these types; at most 100. Default: all.
            tags: only events that have all of these tags; at most 64. Default: all.
            where: only events for which this CEL expression over `event` and `meta` is true.
            include_system_events: also events of streams whose name starts with `$`.
            copies: `include` or `exclude` events that a transform has copied from others. Default:
                those of a stream or of `categories` are included, those of the whole log are not.
            raw: data as it is stored, also for `where`: for exports and copies. False, the default:
                as the mappings in force make it.
            place: behind this place, which an earlier subscription told; the proof that it is the
                same log goes with it.
            resume_token: behind what this token of a frame or of a read stands for; empty: from
                the beginning.
            from_position: with this position, inclusive, at least 1, at most head + 1.
            from_version: with this version of the stream, inclusive, at least 1.
            from_recorded_at: with the first event recorded at or after this time, which has a time
                zone.
            from_now: with the first event after the head.
            on_reconnect: called with a `Reconnect` when the call broke, before the pause.
            give_up_after: seconds for which a broken call is begun again until its error is raised;
                0: at once. Default: without limit.
            timeout: seconds for which it is tried to reach the server at first. Default: that of
                the client.

        Returns:
            An iterator over `RecordedEvent`. These errors come when it is used:

        Raises:
            StoreIncarnationChanged: the log is not the one that the place or the token was made
                on, or it lost its tail meanwhile; both agree up to `common_position`.
            PositionAhead, VersionAhead: the start is beyond the head + 1.
            CopiesAmbiguous: both a source and a target of one transform are among `categories`.
            FilterFailed: `where` cannot be evaluated on an event; what was before it was delivered.
            MappingFailed: the mapping of its type fails on an event; the same.
            InvalidResumeToken, InvalidExpression, InvalidStreamName, InvalidRequest: see there.
            StreamDeleted, EventCorrupt: see there.
            TypeError: there are two starts.
        """
        source = Source(stream, categories, types, tags, where, include_system_events, copies)
        request = source.subscription()
        request.raw = raw
        start = Start(place, resume_token, from_position, from_version, from_recorded_at, from_now)
        following = Following(request, start.of_subscription(request))
        what = f"subscription to {stream or ', '.join(request.categories) or 'the log'}"
        seconds = self._connection.timeout(timeout)
        reconnects = Reconnects(what, seconds, give_up_after, on_reconnect)
        return AsyncSubscription(self._connection, following, reconnects)
