"""What the calls on states in time return."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, cast

from eventfold._errors import EventfoldError
from eventfold._failures import error_from_status
from eventfold._json import Numbers, decode
from eventfold._models import Convert, ModelT_co
from eventfold._results import Hydrated
from eventfold._time import from_timestamp
from eventfold.v1 import folds_pb2 as pb


@dataclass(frozen=True)
class HydratedMany(Generic[ModelT_co]):
    """The states of many streams.

        states = store.hydrate_many(names, fold="account")
        for name, account in states.hydrated.items(): ...
        states["account-1"].state

    Attributes:
        hydrated: the states by name of the stream, in the order in which the streams were named.
        errors: by name of the stream why it has no state: `FoldFailed`, `StreamDeleted` and the
            others that `hydrate` raises.
    """

    hydrated: Mapping[str, Hydrated[ModelT_co]]
    errors: Mapping[str, EventfoldError]

    def __getitem__(self, stream: str) -> Hydrated[ModelT_co]:
        """The state of one stream.

        Raises:
            EventfoldError: the stream has none, for this reason.
            KeyError: the stream was not asked for.
        """
        if stream in self.errors:
            raise self.errors[stream]
        return self.hydrated[stream]

    def __len__(self) -> int:
        return len(self.hydrated) + len(self.errors)


@dataclass(frozen=True)
class HistoricState(Generic[ModelT_co]):
    """The state of a stream after one of its events.

    Attributes:
        version: version of the event.
        position: position of the event in the log.
        event_id: id of the event.
        type: type of the event.
        recorded_at: when it was recorded, in UTC.
        occurred_at: when it occurred, in UTC.
        exists: False: the fold deleted the aggregate with this event, or before.
        state_json: the state as JSON text.
        erased_paths: see `Hydrated`.
        withheld_paths: see `Hydrated`.
    """

    version: int
    position: int
    event_id: str
    type: str
    recorded_at: dt.datetime
    occurred_at: dt.datetime
    exists: bool
    state_json: bytes
    erased_paths: tuple[str, ...] = ()
    withheld_paths: tuple[str, ...] = ()
    _numbers: Numbers = field(default="decimal", repr=False, compare=False)
    _convert: Convert | None = field(default=None, repr=False, compare=False)

    @cached_property
    def state(self) -> ModelT_co:
        """The state, decoded when it is first touched; see `Hydrated.state`."""
        if self._convert is not None:
            return cast(ModelT_co, self._convert(self.state_json))
        return cast(ModelT_co, decode(self.state_json, self._numbers))

    @classmethod
    def _from_wire(
        cls, state: pb.HistoricState, numbers: Numbers, convert: Convert | None
    ) -> "HistoricState[Any]":
        return HistoricState(
            version=state.version,
            position=state.position,
            event_id=state.event_id,
            type=state.type,
            recorded_at=from_timestamp(state.recorded_at),
            occurred_at=from_timestamp(state.occurred_at),
            exists=state.exists,
            state_json=state.state,
            erased_paths=tuple(state.erased_paths),
            withheld_paths=tuple(state.withheld_paths),
            _numbers=numbers,
            _convert=convert,
        )


@dataclass(frozen=True)
class WatchedState(Generic[ModelT_co]):
    """The state of a stream that is watched: after one of its events, or before the first.

    Attributes:
        version: version of the event; 0: the stream has none yet, and the state is the initial one.
        position: position of the event in the log; 0 without one.
        event_id: id of the event; None without one.
        type: type of the event; None without one.
        recorded_at: when it was recorded, in UTC; None without one.
        occurred_at: when it occurred, in UTC; None without one.
        exists: False: the stream has no event yet, or the fold deleted the aggregate.
        state_json: the state as JSON text.
        erased_paths: see `Hydrated`.
        withheld_paths: see `Hydrated`.
    """

    version: int
    position: int
    event_id: str | None
    type: str | None
    recorded_at: dt.datetime | None
    occurred_at: dt.datetime | None
    exists: bool
    state_json: bytes
    erased_paths: tuple[str, ...] = ()
    withheld_paths: tuple[str, ...] = ()
    _numbers: Numbers = field(default="decimal", repr=False, compare=False)
    _convert: Convert | None = field(default=None, repr=False, compare=False)

    @cached_property
    def state(self) -> ModelT_co:
        """The state, decoded when it is first touched; see `Hydrated.state`."""
        if self._convert is not None:
            return cast(ModelT_co, self._convert(self.state_json))
        return cast(ModelT_co, decode(self.state_json, self._numbers))

    @classmethod
    def _from_wire(
        cls, state: pb.HistoricState, numbers: Numbers, convert: Convert | None
    ) -> "WatchedState[Any]":
        has_event = state.version > 0
        return WatchedState(
            version=state.version,
            position=state.position,
            event_id=state.event_id if has_event else None,
            type=state.type if has_event else None,
            recorded_at=from_timestamp(state.recorded_at) if has_event else None,
            occurred_at=from_timestamp(state.occurred_at) if has_event else None,
            exists=state.exists,
            state_json=state.state,
            erased_paths=tuple(state.erased_paths),
            withheld_paths=tuple(state.withheld_paths),
            _numbers=numbers,
            _convert=convert,
        )


@dataclass(frozen=True)
class StateChange:
    """A change of one place of a state.

    Attributes:
        path: the place as a fold document writes it, such as `limits['eur']` or
            `transfers[2].to`; `.` is the whole state.
        before_json: JSON text before the event; None: there was nothing.
        after_json: JSON text after the event; None: there is nothing.
        before_erased_paths: as `Hydrated.erased_paths`, of what was there.
        before_withheld_paths: as `Hydrated.withheld_paths`, of what was there.
        after_erased_paths: as `Hydrated.erased_paths`, of what is there.
        after_withheld_paths: as `Hydrated.withheld_paths`, of what is there.
    """

    path: str
    before_json: bytes | None
    after_json: bytes | None
    before_erased_paths: tuple[str, ...] = ()
    before_withheld_paths: tuple[str, ...] = ()
    after_erased_paths: tuple[str, ...] = ()
    after_withheld_paths: tuple[str, ...] = ()
    _numbers: Numbers = field(default="decimal", repr=False, compare=False)

    @cached_property
    def before(self) -> Any:
        """The value before, decoded when it is first touched; None if there was nothing."""
        return None if self.before_json is None else decode(self.before_json, self._numbers)

    @cached_property
    def after(self) -> Any:
        """The value after, decoded when it is first touched; None if there is nothing."""
        return None if self.after_json is None else decode(self.after_json, self._numbers)

    @classmethod
    def _from_wire(cls, change: pb.StateChange, numbers: Numbers) -> "StateChange":
        return cls(
            path=change.path,
            before_json=change.before or None,
            after_json=change.after or None,
            before_erased_paths=tuple(change.before_erased_paths),
            before_withheld_paths=tuple(change.before_withheld_paths),
            after_erased_paths=tuple(change.after_erased_paths),
            after_withheld_paths=tuple(change.after_withheld_paths),
            _numbers=numbers,
        )


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """What one event did to the state.

    Attributes:
        version: version of the event.
        position: position of the event in the log.
        event_id: id of the event.
        type: type of the event.
        recorded_at: when it was recorded, in UTC.
        occurred_at: when it occurred, in UTC.
        handled: whether the fold has a handler for the type.
        exists: whether the aggregate exists after the event.
        changes: the smallest places that differ, in the order of the state; at most 1,000.
        changes_left_out: number of changes that are not among them.
    """

    version: int
    position: int
    event_id: str
    type: str
    recorded_at: dt.datetime
    occurred_at: dt.datetime
    handled: bool
    exists: bool
    changes: tuple[StateChange, ...]
    changes_left_out: int

    @classmethod
    def _from_wire(cls, event: pb.ExplainedEvent, numbers: Numbers) -> "ExplainedEvent":
        changes = (StateChange._from_wire(one, numbers) for one in event.changes)
        return cls(
            version=event.version,
            position=event.position,
            event_id=event.event_id,
            type=event.type,
            recorded_at=from_timestamp(event.recorded_at),
            occurred_at=from_timestamp(event.occurred_at),
            handled=event.handled,
            exists=event.exists,
            changes=tuple(changes),
            changes_left_out=event.changes_left_out,
        )


@dataclass(frozen=True, slots=True)
class FoldReport:
    """How a fold gets on with the stored events of a category; while the check goes on, how far
    it has come.

    Attributes:
        streams: number of streams that were folded.
        events: number of events that were folded.
        done: True: this is the whole report; False: only the numbers are known yet.
        failed_streams: number of streams on which the fold failed.
        failures: the first 100 of them: name of the stream and the error.
        unused_handlers: handlers that no event reached.
        unhandled_types: types of stored events without a handler.
        unseen_fields: event type and name of fields that a handler reads and no event has.
        undeclared_fields: event type and name of fields that a handler reads and the schema of the
            type does not describe; of types without a schema there are none.
        personal_paths: parts of the state that can hold personal values, as pointers with `*` for
            every item or member; the empty one is the whole state.
    """

    streams: int
    events: int
    done: bool
    failed_streams: int
    failures: tuple[tuple[str, EventfoldError], ...]
    unused_handlers: tuple[str, ...]
    unhandled_types: tuple[str, ...]
    unseen_fields: tuple[tuple[str, str], ...]
    undeclared_fields: tuple[tuple[str, str], ...]
    personal_paths: tuple[str, ...] = ()

    @classmethod
    def _from_wire(cls, report: pb.CheckFoldResponse) -> "FoldReport":
        return cls(
            streams=report.streams,
            events=report.events,
            done=report.done,
            failed_streams=report.failed_streams,
            failures=tuple((one.stream, error_from_status(one.error)) for one in report.failures),
            unused_handlers=tuple(report.unused_handlers),
            unhandled_types=tuple(report.unhandled_types),
            unseen_fields=tuple((one.type, one.field) for one in report.unseen_fields),
            undeclared_fields=tuple((one.type, one.field) for one in report.undeclared_fields),
            personal_paths=tuple(report.personal_paths),
        )
