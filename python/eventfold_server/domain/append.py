"""Appending: every check before the database, the decision in it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, chain

from eventfold import _core
from eventfold_server.domain.refusals import refusal_of
from eventfold_server.domain.requests import (
    Caller,
    invalid,
    readable_stream_name,
    to_datetime,
)
from eventfold_server.errors import Refusal
from eventfold_server.limits import APPEND_BYTES_MAX, APPEND_CHECKS_MAX, APPEND_EVENTS_MAX
from eventfold_server.storage.appends import (
    Append,
    AppendStorage,
    Decision,
    StreamAppend,
    StreamCheck,
)
from eventfold_server.storage.writer import Waiting, Writer

EXISTS = -1
ANY = -2


# Not frozen, as those of storage/appends.py.


@dataclass(slots=True)
class NewEvents:
    """The events of an append to one stream as they came in, one list a column."""

    stream: str
    # None: the request says nothing.
    expected: int | None
    ids: list[str]
    types: list[str]
    data: list[bytes]
    metadata: list[bytes]
    tags: list[list[str]]
    # Microseconds since 1970.
    occurred_us: list[int | None]


@dataclass(slots=True)
class Appended:
    """Where the events of an append stand."""

    first_version: int
    positions: Sequence[int]
    # Empty when the caller named all ids.
    ids: list[str]
    duplicate: bool
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A part of an append to several streams, or a check of it, that the store refused."""

    append_index: int | None
    check_index: int | None
    stream: str
    actual_version: int
    refusal: Refusal


class Appender:
    """Appends to the streams of one store."""

    def __init__(self, storage: AppendStorage, writer: Writer) -> None:
        self._storage = storage
        self._writer = writer

    async def append(self, caller: Caller, events: NewEvents) -> Appended:
        """Appends all of the events, or none; see the proto for the refusals."""
        part, size = _checked(events)
        [decision] = await self._writer.store(self._append(caller, [part], []), size)
        return _outcome(decision, part, events)

    def start(self, caller: Caller, events: NewEvents) -> "Started":
        """Begins an append and does not wait for it."""
        part, size = _checked(events)
        return Started(self._writer.submit(self._append(caller, [part], []), size), part, events)

    async def append_many(
        self, caller: Caller, appends: Sequence[NewEvents], checks: Sequence[tuple[str, int | None]]
    ) -> list[Appended] | list[FailedCheck]:
        """Appends to all of the streams if all of the checks hold; else says what failed."""
        parts, demands, size = _checked_many(appends, checks)
        decisions = await self._writer.store(self._append(caller, parts, demands), size)
        failed = [
            _failed(decision, parts, demands)
            for decision in decisions
            if decision.outcome not in ("append", "duplicate")
        ]
        if failed:
            return failed
        return [
            _appended(decision, part, events)
            for decision, part, events in zip(decisions, parts, appends, strict=True)
        ]

    async def check(self, events: NewEvents) -> Decision:
        """What `append` would decide now: an outcome of `append` or `duplicate`, or a refusal."""
        part, _ = _checked(events)
        decision = await self._storage.check(
            part.stream, part.expected, part.ids, part.sent_digests
        )
        if decision.outcome not in ("append", "duplicate"):
            raise refusal_of(decision, part)
        return decision

    def _append(
        self, caller: Caller, parts: Sequence[StreamAppend], checks: Sequence[StreamCheck]
    ) -> Append:
        return Append(
            parts, checks, caller.writer, caller.trace_context, self._writer.catalogue_version
        )


class Started:
    """An append that goes on by itself."""

    __slots__ = ("_events", "_part", "_waiting")

    def __init__(self, waiting: Waiting, part: StreamAppend, events: NewEvents) -> None:
        self._waiting = waiting
        self._part = part
        self._events = events

    def when_decided(self, then: Callable[[], None]) -> None:
        """Calls back once `result` has an answer."""
        self._waiting.answer.add_done_callback(lambda _: then())

    def withdraw(self, refusal: Refusal) -> None:
        """Ends it with the refusal if it is not under way: it is surely not stored then."""
        self._waiting.withdraw(refusal)

    def result(self) -> Appended:
        """Where the events stand; raises the refusal."""
        [decision] = self._waiting.answer.result()
        return _outcome(decision, self._part, self._events)


def _checked(events: NewEvents) -> tuple[StreamAppend, int]:
    """The append as it is stored, and its size in bytes."""
    try:
        category = _core.check_stream_name(events.stream)
        if events.expected is None:
            raise Refusal(
                "EXPECTED_VERSION_REQUIRED",
                "an append names the version that it was decided on, `exists` or `any`",
                stream=events.stream,
            )
        checked = _core.check_append(
            events.stream,
            events.ids,
            events.types,
            events.data,
            events.metadata,
            events.tags,
            events.occurred_us,
        )
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None
    part = StreamAppend(
        stream=events.stream,
        category=category,
        expected=events.expected,
        ids=[id_ or _core.uuid7() for id_ in checked.ids],
        types=events.types,
        data=events.data,
        metadata=checked.metadata,
        tags=list(chain.from_iterable(checked.tags)),
        tag_ends=list(accumulate(map(len, checked.tags))),
        occurred_at=[None if us is None else to_datetime(us).isoformat()
                     for us in events.occurred_us],
        flags=checked.flags,
        sent_digests=checked.sent_digests,
        stored_digests=checked.stored_digests,
    )  # fmt: skip
    return part, checked.total_bytes


def _checked_many(
    appends: Sequence[NewEvents], checks: Sequence[tuple[str, int | None]]
) -> tuple[list[StreamAppend], list[StreamCheck], int]:
    """The parts and the checks of an append to several streams, held to one append's limits, and
    its size in bytes.
    """
    if not appends:
        raise Refusal("EMPTY_APPEND", "the append names no stream to append to")
    events = sum(len(part.types) for part in appends)
    if events > APPEND_EVENTS_MAX:
        raise Refusal(
            "TOO_MANY_EVENTS",
            f"the append holds {events} events; at most {APPEND_EVENTS_MAX} are allowed",
            limit=APPEND_EVENTS_MAX,
            actual=events,
        )
    if len(checks) > APPEND_CHECKS_MAX:
        raise invalid("checks", f"at most {APPEND_CHECKS_MAX} checks", APPEND_CHECKS_MAX)
    parts: list[StreamAppend] = []
    demands: list[StreamCheck] = []
    streams: set[str] = set()
    ids: set[str] = set()
    size = 0
    for index, new in enumerate(appends):
        with placed(append_index=index):
            part, part_bytes = _checked(new)
            size += part_bytes
            _once(new.stream, streams, "appends")
            _ids_once(part.ids, ids)
        parts.append(part)
    for index, (stream, expected) in enumerate(checks):
        with placed(check_index=index):
            demands.append(_checked_check(stream, expected))
            size += len(stream.encode())
            _once(stream, streams, "checks")
    if size > APPEND_BYTES_MAX:
        raise Refusal(
            "APPEND_TOO_LARGE",
            f"the append has {size} bytes; at most {APPEND_BYTES_MAX} are allowed",
            limit=APPEND_BYTES_MAX,
            actual=size,
        )
    return parts, demands, size


@contextlib.contextmanager
def placed(**place: int) -> Iterator[None]:
    """Says in a refusal which of several appends or checks it concerns."""
    try:
        yield
    except Refusal as refusal:
        _place(refusal, **place)
        raise


def _place(refusal: Refusal, **place: int | None) -> None:
    refusal.facts |= {name: str(index) for name, index in place.items() if index is not None}


def _checked_check(stream: str, expected: int | None) -> StreamCheck:
    readable_stream_name(stream)
    if expected is None:
        raise Refusal(
            "EXPECTED_VERSION_REQUIRED",
            "a check names the version that the decision was made on, or `exists`",
            stream=stream,
        )
    if expected == ANY:
        raise invalid("checks.expected_version", "`any` demands nothing")
    return StreamCheck(stream, expected)


def _once(stream: str, streams: set[str], field: str) -> None:
    if stream in streams:
        raise invalid(field, "a stream stands twice in the request")
    streams.add(stream)


def _ids_once(ids: Sequence[str], seen: set[str]) -> None:
    for index, event_id in enumerate(ids):
        if event_id in seen:
            raise Refusal(
                "EVENT_ID_REUSED",
                f"the event id {event_id} stands twice in the append",
                event_id=event_id,
                event_index=index,
                problem="twice_in_append",
            )
    seen.update(ids)


def _outcome(decision: Decision, part: StreamAppend, events: NewEvents) -> Appended:
    if decision.outcome not in ("append", "duplicate"):
        raise refusal_of(decision, part)
    return _appended(decision, part, events)


def _appended(decision: Decision, part: StreamAppend, events: NewEvents) -> Appended:
    assert decision.first_version is not None
    assert decision.positions is not None
    assert decision.recorded_at is not None
    return Appended(
        first_version=decision.first_version,
        positions=decision.positions,
        ids=[] if all(events.ids) else part.ids,
        duplicate=decision.outcome == "duplicate",
        recorded_at=decision.recorded_at,
    )


def _failed(
    decision: Decision, parts: Sequence[StreamAppend], checks: Sequence[StreamCheck]
) -> FailedCheck:
    demand: StreamAppend | StreamCheck
    if decision.check is None:
        assert decision.part is not None
        demand = parts[decision.part]
    else:
        demand = checks[decision.check]
    refusal = refusal_of(decision, demand)
    _place(refusal, append_index=decision.part, check_index=decision.check)
    return FailedCheck(
        decision.part, decision.check, demand.stream, decision.actual_version, refusal
    )
