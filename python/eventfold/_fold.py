"""Folds in this process, with the same core as the server."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, TypeAlias, overload

from eventfold import _core
from eventfold._errors import EventfoldError, InvalidValue
from eventfold._events import Event, EventFlags, RecordedEvent
from eventfold._generated.errors import BY_REASON
from eventfold._json import Numbers, decode, encode
from eventfold._models import ModelT, converter
from eventfold._results import Hydrated
from eventfold._sources import Document, source_of, source_or_file
from eventfold._time import micros
from eventfold.v1 import folds_pb2

_STREAM = "local-1"
_WRITER = "anonymous"


class Fold:
    """A compiled fold: for `apply`, and wherever a call takes `fold=`.

        fold = Fold.load("account.fold.yaml")
        account = fold.apply(None, store.read("account-1"))
        preview = fold.apply(account, [Event("MoneyDeposited", {"amount": 10})])

    It never changes, and is free to be used from many threads.

    Args:
        source: text of the document, YAML or JSON; `load` takes more.

    Raises:
        InvalidFold: it does not compile; the facts have line, column and excerpt.
        FoldTooLarge, ExpressionTooLong, ExpressionTooDeep: see there.
    """

    __slots__ = ("_compiled", "source")

    source: str
    """Text of the document."""

    def __init__(self, source: str) -> None:
        try:
            self._compiled = _core.Fold(source)
        except _core.CoreError as error:
            raise error_of_core(error) from None
        self.source = source

    @classmethod
    def load(cls, document: Document) -> "Fold":
        """Reads and compiles a document.

        Args:
            document: a path (a `Path`, or text), a mapping, or text of several lines.

        Raises:
            InvalidFold, FoldTooLarge, ExpressionTooLong, ExpressionTooDeep: as the class.
            OSError: the file cannot be read.
        """
        return cls(source_or_file(document))

    @property
    def name(self) -> str:
        """The name that the document carries."""
        return self._compiled.name

    @property
    def digest(self) -> str:
        """SHA-256 of the normal form, lower-case hexadecimal."""
        return self._compiled.digest

    @property
    def event_types(self) -> tuple[str, ...]:
        """The event types with a handler, in the order of the document."""
        return tuple(self._compiled.event_types)

    @property
    def initial(self) -> Any:
        """The state before the first event; a new object each time."""
        return decode(self._compiled.initial)

    @overload
    def apply(
        self,
        state: object,
        events: Iterable[Event | RecordedEvent],
        *,
        into: None = None,
        stream: str | None = None,
        root: str | None = None,
        numbers: Numbers = "decimal",
    ) -> Hydrated: ...

    @overload
    def apply(
        self,
        state: object,
        events: Iterable[Event | RecordedEvent],
        *,
        into: type[ModelT],
        stream: str | None = None,
        root: str | None = None,
        numbers: Numbers = "decimal",
    ) -> Hydrated[ModelT]: ...

    def apply(
        self,
        state: object,
        events: Iterable[Event | RecordedEvent],
        *,
        into: type[Any] | None = None,
        stream: str | None = None,
        root: str | None = None,
        numbers: Numbers = "decimal",
    ) -> Hydrated[Any]:
        """Folds events of one stream into a state, as the server does; or of all streams of a line
        of periods, as a read that follows gives them, as if they were one.

        Recorded events give the state, byte for byte, that `hydrate` gives. An `Event` counts as
        if it were the next one of the stream, recorded now by `anonymous`.

        Args:
            state: where to go on: a `Hydrated` with its version; a state as `Hydrated.state` has
                it, at version 0; None: the initial state.
            events: events in order, stored ones or new ones. An iterator is read as it goes.
            into: class of the state: a dataclass, a pydantic model, a msgspec Struct.
            stream: name of the stream. Default: that of the first recorded event.
            root: name of the first stream of its line of periods. Default: that of the stream.
            numbers: as for clients; states without `into` are decoded so.

        Returns:
            The new state; `events_read` and `events_folded` count the events of this call.

        Raises:
            FoldFailed, NumberRange, StateNotJson, StateTooLarge, EvaluationLimit: an event could
                not be folded; the facts name handler, path and event.
            StateNotCarried: the stream goes on from another one, and its opening event carries no
                state of this very fold, or of one that it accepts.
            InvalidValue: events of several streams, or not in the order of their versions;
                `state` has no JSON form; or the fold skips what is cancelled, and an event cancels
                one that `state` has seen.
            TypeError: an event is neither an `Event` nor a `RecordedEvent`.
        """
        convert = None if into is None else converter(into)
        if self._compiled.skip_cancelled:
            events = list(events)
        try:
            run = _Run(self._compiled, state, events, stream, root)
            for event in events:
                run.feed(event)
            result = run.finish()
        except _core.CoreError as error:
            raise error_of_core(error) from None
        return Hydrated(
            exists=result.exists,
            state_json=result.public_state,
            erased_paths=tuple(result.erased_paths),
            withheld_paths=tuple(result.withheld_paths),
            version=result.version,
            position=result.position,
            events_read=result.events_read,
            events_folded=result.events_folded,
            fold_digest=self._compiled.digest,
            _numbers=numbers,
            _convert=convert,
        )

    def _apply_union(
        self, events: Iterable[RecordedEvent], root: str, *, numbers: Numbers
    ) -> Hydrated[Any]:
        """Folds events of several streams, in order of position, as if they were one stream."""
        ordered = list(events)
        streams = {event.stream: 0 for event in ordered}
        try:
            run = self._compiled.run(
                ordered[0].stream if ordered else root, root, **_cancelling(self._compiled, ordered)
            )
            current = ordered[0].stream if ordered else root
            for event in ordered:
                if event.stream != current:
                    current = event.stream
                    run.go_on_in(current)
                if event.version <= streams[current]:
                    problem = f"the event of version {event.version} comes after {streams[current]}"
                    raise InvalidValue(problem, {"path": "events", "problem": problem})
                streams[current] = event.version
                run.feed_recorded(event)
            result = run.finish()
        except _core.CoreError as error:
            raise error_of_core(error) from None
        return Hydrated(
            exists=result.exists,
            state_json=result.state,
            version=result.version,
            position=result.position,
            events_read=result.events_read,
            events_folded=result.events_folded,
            fold_digest=self._compiled.digest,
            _numbers=numbers,
            _convert=None,
        )

    def __eq__(self, other: object) -> bool:
        """Folds are equal if name and digest are."""
        if not isinstance(other, Fold):
            return NotImplemented
        return (self.name, self.digest) == (other.name, other.digest)

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source,)

    def __repr__(self) -> str:
        return f"<Fold {self.name} {self.digest[:12]}>"


FoldLike: TypeAlias = Document | Fold
"""A fold: a `Fold`, the name of a registered one, a path of a document (a `Path`, or text that ends
in `.yaml`, `.yml` or `.json`), a document as a mapping, or a document as text of several lines."""


def fold_source(fold: FoldLike) -> str | None:
    """The text of a document; None if `fold` is the name of a registered one."""
    return fold.source if isinstance(fold, Fold) else source_of(fold)


def fold_ref(fold: FoldLike) -> folds_pb2.FoldRef:
    """The fold of a request."""
    source = fold_source(fold)
    if source is None:
        return folds_pb2.FoldRef(name=str(fold))
    return folds_pb2.FoldRef(source=source)


def fold_document(fold: FoldLike) -> str:
    """The text of a document; a plain text is taken for a path."""
    return fold.source if isinstance(fold, Fold) else source_or_file(fold)


def local_fold(fold: FoldLike) -> Fold:
    """The compiled fold.

    Raises:
        TypeError: `fold` is a name, which only a server can look up.
    """
    if isinstance(fold, Fold):
        return fold
    source = source_of(fold)
    if source is None:
        raise TypeError(f"{fold!r} is the name of a registered fold; give its document here")
    return Fold(source)


class _Run:
    """A fold on its way along one stream, which the first recorded event may name."""

    def __init__(
        self,
        fold: _core.Fold,
        state: object,
        events: Iterable[Event | RecordedEvent],
        stream: str | None,
        root: str | None,
    ) -> None:
        self._fold = fold
        self._stream = stream
        self._root = root
        self._options = _start(state)
        self._version: int = self._options.get("version", 0)
        if fold.skip_cancelled:
            self._options["cancelled"] = _cancelled(events, bool(self._options))
        self._run: _core.FoldRun | None = None

    def _begun(self, stream: str) -> _core.FoldRun:
        if self._run is None:
            self._stream = self._stream or stream
            root = self._root or self._stream
            self._run = self._fold.run(self._stream, root, **self._options)
        return self._run

    def feed(self, event: Event | RecordedEvent) -> None:
        if isinstance(event, RecordedEvent):
            self._feed_recorded(event)
        elif isinstance(event, Event):
            self._feed_new(event)
        else:
            raise TypeError(
                f"events must be eventfold.Event or RecordedEvent, not {type(event).__name__}"
            )

    def _feed_recorded(self, event: RecordedEvent) -> None:
        stream, version = event.stream, event.version
        run = self._begun(stream)
        if stream != self._stream and _opens_from(event, self._stream):
            # The next period: the state goes on through all of them.
            run.go_on_in(stream)
            self._stream, self._version = stream, 0
        if stream != self._stream:
            problem = "the events are of several streams"
            raise InvalidValue(problem, {"path": "events", "problem": problem})
        if version <= self._version:
            problem = f"the event of version {version} comes after {self._version}"
            raise InvalidValue(problem, {"path": "events", "problem": problem})
        self._version = version
        run.feed_recorded(event)

    def _feed_new(self, event: Event) -> None:
        now = micros(dt.datetime.now(dt.UTC), "recorded_at")
        self._version += 1
        self._begun(_STREAM).feed_event(
            type=event.type,
            data=event.data_json,
            metadata=event.metadata_json,
            tags=sorted(set(event.tags), key=str.encode),
            event_id=event.id,
            version=self._version,
            position=0,
            recorded_us=now,
            occurred_us=now if event._occurred_us is None else event._occurred_us,
            writer=_WRITER,
        )

    def finish(self) -> _core.FoldResult:
        return self._begun(_STREAM).finish()


def _cancelled(events: Iterable[Event | RecordedEvent], goes_on: bool) -> list[str]:
    """Ids of what events cancel, none of which a state that is gone on from may have seen."""
    recorded = [one for one in events if isinstance(one, RecordedEvent)]
    cancelled = [one.cancels for one in recorded if one.cancels is not None]
    if goes_on and not {one.id for one in recorded}.issuperset(cancelled):
        problem = "an event cancels one before the state; fold from the first event"
        raise InvalidValue(problem, {"path": "events", "problem": problem})
    return cancelled


def _cancelling(fold: _core.Fold, events: Iterable[RecordedEvent]) -> dict[str, Any]:
    """The options of a run from the first event on that passes over what is cancelled."""
    return {"cancelled": _cancelled(events, False)} if fold.skip_cancelled else {}


def _opens_from(event: RecordedEvent, stream: str | None) -> bool:
    """Whether the event opens the stream that goes on from that one."""
    return EventFlags.OPENS in event.flags and event.data.get("predecessor") == stream


def _start(state: object) -> dict[str, Any]:
    """The options of a run that goes on from a state."""
    if state is None:
        return {}
    if isinstance(state, Hydrated):
        if state.version == 0:
            return {}
        return {
            "state": _core.state_with_absent(
                state.state_json, state.erased_paths, state.withheld_paths
            ),
            "exists": state.exists,
            "version": state.version,
            "position": state.position,
        }
    return {"state": encode(state)}


def error_of_core(error: _core.CoreError) -> EventfoldError:
    """The error of the catalogue for a refusal by the core."""
    cls = BY_REASON.get(error.reason)
    if cls is None:
        return EventfoldError(error.message, error.facts, reason=error.reason)
    return cls._make(error.message, error.facts)
