"""What the database decided against an append, as the refusal that callers get."""

from eventfold_server.errors import Refusal
from eventfold_server.storage.appends import Decision, StreamAppend, StreamCheck


def refusal_of(decision: Decision, demand: StreamAppend | StreamCheck) -> Refusal:
    """The refusal of a part of an append, or of a check."""
    stream = demand.stream
    match decision.outcome:
        case "conflict":
            wanted = str(demand.expected) if demand.expected >= 0 else "exists"
            return Refusal(
                "VERSION_CONFLICT",
                f"expected version {wanted}, the stream is at {decision.actual_version}",
                stream=stream,
                expected=wanted,
                actual=decision.actual_version,
            )
        case "reused":
            assert isinstance(demand, StreamAppend)
            assert decision.differs_at is not None
            return Refusal(
                "EVENT_ID_REUSED",
                "ids of this append are stored already, but not as this append",
                event_id=demand.ids[decision.differs_at],
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
