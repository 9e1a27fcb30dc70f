"""Calls on states: one, many, after every version, and why they are what they are."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, overload

from eventfold import _methods as methods
from eventfold import _requests as requests
from eventfold._async.log import AsyncLogCalls
from eventfold._async.streaming import batches, last_report
from eventfold._closing import Follow, follow_to_wire
from eventfold._errors import EventfoldError
from eventfold._fold import FoldLike, fold_ref
from eventfold._models import ModelT, converter
from eventfold._progress import ManyStreams, Versions
from eventfold._results import Hydrated
from eventfold._states import ExplainedEvent, FoldReport, HistoricState, HydratedMany
from eventfold._streams import stream_name
from eventfold.v1 import folds_pb2

# A whole category is folded.
_CHECK_TIMEOUT_S = 3_600.0


class AsyncStateCalls(AsyncLogCalls):
    """The calls of the service `Folds` that fold."""

    @overload
    async def hydrate(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        version: int | None = None,
        position: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        follow: Follow | None = None,
        at_least_position: int = 0,
        into: None = None,
        timeout: float | None = None,
    ) -> Hydrated: ...

    @overload
    async def hydrate(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        version: int | None = None,
        position: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        follow: Follow | None = None,
        at_least_position: int = 0,
        into: type[ModelT],
        timeout: float | None = None,
    ) -> Hydrated[ModelT]: ...

    async def hydrate(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        version: int | None = None,
        position: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        follow: Follow | None = None,
        at_least_position: int = 0,
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> Hydrated[Any]:
        """Folds the events of an aggregate into its state, on the server and consistently.

        Without one of `version`, `position`, `recorded_at` and `occurred_at` the state is that at
        the head of the stream. A stream without events gives the initial state at version 0.

        Args:
            category: category of the aggregate.
            id: its id.
            fold: name of a registered fold; or a document: a `Fold`, a path (`Path`, or text that
                ends in `.yaml`, `.yml`, `.json`), or a mapping.
            version: events up to this version, inclusive; 0: the initial state.
            position: events up to this position of the log, inclusive.
            recorded_at: events recorded at or before this time, which has a time zone.
            occurred_at: events that occurred at or before this time, which has a time zone.
            follow: `open`: the last stream of the line of periods in place of the named one;
                at a position or a time the last that had begun by then. `all`: all streams of the
                line as if they were one. Not with `version`. The result names the stream in which
                it ended. Default: the one that is named alone.
            at_least_position: waits until the log has this position, such as the last of
                `AppendResult.positions`, and folds then: whoever was told of an append sees it,
                whichever server answers. 0, the default: does not wait.
            into: class of `state`: a dataclass, a pydantic model, a msgspec Struct. Default:
                JSON's types.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            FoldNotFound: no fold is registered under this name.
            InvalidFold, FoldTooLarge, ExpressionTooLong, ExpressionTooDeep: the document.
            VersionAhead, PositionAhead: the point is beyond the head.
            DeadlineExceeded: the log did not get to `at_least_position` in time.
            FoldFailed, NumberRange, StateNotJson, StateTooLarge, EvaluationLimit: an event could
                not be folded; the facts name fold, handler, path and event.
            StateNotCarried: the stream goes on from another one and was opened with no state of the
                fold; `follow="all"` folds all periods.
            StreamDeleted, EventCorrupt, InvalidStreamName: see there.
            OSError: the file of the fold cannot be read.
        """
        return await self._hydrate(
            stream_name(category, id),
            fold,
            (version, position, recorded_at, occurred_at),
            at_least_position,
            into,
            timeout,
            follow,
        )

    @overload
    async def hydrate_stream(
        self,
        stream: str,
        *,
        fold: FoldLike,
        version: int | None = None,
        position: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        follow: Follow | None = None,
        at_least_position: int = 0,
        into: None = None,
        timeout: float | None = None,
    ) -> Hydrated: ...

    @overload
    async def hydrate_stream(
        self,
        stream: str,
        *,
        fold: FoldLike,
        version: int | None = None,
        position: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        follow: Follow | None = None,
        at_least_position: int = 0,
        into: type[ModelT],
        timeout: float | None = None,
    ) -> Hydrated[ModelT]: ...

    async def hydrate_stream(
        self,
        stream: str,
        *,
        fold: FoldLike,
        version: int | None = None,
        position: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        follow: Follow | None = None,
        at_least_position: int = 0,
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> Hydrated[Any]:
        """Folds the events of a stream, named as a whole. All else as in `hydrate`."""
        point = (version, position, recorded_at, occurred_at)
        return await self._hydrate(stream, fold, point, at_least_position, into, timeout, follow)

    async def _hydrate(
        self,
        stream: str,
        fold: FoldLike,
        point: tuple[int | None, int | None, dt.datetime | None, dt.datetime | None],
        at_least_position: int,
        into: type[Any] | None,
        timeout: float | None,
        follow: Follow | None = None,
    ) -> Hydrated[Any]:
        convert = None if into is None else converter(into)
        request = requests.hydrate_request(stream, fold, *point)
        request.at_least_position = requests.whole(at_least_position, "at_least_position")
        request.follow = follow_to_wire(follow)
        answer = await self._connection.unary(methods.HYDRATE, request, timeout)
        return Hydrated._from_wire(answer, self._connection.settings.numbers, convert)

    @overload
    async def hydrate_many(
        self,
        streams: Iterable[str],
        *,
        fold: FoldLike,
        at_least_position: int = 0,
        into: None = None,
        timeout: float | None = None,
    ) -> HydratedMany: ...

    @overload
    async def hydrate_many(
        self,
        streams: Iterable[str],
        *,
        fold: FoldLike,
        at_least_position: int = 0,
        into: type[ModelT],
        timeout: float | None = None,
    ) -> HydratedMany[ModelT]: ...

    async def hydrate_many(
        self,
        streams: Iterable[str],
        *,
        fold: FoldLike,
        at_least_position: int = 0,
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> HydratedMany[Any]:
        """Folds many streams with one fold; the server reads up to 1,000 of them by one query.

        Each state is consistent with its stream. A stream that cannot be folded has an error in
        the result, and does not keep the others from their states.

        Args:
            streams: names of the streams, any number; see `eventfold.stream_name`.
            fold: as in `hydrate`.
            at_least_position: as in `hydrate`.
            into: as in `hydrate`.
            timeout: seconds in which something new has to come. Default: that of the client.

        Raises:
            InvalidStreamName: one of the names is no stream name.
            FoldNotFound, InvalidFold and the other errors of the document: as in `hydrate`.
        """
        convert = None if into is None else converter(into)
        numbers = self._connection.settings.numbers
        names = list(dict.fromkeys(requests.texts(streams, "streams")))
        hydrated: dict[str, Hydrated[Any]] = {}
        errors: dict[str, EventfoldError] = {}
        if names:
            position = requests.whole(at_least_position, "at_least_position")
            progress = ManyStreams(names, fold_ref(fold), position)
            async for found in batches(self._connection, methods.HYDRATE_MANY, progress, timeout):
                for name, answer in found:
                    if isinstance(answer, EventfoldError):
                        errors[name] = answer
                    else:
                        hydrated[name] = Hydrated._from_wire(answer, numbers, convert)
        return HydratedMany(
            {name: hydrated[name] for name in names if name in hydrated},
            {name: errors[name] for name in names if name in errors},
        )

    @overload
    def hydrate_history(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        to_version: int | None = None,
        into: None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[HistoricState]: ...

    @overload
    def hydrate_history(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        to_version: int | None = None,
        into: type[ModelT],
        timeout: float | None = None,
    ) -> AsyncIterator[HistoricState[ModelT]]: ...

    async def hydrate_history(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        to_version: int | None = None,
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[HistoricState[Any]]:
        """The state of an aggregate after each of its versions, in their order.

        Args:
            category: category of the aggregate.
            id: its id.
            fold: as in `hydrate`.
            from_version: first version, inclusive, at least 1. Default: 1. Events before count.
            to_version: last version, inclusive; above the head it means the head. Default: the
                head.
            into: as in `hydrate`.
            timeout: seconds in which something new has to come. Default: that of the client.

        Returns:
            An iterator; a stream without events gives nothing. Its errors come when it is used:

        Raises:
            VersionAhead: `from_version` is beyond the head + 1.
            EventfoldError: as in `hydrate`; the states before a failing event come first.
        """
        convert = None if into is None else converter(into)
        numbers = self._connection.settings.numbers
        request = requests.versions_request(
            folds_pb2.HydrateHistoryRequest(),
            stream_name(category, id),
            fold,
            from_version,
            to_version,
        )
        progress = Versions(request)
        async for states in batches(self._connection, methods.HYDRATE_HISTORY, progress, timeout):
            for state in states:
                yield HistoricState._from_wire(state, numbers, convert)

    async def explain(
        self,
        category: str,
        id: str,
        *,
        fold: FoldLike,
        from_version: int | None = None,
        to_version: int | None = None,
        recorded_at: dt.datetime | None = None,
        occurred_at: dt.datetime | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ExplainedEvent]:
        """Says of each event of an aggregate which places of the state it changed.

        Args:
            category: category of the aggregate.
            id: its id.
            fold: as in `hydrate`.
            from_version: first version, inclusive, at least 1. Default: 1. Events before count.
            to_version: last version, inclusive; above the head it means the head. Default: the
                head.
            recorded_at: only events recorded at or before this time, which has a time zone.
            occurred_at: only events that occurred at or before this time, which has a time zone.
            timeout: seconds in which something new has to come. Default: that of the client.

        Returns:
            An iterator over `ExplainedEvent`. Its errors come when it is used:

        Raises:
            VersionAhead: `from_version` is beyond the head + 1.
            EventfoldError: as in `hydrate`; the last event that came is the one before the event
                that fails.
        """
        numbers = self._connection.settings.numbers
        request = requests.explain_request(
            stream_name(category, id), fold, from_version, to_version, recorded_at, occurred_at
        )
        progress = Versions(request)
        async for events in batches(self._connection, methods.EXPLAIN, progress, timeout):
            for event in events:
                yield ExplainedEvent._from_wire(event, numbers)

    async def check_fold(
        self,
        fold: FoldLike,
        category: str,
        *,
        on_progress: Callable[[FoldReport], object] | None = None,
        timeout: float | None = _CHECK_TIMEOUT_S,
    ) -> FoldReport:
        """Folds all stored events of a category, and reports how that went; stores nothing.

        Args:
            fold: as in `hydrate`; it need not be registered.
            category: category whose streams are folded.
            on_progress: called now and then with the report as far as it has come: its `streams`,
                `events` and `failed_streams`.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            FoldNotFound, InvalidFold and the other errors of the document: as in `hydrate`.
            EventCorrupt, InvalidRequest: see there.
        """
        request = folds_pb2.CheckFoldRequest(fold=fold_ref(fold), category=category)

        def tell(report: folds_pb2.CheckFoldResponse) -> None:
            if on_progress is not None and not report.done:
                on_progress(FoldReport._from_wire(report))

        answer = await last_report(self._connection, methods.CHECK_FOLD, request, tell, timeout)
        return FoldReport._from_wire(answer)
