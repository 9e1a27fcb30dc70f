"""What the database decided against an append, as the refusal that callers get."""

from eventfold import _core
from eventfold_server.errors import Refusal


def refusal_of(decision: _core.Decision) -> Refusal:
    """The refusal of a part of an append, or of a check."""
    stream = decision.stream
    match decision.outcome:
        case "conflict":
            wanted = str(decision.expected) if decision.expected >= 0 else "exists"
            return Refusal(
                "VERSION_CONFLICT",
                f"expected version {wanted}, the stream is at {decision.actual_version}",
                stream=stream,
                expected=wanted,
                actual=decision.actual_version,
            )
        case "reused":
            return Refusal(
                "EVENT_ID_REUSED",
                "ids of this append are stored already, but not as this append",
                event_id=decision.event_id,
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
