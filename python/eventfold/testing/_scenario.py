"""`given(events).when(decide).then(events)`: checks a decision without a server."""

import copy
import datetime as dt
import difflib
import inspect
import pprint
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from eventfold._events import Event, RecordedEvent
from eventfold._fold import FoldLike, local_fold
from eventfold._json import decode
from eventfold._results import Handlers
from eventfold._time import to_timestamp
from eventfold.v1 import event_store_pb2 as pb

Decide: TypeAlias = Callable[[Any], Iterable[Event]]

# A fixed time, so that a test gives the same result every day.
_BEGIN = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_WRITER = "test"


def given(
    events: Iterable[Event] = (),
    *,
    fold: FoldLike | None = None,
    handlers: Handlers[Any] | None = None,
    initial: Any = None,
    stream: str = "test-1",
) -> "Given":
    """Folds the events of an aggregate here, as they would be on a server.

        given([Event("AccountOpened"), Event("MoneyDeposited", {"amount": 10})], fold="f.yaml")
            .when(lambda state: withdraw(state, 7))
            .then([Event("MoneyWithdrawn", {"amount": 7})])

    Args:
        events: what happened before, in order. `recorded_at` is a second after the event before,
            from 2000-01-01 on; `occurred_at` is the same if the event names no time.
        fold: a `Fold`, or a document: a path, or a mapping; or:
        handlers: Python handlers, as in `Client.read_aggregate`.
        initial: the initial state for `handlers`. Default: `{}`.
        stream: name of the stream.

    Raises:
        InvalidFold, FoldFailed and the other errors of `Client.hydrate`: as on a server.
        TypeError: not exactly one of `fold` and `handlers`, or `fold` is the name of a registered
            fold, which only a server knows.
    """
    if (fold is None) == (handlers is None):
        raise TypeError("given takes either fold= or handlers=")
    recorded = [_record(event, index, stream) for index, event in enumerate(events, 1)]
    if handlers is not None:
        state = copy.deepcopy({} if initial is None else initial)
        for event in recorded:
            handler = handlers.get(event.type)
            if handler is not None:
                state = handler(state, event)
    else:
        assert fold is not None
        state = local_fold(fold).apply(None, recorded, stream=stream).state
    return Given(state, len(recorded))


def _record(event: Event, version: int, stream: str) -> RecordedEvent:
    recorded_at = to_timestamp(_BEGIN + dt.timedelta(seconds=version), "recorded_at")
    occurred_at = event.occurred_at
    message = pb.RecordedEvent(
        id=event.id,
        stream=stream,
        type=event.type,
        version=version,
        position=version,
        recorded_at=recorded_at,
        occurred_at=recorded_at
        if occurred_at is None
        else to_timestamp(occurred_at, "occurred_at"),
        writer=_WRITER,
        data=event.data_json,
        metadata=event.metadata_json or b"{}",
        tags=sorted(set(event.tags), key=str.encode),
        flags=pb.EVENT_FLAG_VALIDATED_V1,
    )
    return RecordedEvent(message.SerializeToString())


class Given:
    """An aggregate as it is before the decision.

    Attributes:
        state: its state.
        version: the number of its events.
    """

    def __init__(self, state: Any, version: int) -> None:
        self.state = state
        self.version = version

    def when(self, decide: Decide) -> "Outcome":
        """Calls `decide(state)` with a copy of the state, and keeps what it gives or raises."""
        try:
            events: object = decide(copy.deepcopy(self.state))
        except Exception as error:  # noqa: BLE001 - `then` says whether it was expected
            return Outcome(error=error)
        if inspect.iscoroutine(events):
            events.close()
            raise TypeError("decide is a coroutine function; let it return its events at once")
        if not isinstance(events, Iterable):
            raise TypeError(f"decide must return events, not {events!r}")
        try:
            return Outcome(events=list(events))
        except Exception as error:  # noqa: BLE001 - a generator raises only now
            return Outcome(error=error)


class Outcome:
    """What a decision came to.

    Attributes:
        events: the events that it gave; empty if it raised.
        error: what it raised, or None.
    """

    def __init__(self, events: list[Event] | None = None, error: Exception | None = None) -> None:
        self.events = events or []
        self.error = error

    def then(self, expected: Iterable[Event] | Event | type[Exception] | Exception = ()) -> None:
        """Checks what the decision came to.

        Events are equal if type, data, metadata and tags are, by value: 1 and 1.0 are equal, as
        are objects whose keys stand in another order; `occurred_at` counts if the expected event
        names it, ids do not.

        Args:
            expected: the events, in order; empty, the default: none. Or the class of the error
                that was to be raised, or an error of the same class and text.

        Raises:
            AssertionError: it came to something else; the text shows the difference.
        """
        __tracebackhide__ = True
        if isinstance(expected, type | Exception):
            self._check_error(expected)
            return
        if self.error is not None:
            text = f"decide raised {self.error!r}, and was expected to return events"
            raise AssertionError(text) from self.error
        wanted = [expected] if isinstance(expected, Event) else list(expected)
        if len(wanted) == len(self.events) and all(map(_same_event, wanted, self.events)):
            return
        # A time is shown, and compared, where the expected event names one.
        times = [event.occurred_at is not None for event in wanted]
        difference = difflib.ndiff(_all_lines(wanted, times), _all_lines(self.events, times))
        raise AssertionError(
            f"decide returned {len(self.events)} events, {len(wanted)} were expected; "
            "- expected, + returned:\n" + "\n".join(line.rstrip() for line in difference)
        )

    def _check_error(self, expected: type[Exception] | Exception) -> None:
        __tracebackhide__ = True
        cls = expected if isinstance(expected, type) else type(expected)
        if self.error is None:
            returned = "\n".join(line for event in self.events for line in _lines(event, False))
            raise AssertionError(
                f"decide was expected to raise {cls.__name__}, and returned "
                f"{len(self.events)} events\n{returned}".rstrip()
            )
        is_wanted = isinstance(self.error, cls)
        if not isinstance(expected, type):
            is_wanted = is_wanted and str(self.error) == str(expected)
        if not is_wanted:
            wanted = cls.__name__ if isinstance(expected, type) else repr(expected)
            text = f"decide raised {self.error!r}, and was expected to raise {wanted}"
            raise AssertionError(text) from self.error


def _same(one: Any, two: Any) -> bool:
    """Equality of JSON values: numbers by value, but no number is a boolean."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    return bool(one == two)


def _same_event(wanted: Event, found: Event) -> bool:
    return (
        wanted.type == found.type
        and _same(decode(wanted.data_json), decode(found.data_json))
        and _same(decode(wanted.metadata_json), decode(found.metadata_json))
        and set(wanted.tags) == set(found.tags)
        and (wanted.occurred_at is None or wanted.occurred_at == found.occurred_at)
    )


def _all_lines(events: list[Event], times: list[bool]) -> list[str]:
    with_time = [*times, *([False] * len(events))]
    pairs = zip(events, with_time, strict=False)
    return [line for event, timed in pairs for line in _lines(event, timed)]


def _lines(event: Event, with_time: bool) -> list[str]:
    """An event for people: its type, then what it holds, keys sorted."""
    parts = {"data": decode(event.data_json)}
    if event.metadata_json:
        parts["metadata"] = decode(event.metadata_json)
    if event.tags:
        parts["tags"] = sorted(set(event.tags))
    if with_time:
        parts["occurred_at"] = event.occurred_at
    lines = [event.type]
    for name, value in parts.items():
        text = pprint.pformat(value, width=60).splitlines()
        lines.append(f"    {name}: {text[0]}")
        lines += [f"    {' ' * len(name)}  {line}" for line in text[1:]]
    return lines
