"""From a failed gRPC call to an error of the SDK, and whether to try again."""

import random
from collections.abc import Callable

from google.rpc import code_pb2, error_details_pb2, status_pb2

from eventfold._core import CallError
from eventfold._errors import ConnectionFailed, EventfoldError, UnexpectedAnswer
from eventfold._generated.errors import (
    BY_REASON,
    DeadlineExceeded,
    OutcomeUnknown,
    PermissionDenied,
    SchemaViolation,
    ShuttingDown,
    StateNotCarried,
    StorageUnavailable,
    Unauthenticated,
)
from eventfold._methods import Safety
from eventfold._violations import Violation

ATTEMPTS_MAX = 5
_BACKOFF_FIRST_S = 0.05
_BACKOFF_MAX_S = 2.0
_CONFLICT_FIRST_S = 0.005
_CONFLICT_MAX_S = 0.25

_DOMAIN = "eventfold"

# Codes that say nothing sure about an append when an earlier attempt may have been stored.
_UNSURE_CODES = {
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "CANCELLED",
    "INTERNAL",
    "UNKNOWN",
}


def _info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            return info
    return None


def _error_info(details: bytes) -> tuple[status_pb2.Status, error_details_pb2.ErrorInfo] | None:
    try:
        status = status_pb2.Status.FromString(details)
        info = _info_of(status)
    except Exception:  # noqa: BLE001 - bytes of an unknown server; any fault means "not ours"
        return None
    return None if info is None else (status, info)


def _of_catalogue(info: error_details_pb2.ErrorInfo, message: str, code: str) -> EventfoldError:
    cls = BY_REASON.get(info.reason)
    if cls is not None:
        return cls._make(message, dict(info.metadata))
    return EventfoldError(message, dict(info.metadata), reason=info.reason, code=code)


def error_from_status(
    status: status_pb2.Status, violations: tuple[Violation, ...] = ()
) -> EventfoldError:
    """The error of a part of an answer; `violations` stand beside it, if the part has them."""
    code = code_pb2.Code.Name(status.code)
    info = _info_of(status)
    if info is None:
        return EventfoldError(status.message, code=code)
    error = _of_catalogue(info, status.message, code)
    if isinstance(error, SchemaViolation):
        error._listed = violations
    return error


def error_from_call(
    error: CallError, target: str, timeout: float, safety: Safety
) -> EventfoldError:
    """The error of a failed call: that of the catalogue, or one of the connection."""
    code, text = error.code, error.message
    found = _error_info(error.details)
    if found is not None:
        status, info = found
        return _of_catalogue(info, status.message or text, code)
    if code == "DEADLINE_EXCEEDED":
        return _no_answer(timeout, safety)
    facts = {"target": target}
    if code in ("UNAVAILABLE", "CANCELLED"):
        return ConnectionFailed(f"{target}: {text or code}", facts)
    if code == "UNAUTHENTICATED":
        return Unauthenticated(text)
    if code == "PERMISSION_DENIED":
        return PermissionDenied(text)
    return UnexpectedAnswer(
        f"{target} answered {code} without a reason of eventfold: {text}", facts, code=code
    )


def _no_answer(timeout: float, safety: Safety) -> EventfoldError:
    text = f"no answer within {timeout:g} s"
    if safety is Safety.READ:
        return DeadlineExceeded(text, {"deadline_ms": round(timeout * 1000)})
    # DEADLINE_EXCEEDED of the server means "surely not stored", which is not known here.
    return OutcomeUnknown(f"{text}; it may be stored or not, and may be repeated")


def unanswered(timeout: float, is_sent: bool) -> EventfoldError:
    """The error of an append of a session whose time is over."""
    if is_sent:
        return _no_answer(timeout, Safety.APPEND)
    facts = {"deadline_ms": round(timeout * 1000)}
    return DeadlineExceeded(f"it was not sent within {timeout:g} s; nothing was stored", facts)


def is_unknown(error: CallError) -> bool:
    """Whether the server does not know the method."""
    return error.code == "UNIMPLEMENTED"


def is_retryable(error: EventfoldError, safety: Safety) -> bool:
    """Whether the same request may be sent again, and has a chance to succeed."""
    if safety is Safety.WRITE:
        return isinstance(error, StorageUnavailable | ShuttingDown)
    return error.code == "UNAVAILABLE"


def may_be_done(error: EventfoldError) -> bool:
    """Whether the failed attempt may have changed something."""
    return isinstance(error, OutcomeUnknown | ConnectionFailed)


def final_error(error: EventfoldError, safety: Safety, was_unsure: bool) -> EventfoldError:
    """The error to raise after the last attempt.

    "Nothing was stored" of the last attempt says nothing about the attempts before it.
    """
    unsure = error.code in _UNSURE_CODES and not may_be_done(error)
    if safety is Safety.READ or not was_unsure or not unsure:
        return error
    return OutcomeUnknown(
        f"an attempt broke, and its repetition failed with {error}; the same events may be "
        "appended again",
        error.facts,
    )


def backoff_s(failures: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after so many failures in a row; between half and all of a doubling pause,
    so that clients that failed together do not come back together.
    """
    # Failures may go on for days, and a power of 2 beyond 1,023 is no float.
    pause = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 100))
    return pause * uniform(0.5, 1.0)


def conflict_pause_s(conflicts: int) -> float:
    """Seconds to wait before deciding again: any part of a doubling pause."""
    return random.uniform(0.0, min(_CONFLICT_MAX_S, _CONFLICT_FIRST_S * 2.0**conflicts))


def not_opened(stream: str, predecessor: str) -> StateNotCarried:
    """The error of Python handlers that passed over the opening event of a stream."""
    return StateNotCarried(
        f"no handler takes the event that opened {stream}, which carries states of folds alone",
        {"stream": stream, "problem": "not_carried", "predecessor": predecessor},
    )
