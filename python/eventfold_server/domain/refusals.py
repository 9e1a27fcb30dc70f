"""What was decided against an append, as the refusal that callers get."""

from collections.abc import Sequence

from eventfold import _core
from eventfold_server.errors import Refusal


class AgainstRules(Refusal):
    """The refusal of events that the rules in force do not let in."""

    # All places where they do not fit their schemas, where that is why.
    violations: Sequence[_core.Violation] = ()

    @classmethod
    def of_part(cls, part: _core.RefusedPart) -> "AgainstRules":
        """Of a part of an append."""
        refusal = cls.of_core(part.error)
        refusal.violations = part.violations
        return refusal


def violations_of(error: Exception | None) -> Sequence[_core.Violation]:
    """What goes with a refusal in an answer that has room for it."""
    return error.violations if isinstance(error, AgainstRules) else ()


def version_conflict(stream: str, wanted: str, actual: int) -> Refusal:
    """The refusal for a stream that is not at the version wanted, a number or `exists`."""
    return Refusal(
        "VERSION_CONFLICT",
        f"expected version {wanted}, the stream is at {actual}",
        stream=stream,
        expected=wanted,
        actual=actual,
    )


def refusal_of(decision: _core.Decision) -> Refusal:
    """The refusal of a part of an append, or of a check."""
    stream = decision.stream
    if decision.refused_part is not None:
        return AgainstRules.of_part(decision.refused_part)
    match decision.outcome:
        case "conflict":
            wanted = str(decision.expected) if decision.expected >= 0 else "exists"
            return version_conflict(stream, wanted, decision.actual_version)
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
