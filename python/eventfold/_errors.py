"""The base of all errors, and the errors that the SDK itself finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class EventfoldError(Exception):
    """A call was refused, or failed.

    Each reason of the catalogue has a class of its own, named after it: `VERSION_CONFLICT` is
    `VersionConflict`. A reason that this version of the SDK does not know (the server is newer)
    arrives as `EventfoldError` itself. Branch on the class or on `reason`; never on the message.

    Attributes:
        reason: name of the reason, such as `VERSION_CONFLICT`.
        message: prose for people. Default: the first paragraph of the class's docstring.
        facts: the facts of the reason by name, as strings; the classes have typed attributes.
        code: name of the gRPC status code, such as `ABORTED`.
    """

    reason: str = "UNKNOWN"
    code: str = "UNKNOWN"
    message: str
    facts: Mapping[str, str]

    def __init__(
        self,
        message: str = "",
        facts: Mapping[str, object] | None = None,
        *,
        reason: str | None = None,
        code: str | None = None,
    ) -> None:
        self._fill(message, facts, reason, code)

    def _fill(
        self,
        message: str,
        facts: Mapping[str, object] | None,
        reason: str | None = None,
        code: str | None = None,
    ) -> None:
        self.message = message or _first_paragraph(type(self).__doc__ or "")
        self.facts = {name: str(value) for name, value in (facts or {}).items()}
        if reason is not None:
            self.reason = reason
        if code is not None:
            self.code = code
        self.args = (self.message,)

    @classmethod
    def _make(
        cls,
        message: str,
        facts: Mapping[str, object],
        reason: str | None = None,
        code: str | None = None,
    ) -> "EventfoldError":
        """Builds an error past the constructors, whose parameters differ by class."""
        error = cls.__new__(cls)
        error._fill(message, facts, reason, code)
        return error

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def __repr__(self) -> str:
        facts = "".join(f", {name}={value!r}" for name, value in self.facts.items())
        return f"{type(self).__name__}({self.message!r}{facts})"

    def __reduce__(self) -> tuple[Any, ...]:
        kept = (type(self), self.message, dict(self.facts), self.reason, self.code)
        return _remake, kept

    def _text(self, name: str) -> str | None:
        return self.facts.get(name)

    def _number(self, name: str) -> int | None:
        text = self.facts.get(name, "")
        return int(text) if text.lstrip("-").isdecimal() else None


def _remake(
    cls: type[EventfoldError], message: str, facts: Mapping[str, str], reason: str, code: str
) -> EventfoldError:
    return cls._make(message, facts, reason, code)


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


class InvalidValue(EventfoldError, ValueError):
    """A value that was handed to the SDK cannot be sent, or one that it received cannot be read.

    Found by the SDK before anything is sent: NaN in event data, a time without a time zone, a
    text that is no UUID.
    """

    reason = "INVALID_VALUE"
    code = "INVALID_ARGUMENT"

    @property
    def path(self) -> str | None:
        """Where in the value the fault is, such as `items[2].price`."""
        return self._text("path")

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""
        return self._text("problem")


class ConnectionFailed(EventfoldError, ConnectionError):
    """The server cannot be reached, or the connection broke before an answer came.

    Calls that are safe to repeat have been repeated. A call that changes something may have been
    done or not; an append may be repeated with the same `Event` objects, and is stored once.
    """

    reason = "CONNECTION_FAILED"
    code = "UNAVAILABLE"

    @property
    def target(self) -> str | None:
        """Address that was called."""
        return self._text("target")


class UnexpectedAnswer(EventfoldError, ConnectionError):
    """What answered does not speak the eventfold protocol, or speaks another version of it.

    `code` has the gRPC status code that came; UNIMPLEMENTED from a gRPC server of another kind.
    """

    reason = "UNEXPECTED_ANSWER"
    code = "UNKNOWN"

    @property
    def target(self) -> str | None:
        """Address that was called."""
        return self._text("target")


class InsecureConnection(EventfoldError, PermissionError):
    """A token would travel in plain text to another machine.

    Use `tls=True`, or say `insecure=True` if something else protects the way there.
    """

    reason = "INSECURE_CONNECTION"
    code = "FAILED_PRECONDITION"

    @property
    def target(self) -> str | None:
        """Address that was to be called."""
        return self._text("target")


class StateMismatch(EventfoldError, ValueError):
    """A state does not fit the class that was named by `into`.

    A field is missing or has another type, or there is no state, because the fold deleted the
    aggregate: look at `exists` first. The message names types, never values.
    """

    reason = "STATE_MISMATCH"
    code = "FAILED_PRECONDITION"

    @property
    def model(self) -> str | None:
        """Name of the class."""
        return self._text("model")

    @property
    def path(self) -> str | None:
        """Where in the state the fault is, such as `items[2].price`; empty: the whole state."""
        return self._text("path")

    @property
    def problem(self) -> str | None:
        """What is wrong there."""
        return self._text("problem")


class ChecksFailed(EventfoldError):
    """An append to several streams was refused, and nothing was stored.

    `failed` lists every demand that was not met, with the version at which its stream is.
    """

    reason = "CHECKS_FAILED"
    code = "ABORTED"
    failed: "tuple[FailedCheck, ...]" = ()

    @classmethod
    def _of(cls, failed: "tuple[FailedCheck, ...]") -> "ChecksFailed":
        first = failed[0] if failed else None
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        error = cls(
            f"{first.error.message if first else 'the server does not say why'}{more}",
            {"failed": len(failed)},
        )
        error.failed = failed
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._of, (self.failed,)


@dataclass(frozen=True)
class FailedCheck:
    """A demand on one stream that the store did not meet.

    Attributes:
        stream: name of the stream.
        actual_version: the version at which it is.
        error: why, as `append` would have raised it: `VersionConflict`, `EventIdReused`,
            `StreamClosed`, `StreamDeleted`, `SchemaViolation`, `MappingFailed` or
            `ReferenceNotFound`.
        append_index: its place among the appends, from 0; None: it is one of the checks.
        check_index: its place among the checks, from 0; None: it is one of the appends.
    """

    stream: str
    actual_version: int
    error: EventfoldError
    append_index: int | None = None
    check_index: int | None = None
