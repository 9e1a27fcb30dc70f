"""Appending: every check before the database, the decision in it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from eventfold import _core
from eventfold._uuid7 import uuid7
from eventfold_server.domain.requests import Caller, to_datetime
from eventfold_server.errors import Refusal
from eventfold_server.storage.log import AppendColumns, Decision, LogStorage

EXISTS = -1
ANY = -2


@dataclass(frozen=True)
class NewEvents:
    """The events of an append as they came in, one list a column."""

    ids: list[str]
    types: list[str]
    data: list[bytes]
    metadata: list[bytes]
    tags: list[list[str]]
    # Microseconds since 1970.
    occurred_us: list[int | None]


@dataclass(frozen=True)
class Appended:
    """Where the events of an append stand."""

    first_version: int
    positions: Sequence[int]
    # Empty when the caller named all ids.
    ids: list[str]
    duplicate: bool
    recorded_at: datetime


class Appender:
    """Appends to the streams of one store."""

    def __init__(self, log: LogStorage) -> None:
        self._log = log
        # What appends are checked against; the append function refuses an older one as stale.
        self._catalogue_version = 0

    async def append(
        self, caller: Caller, stream: str, expected: int | None, events: NewEvents
    ) -> Appended:
        """Appends all of the events, or none; see the proto for the refusals."""
        category, expected, checked = _check(stream, expected, events)
        columns = self._columns(checked, events)
        while True:
            decision = await self._log.append(
                stream,
                category,
                expected,
                columns,
                caller.writer,
                caller.trace_context,
                self._catalogue_version,
            )
            if decision.outcome != "stale":
                break
            # The rules moved: take the newest ones, and check the events again under them.
            assert decision.catalogue_version is not None
            self._catalogue_version = decision.catalogue_version
        return _answer(decision, stream, expected, columns, "" in checked.ids)

    async def check(self, stream: str, expected: int | None, events: NewEvents) -> Decision:
        """What `append` would decide now: an outcome of `append` or `duplicate`, or a refusal."""
        _, expected, checked = _check(stream, expected, events)
        columns = self._columns(checked, events)
        decision = await self._log.check_append(stream, expected, columns.ids, columns.sent_digests)
        if decision.outcome not in ("append", "duplicate"):
            raise _refusal(decision, stream, expected, columns)
        return decision

    def _columns(self, checked: _core.CheckedAppend, events: NewEvents) -> AppendColumns:
        return AppendColumns(
            ids=[UUID(id_) if id_ else uuid7() for id_ in checked.ids],
            types=events.types,
            data=events.data,
            metadata=checked.metadata,
            tags=list(itertools.chain.from_iterable(checked.tags)),
            tag_ends=list(itertools.accumulate(len(tags) for tags in checked.tags)),
            occurred_at=[None if us is None else to_datetime(us) for us in events.occurred_us],
            flags=checked.flags,
            sent_digests=checked.sent_digests,
            stored_digests=checked.stored_digests,
        )


def _check(
    stream: str, expected: int | None, events: NewEvents
) -> tuple[str, int, _core.CheckedAppend]:
    try:
        category = _core.check_stream_name(stream)
        if expected is None:
            raise Refusal(
                "EXPECTED_VERSION_REQUIRED",
                "an append names the version that it was decided on, `exists` or `any`",
                stream=stream,
            )
        checked = _core.check_append(
            stream,
            events.ids,
            events.types,
            events.data,
            events.metadata,
            events.tags,
            events.occurred_us,
        )
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None
    return category, expected, checked


def _answer(
    decision: Decision, stream: str, expected: int, columns: AppendColumns, made_ids: bool
) -> Appended:
    if decision.outcome not in ("append", "duplicate"):
        raise _refusal(decision, stream, expected, columns)
    assert decision.first_version is not None
    assert decision.positions is not None
    assert decision.recorded_at is not None
    return Appended(
        first_version=decision.first_version,
        positions=decision.positions,
        ids=[str(id_) for id_ in columns.ids] if made_ids else [],
        duplicate=decision.outcome == "duplicate",
        recorded_at=decision.recorded_at,
    )


def _refusal(decision: Decision, stream: str, expected: int, columns: AppendColumns) -> Refusal:
    match decision.outcome:
        case "conflict":
            wanted = "exists" if expected == EXISTS else str(expected)
            return Refusal(
                "VERSION_CONFLICT",
                f"expected version {wanted}, the stream is at {decision.actual_version}",
                stream=stream,
                expected=wanted,
                actual=decision.actual_version,
            )
        case "reused":
            assert decision.differs_at is not None
            return Refusal(
                "EVENT_ID_REUSED",
                "ids of this append are stored already, but not as this append",
                event_id=columns.ids[decision.differs_at],
                event_index=decision.differs_at,
                problem=decision.problem,
                stream=stream,
            )
        case "closed":
            return Refusal(
                "STREAM_CLOSED",
                "the stream is closed",
                stream=stream,
                successor=decision.successor,
            )
        case "deleted":
            return Refusal("STREAM_DELETED", "the stream was deleted", stream=stream)
    raise AssertionError(f"unknown outcome {decision.outcome}")
