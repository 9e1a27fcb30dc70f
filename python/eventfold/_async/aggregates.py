"""Calls on aggregates: folding them here, deciding, and the registry of folds."""

import copy
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

from eventfold import _methods as methods
from eventfold._async import _platform
from eventfold._async.states import AsyncStateCalls
from eventfold._closing import Follow
from eventfold._events import Event, EventFlags
from eventfold._failures import ATTEMPTS_MAX, conflict_pause_s, not_opened
from eventfold._fold import FoldLike, fold_document
from eventfold._generated.errors import StreamClosed, StreamNotFound, VersionConflict
from eventfold._results import AppendResult, FoldInfo, Handlers, StateT
from eventfold._streams import stream_name
from eventfold.v1 import folds_pb2

# More types than a read can filter by: then all events are read.
_TYPES_MAX = 100


class AsyncAggregateCalls(AsyncStateCalls):
    """Decisions on aggregates, and the registry of folds."""

    async def read_aggregate(
        self,
        category: str,
        id: str,
        initial: StateT,
        handlers: Handlers[StateT],
        from_version: int = 1,
        *,
        follow: Literal["all"] | None = None,
        at_least_position: int = 0,
        timeout: float | None = None,
    ) -> tuple[StateT, int]:
        """Folds the events of an aggregate here, with Python functions.

        Args:
            category: category of the aggregate.
            id: its id.
            initial: the state before the first event that is read. It is copied (deeply), so
                handlers may change the state that they get.
            handlers: for each event type a function `fn(state, event) -> state`; events of other
                types are skipped.
            from_version: version to begin with; `initial` is then the state before it. Default: 1.
            follow: `all`: all streams of the line of periods, as if they were one; the version is
                that of the last one. Not with `from_version`. Default: the aggregate's alone.
            at_least_position: waits until the log has this position, and reads then. 0, the
                default: does not wait.
            timeout: seconds in which something new has to come. Default: that of the client.

        Returns:
            The state and the version to expect in an append decided on it; `initial` and 0 for a
            stream without events.

        Raises:
            VersionAhead: `from_version` is beyond the head + 1.
            StreamNotFound: the stream has no event, and `from_version` is not 1.
            StateNotCarried: the stream was opened when the books of another one were closed, and
                there is no handler for the type of its opening event, which has the states of folds
                alone: write one, or follow all periods.
            StreamDeleted, InvalidStreamName: see there. Errors of the handlers pass through.
        """
        if follow is not None and from_version != 1:
            raise TypeError("read_aggregate takes either follow= or from_version=")
        state, version, _ = await self._read_handlers(
            stream_name(category, id),
            initial,
            handlers,
            from_version,
            follow,
            at_least_position,
            timeout,
        )
        return state, version

    async def _read_handlers(
        self,
        stream: str,
        initial: StateT,
        handlers: Handlers[StateT],
        from_version: int,
        follow: Follow | None,
        at_least_position: int,
        timeout: float | None,
    ) -> tuple[StateT, int, str]:
        """The state, its version, and the stream that this is of."""
        state = copy.deepcopy(initial)
        types = list(handlers) if len(handlers) <= _TYPES_MAX else []
        # Without handlers nothing is folded, but the version is still that of the stream.
        reader = self.read(
            stream,
            from_version=from_version if follow is None else None,
            types=types,
            follow=follow,
            at_least_position=at_least_position,
            timeout=timeout,
        )
        try:
            opened = follow == "all" or from_version > 1
            async for event in reader:
                handler = handlers.get(event.type)
                opened = opened or (handler is not None and EventFlags.OPENS in event.flags)
                if handler is not None:
                    state = handler(state, event)
        except StreamNotFound:
            if from_version > 1:
                raise
            return state, 0, stream
        finally:
            await reader.aclose()
        end = reader.end
        if end.opened_from is not None and not opened:
            raise not_opened(end.stream or stream, end.opened_from)
        return state, max(end.version, from_version - 1), end.stream or stream

    async def emit_events(
        self,
        category: str,
        id: str,
        events: Iterable[Event],
        version: int,
        *,
        timeout: float | None = None,
    ) -> AppendResult:
        """Appends events to an aggregate at the version that `read_aggregate` or `hydrate` gave.

        Args:
            category: category of the aggregate.
            id: its id.
            events: 1 to 1,000 events.
            version: the version that the events were decided on; 0: the aggregate is new.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Raises:
            VersionConflict: the aggregate has moved; read it and decide again, or use `retry`.
            EventfoldError: as in `append`.
        """
        stream = stream_name(category, id)
        return await self.append(stream, events, expected_version=version, timeout=timeout)

    async def retry(
        self,
        category: str,
        id: str,
        decide: _platform.Decide,
        *,
        fold: FoldLike | None = None,
        handlers: Handlers[Any] | None = None,
        initial: Any = None,
        follow: Follow | None = None,
        attempts: int = ATTEMPTS_MAX,
        timeout: float | None = None,
    ) -> AppendResult | None:
        """Reads an aggregate, decides, and appends; again from the start when it has moved.

        `decide` gets the state and returns the events that follow from it. It is called once an
        attempt, so it should depend on the state alone; an exception that it raises ends all.
        The ids of its events are kept when the connection breaks, so nothing is stored twice.

        Args:
            category: category of the aggregate.
            id: its id.
            decide: `fn(state) -> list[Event]`; an empty list appends nothing.
            fold: the fold, as in `hydrate`; or:
            handlers: Python handlers, as in `read_aggregate`.
            initial: the initial state for `handlers`. Default: `{}`.
            follow: `all`: decides on the state through all periods. `open`, the default: on that of
                the open stream of the line of periods alone; nothing is ever decided on books that
                are closed, if others go on from them.
            attempts: how often to try, at least 1. Default: 5, with a random pause in between.
            timeout: seconds for each call. Default: that of the client.

        Returns:
            Where the events stand; None if there were none.

        Raises:
            VersionConflict: the aggregate moved in every attempt.
            StreamClosed: it was closed and nothing goes on from it, or in every attempt.
            TypeError: not exactly one of `fold` and `handlers` is given.
            EventfoldError: as in `hydrate`, `read_aggregate` and `append`.
        """
        if (fold is None) == (handlers is None):
            raise TypeError("retry takes either fold= or handlers=")
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts}")
        stream = stream_name(category, id)
        # An append would tell that the books are closed, but what is decided may be that there is
        # nothing to append.
        follow = follow or "open"
        conflicts = 0
        while True:
            if handlers is not None:
                start = {} if initial is None else initial
                state, version, at = await self._read_handlers(
                    stream, start, handlers, 1, follow, 0, timeout
                )
            else:
                assert fold is not None
                hydrated = await self.hydrate_stream(
                    stream, fold=fold, follow=follow, timeout=timeout
                )
                state, version, at = hydrated.state, hydrated.version, hydrated.stream or stream
            events = list(await _platform.settle(decide(state)))
            if not events:
                return None
            try:
                return await self.append(at, events, expected_version=version, timeout=timeout)
            except (VersionConflict, StreamClosed) as refusal:
                conflicts += 1
                has_ended = isinstance(refusal, StreamClosed) and refusal.successor is None
                if conflicts >= attempts or has_ended:
                    raise
                # Closed meanwhile, the line has another stream that is open: it decides anew there.
            await _platform.sleep(conflict_pause_s(conflicts))

    async def put_fold(self, fold: FoldLike, *, timeout: float | None = None) -> FoldInfo:
        """Registers a fold under the name that its document carries.

        The same fold again changes nothing; another one becomes the next revision.

        Args:
            fold: path of a YAML or JSON document, or the document as a mapping or as text of
                several lines; at most 64 KiB.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The newest revision; `created` says whether it is new.

        Raises:
            InvalidFold: it does not compile; the facts have line, column and excerpt.
            FoldTooLarge, ExpressionTooLong, ExpressionTooDeep: see there.
            OSError: the file cannot be read.
        """
        request = folds_pb2.PutFoldRequest(source=fold_document(fold))
        answer = await self._connection.unary(methods.PUT_FOLD, request, timeout)
        return FoldInfo._from_wire(answer.fold, answer.created)

    async def get_fold(
        self, name: str, *, revision: int = 0, timeout: float | None = None
    ) -> FoldInfo:
        """Returns a registered fold.

        Args:
            name: its name.
            revision: which revision, from 1. 0, the default: the newest.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            FoldNotFound: there is none.
        """
        request = folds_pb2.GetFoldRequest(name=name, revision=revision)
        answer = await self._connection.unary(methods.GET_FOLD, request, timeout)
        return FoldInfo._from_wire(answer.fold)

    async def list_folds(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[FoldInfo]:
        """Lists the newest revision of every registered fold in byte order of their names.

        Args:
            page_size: folds fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = folds_pb2.ListFoldsRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_FOLDS, request, timeout)
            for fold in page.folds:
                yield FoldInfo._from_wire(fold)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
