"""Cancelling events that were wrong: an append of the cancellation and, with it, what would have
been right. What is cancelled once, and what never, the database decides.
"""

import json
from collections.abc import Callable
from uuid import UUID

from eventfold import _core
from eventfold_server import failpoints
from eventfold_server.domain.append import Appender
from eventfold_server.domain.refusals import refusal_of
from eventfold_server.domain.requests import Caller, invalid, text
from eventfold_server.errors import Refusal
from eventfold_server.limits import COMPENSATION_REASON_BYTES_MAX
from eventfold_server.storage.appends import AppendStorage, NotCancellable, StoredAppend

# Behind the type of the cancelled event: the type of the cancellation, where it has no other.
TYPE_SUFFIX = "Cancelled"

# What became of a compensation that is stored.
Stored = StoredAppend


class Compensations:
    """Cancels events of one store."""

    def __init__(
        self, storage: AppendStorage, appender: Appender, committed: Callable[[int], object]
    ) -> None:
        """`committed` gets the position that the log has reached with a cancellation."""
        self._storage = storage
        self._appender = appender
        self._committed = committed

    async def type_for(self, event_id: UUID) -> str:
        """The type of a cancellation that names none."""
        cancelled = await self._storage.type_of(event_id)
        if cancelled is None:
            raise _refusal(NotCancellable("no_event", None), event_id, "")
        if cancelled.startswith("$"):
            # Of no append of a client; the database says which reason is the one.
            return TYPE_SUFFIX
        return cancelled + TYPE_SUFFIX

    async def compensate(
        self, caller: Caller, request: bytes, event_id: UUID
    ) -> tuple[Stored, list[str]]:
        """Stores the cancellation and the correction in a serialised `AppendRequest`; where they
        stand, and their ids.
        """
        append = self._appender.checked(caller, request)
        failpoints.reach("before_compensation")
        outcome = await self._appender.under_rules(
            [append], lambda: self._storage.compensate(append, event_id)
        )
        if isinstance(outcome, NotCancellable):
            raise _refusal(outcome, event_id, append.stream)
        if isinstance(outcome, _core.Decision):
            raise refusal_of(outcome)
        if not outcome.duplicate:
            failpoints.reach("compensated")
            self._committed(outcome.positions[-1])
        return outcome, append.ids


def cancellation_data(event_id: UUID, reason: str) -> bytes:
    """The data of a cancellation; always the same bytes, by which a repeated call is known."""
    if not text("reason", reason).strip():
        raise invalid("reason", "is required")
    if len(reason.encode()) > COMPENSATION_REASON_BYTES_MAX:
        raise invalid(
            "reason",
            f"at most {COMPENSATION_REASON_BYTES_MAX} bytes",
            COMPENSATION_REASON_BYTES_MAX,
        )
    data = {"reasonEventId": str(event_id), "reason": reason}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _refusal(found: NotCancellable, event_id: UUID, stream: str) -> Refusal:
    """The refusal of an event that cannot be cancelled."""
    match found.outcome:
        case "no_event":
            return Refusal("EVENT_NOT_FOUND", "no event has this id", event_id=event_id)
        case "other_stream":
            return Refusal(
                "EVENT_OF_OTHER_STREAM",
                "the event is in another stream",
                event_id=event_id,
                stream=found.fact,
            )
        case "cancellation":
            return Refusal(
                "CANCELLATION_NOT_CANCELLABLE",
                "the event cancels another one, and cannot be cancelled",
                event_id=event_id,
                stream=stream,
            )
        case "fixed":
            return Refusal(
                "EVENT_NOT_CANCELLABLE",
                "events that open or close a stream, and those of the system, stay",
                event_id=event_id,
                type=found.fact,
                stream=stream,
            )
        case "cancelled":
            return Refusal(
                "EVENT_ALREADY_CANCELLED",
                "another event cancels this one already",
                event_id=event_id,
                cancelled_by=found.fact,
                stream=stream,
            )
    raise AssertionError(f"unknown outcome {found.outcome}")
