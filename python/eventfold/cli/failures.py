"""From an error to one line on stderr and an exit code; `docs/cli.md` has the table."""

import enum
import os
import sys
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from eventfold import ConnectionFailed, EventfoldError, Violation
from eventfold._violations import violations_of_fact
from eventfold.cli.text import one_line


class ExitCode(enum.IntEnum):
    """What a shell or a program branches on."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    CONFLICT = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    INVALID_INPUT = 6
    NOT_ALLOWED = 7
    NOT_STARTED = 8
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


# By gRPC status code, so that reasons of a newer server have a place too.
_BY_CODE = {
    "ABORTED": ExitCode.CONFLICT,
    "ALREADY_EXISTS": ExitCode.CONFLICT,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "OUT_OF_RANGE": ExitCode.NOT_FOUND,
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
    "RESOURCE_EXHAUSTED": ExitCode.UNAVAILABLE,
    "INVALID_ARGUMENT": ExitCode.INVALID_INPUT,
    "UNAUTHENTICATED": ExitCode.NOT_ALLOWED,
    "PERMISSION_DENIED": ExitCode.NOT_ALLOWED,
}
_BY_REASON = {"INSECURE_CONNECTION": ExitCode.NOT_ALLOWED}


class Failure(Exception):
    """An error that a command finds by itself."""

    def __init__(
        self,
        reason: str,
        message: str,
        exit_code: ExitCode,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = exit_code
        self.facts = {name: str(value) for name, value in (facts or {}).items()}


def exit_code_of(error: EventfoldError) -> ExitCode:
    """The exit code that a refusal leads to."""
    return _BY_REASON.get(error.reason) or _BY_CODE.get(error.code, ExitCode.REFUSED)


def describe(reason: str, message: str, facts: Mapping[str, str]) -> str:
    """`error: REASON: message (facts)`, on one line; an excerpt, or violations of schemas, follow
    on lines of their own.
    """
    shown = ", ".join(
        f"{name}={one_line(value)}"
        for name, value in facts.items()
        if name not in ("excerpt", "violations")
    )
    line = f"error: {reason}: {one_line(message)}" + (f" ({shown})" if shown else "")
    rows = facts.get("excerpt", "").rstrip().splitlines()
    rows += [violation_line(one) for one in violations_of_fact(facts.get("violations"))]
    return "\n".join([line, *(f"  {one_line(row)}" for row in rows)])


def violation_line(one: Violation) -> str:
    """Where an event does not fit its schema, in a line."""
    return f"event {one.event_index} at {one.pointer or 'the whole'}: {one.message} ({one.rule})"


def report(reason: str, message: str, facts: Mapping[str, str] | None = None) -> None:
    """Prints an error to stderr."""
    print(describe(reason, message, facts or {}), file=sys.stderr, flush=True)


def _report_usage(error: typer.TyperException) -> ExitCode:
    if not error.format_message():
        # A group without a command: its help has been printed.
        return ExitCode.USAGE
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    report("USAGE", error.format_message().rstrip(".") + hint)
    return ExitCode.USAGE


def _report_any(error: Exception) -> ExitCode:
    """Reports an error of any kind that a command can meet; raises those that are bugs."""
    if isinstance(error, Failure):
        report(error.reason, error.message, error.facts)
        return error.exit_code
    if isinstance(error, EventfoldError):
        message = error.message
        if isinstance(error, ConnectionFailed):
            message += "; is a server running? `eventfold serve` starts one"
        report(error.reason, message, error.facts)
        return exit_code_of(error)
    if isinstance(error, typer.TyperException):
        return _report_usage(error)
    if isinstance(error, _OutputClosed | BrokenPipeError):
        # Python would complain again when it flushes stdout on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OUTPUT_CLOSED
    if isinstance(error, UnicodeEncodeError):
        # Arguments of the process may hold any bytes; texts of the store are UTF-8.
        report("INVALID_VALUE", f"{error.object!r} is not UTF-8")
        return ExitCode.INVALID_INPUT
    if isinstance(error, OSError):
        facts = {"file": str(error.filename)} if error.filename else {}
        report("FILE", error.strerror or str(error), facts)
        return ExitCode.INVALID_INPUT
    raise error


class _OutputClosed(Exception):
    """Whoever read stdout has closed it; typer would end the process for a BrokenPipeError."""


class Commands(TyperGroup):
    """The group of all commands: whatever goes wrong in one ends here."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _OutputClosed from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs a command and ends the process with its exit code."""
        is_standalone = kwargs.pop("standalone_mode", True)
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
            sys.stdout.flush()
        except typer.Abort:
            code = ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001 - bugs are raised again
            code = _report_any(error)
        code = code if isinstance(code, int) else ExitCode.DONE
        if is_standalone:
            sys.exit(int(code))
        return int(code)
