"""Watches: the state of a stream on every change, over breaks of the line."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Generic, Self, overload

from eventfold import _methods as methods
from eventfold._async import _platform, _waiting
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._errors import EventfoldError
from eventfold._fold import FoldLike, fold_ref
from eventfold._generated.errors import EventNotFound, VersionAhead
from eventfold._methods import Safety
from eventfold._models import Convert, ModelT, ModelT_co, converter
from eventfold._reconnects import SILENCE_S, OnReconnect, Reconnects, ended, silent
from eventfold._requests import whole
from eventfold._states import WatchedState
from eventfold._watching import Watching
from eventfold.v1 import event_store_pb2, folds_pb2


class AsyncWatch(Generic[ModelT_co]):
    """The states of a stream, in order and without an end; used once.

        async with store.watch("account-1", fold="account") as states:
            async for account in states:
                ...

    The call begins with the first state that is asked for. When it breaks, the watch calls again,
    with growing pauses, and goes on behind the last state that was taken: no version is left out,
    none comes twice. It says so on the logger `eventfold`, and to `on_reconnect`. An error that no
    further call can mend is raised.

    `aclose` ends it, from wherever it is called, and so does leaving `async with`: a loop that is
    under way then ends as if there were no more states.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        watching: Watching,
        reconnects: Reconnects,
        convert: Convert | None,
    ) -> None:
        self._connection = connection
        self._watching = watching
        self._reconnects = reconnects
        self._convert = convert
        self._closing = _waiting.Closing()
        self._call: _platform.Call | None = None
        self._states: AsyncGenerator[WatchedState[ModelT_co]] | None = None

    @property
    def version(self) -> int:
        """Version of the state that was taken last; 0: none, or the initial one."""
        return self._watching.version

    def __aiter__(self) -> AsyncGenerator[WatchedState[ModelT_co]]:
        if self._states is None:
            self._states = self._read()
        return self._states

    async def __anext__(self) -> WatchedState[ModelT_co]:
        return await self.__aiter__().__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the watch; may be called again."""
        self._closing.set()
        if self._call is not None:
            self._call.cancel()
        if self._states is not None:
            await _waiting.close_source(self._states)

    async def _read(self) -> AsyncGenerator[WatchedState[ModelT_co]]:
        numbers = self._connection.settings.numbers
        while not self._closing.is_set():
            incoming = self._incoming()
            try:
                async for states in incoming:
                    for state in states:
                        self._watching.take(state)
                        yield WatchedState._from_wire(state, numbers, self._convert)
                        if self._closing.is_set():
                            return
                failure: EventfoldError = ended(self._connection.settings.target)
            except EventfoldError as error:
                failure = error
            finally:
                await incoming.aclose()
            if not self._closing.is_set():
                pause = self._reconnects.pause_s(failure, self._watching.position)
                await self._closing.pause(pause)

    async def _incoming(self) -> AsyncGenerator[Sequence[folds_pb2.HistoricState]]:
        """The new states of one call, those of a message together."""
        watching, settings = self._watching, self._connection.settings
        self._reconnects.begin()
        call = self._call = self._connection.stream(methods.WATCH, watching.request(), None)
        try:
            # `aclose` sets the one and looks at the other.
            if self._closing.is_set():
                return
            async for message in _waiting.messages(call):
                answer = methods.WATCH.decode(message)
                states = watching.accept(answer)
                self._reconnects.heard(bool(states))
                if not answer.states:
                    await self._prove()
                if states:
                    yield states
        except _waiting.SilenceError:
            raise silent(settings.target) from None
        except CallError as error:
            failure = self._connection.failure(error, SILENCE_S, Safety.READ)
            if isinstance(failure, VersionAhead) and watching.version > 0:
                raise watching.changed() from failure
            raise failure from error
        finally:
            call.cancel()

    async def _prove(self) -> None:
        """Looks up the event that was taken last, if a sign of life came in place of it."""
        if not self._watching.is_unproven:
            return
        request = event_store_pb2.GetEventRequest(id=self._watching.event_id)
        try:
            await self._connection.unary(methods.GET_EVENT, request, None)
        except EventNotFound:
            raise self._watching.changed() from None


class AsyncWatchCalls:
    """The call `Watch` of the service `Folds`."""

    _connection: AsyncConnection

    @overload
    def watch(
        self,
        stream: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        into: None = None,
        on_reconnect: OnReconnect | None = None,
        give_up_after: float | None = None,
        timeout: float | None = None,
    ) -> AsyncWatch: ...

    @overload
    def watch(
        self,
        stream: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        into: type[ModelT],
        on_reconnect: OnReconnect | None = None,
        give_up_after: float | None = None,
        timeout: float | None = None,
    ) -> AsyncWatch[ModelT]: ...

    def watch(
        self,
        stream: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        into: type[Any] | None = None,
        on_reconnect: OnReconnect | None = None,
        give_up_after: float | None = None,
        timeout: float | None = None,
    ) -> AsyncWatch[Any]:
        """The state of an aggregate now, and again after every event that it gets.

            for account in store.watch("account-1", fold="account"):
                ...

        Args:
            stream: name of the stream; it need not have an event yet.
            fold: as in `hydrate`. Of a registered fold, the revision that is the newest when a call
                begins.
            from_version: first version whose state comes, inclusive, at least 1; at most one above
                the head. Default: that of the head.
            into: as in `hydrate`.
            on_reconnect: called with a `Reconnect` when the call broke, before the pause.
            give_up_after: as in `subscribe`.
            timeout: as in `subscribe`.

        Returns:
            An iterator over `WatchedState`, one for each version. These errors come when it is
            used:

        Raises:
            VersionAhead: `from_version` is beyond the head + 1.
            StoreIncarnationChanged: the log lost an event whose state was taken.
            EventfoldError: as in `hydrate`; the states before a failing event come first.
        """
        request = folds_pb2.WatchRequest(stream=stream, fold=fold_ref(fold))
        if from_version is not None:
            request.from_version = whole(from_version, "from_version")
        seconds = self._connection.timeout(timeout)
        reconnects = Reconnects(f"watch of {stream}", seconds, give_up_after, on_reconnect)
        convert = None if into is None else converter(into)
        return AsyncWatch(self._connection, Watching(request), reconnects, convert)
