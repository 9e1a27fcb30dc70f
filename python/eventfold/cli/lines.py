"""Files of JSON lines: an event a line, numbers kept as they are written."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import typer

from eventfold import Event, EventFlags, EventfoldError
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.text import dump_exactly, parse_exactly
from eventfold.cli.values import moment

STDIN = "-"
# An event with all of its parts is below 1.2 MiB; escapes can make its line six times as long.
LINE_BYTES_MAX = 8 << 20
_FIELDS = {"type", "data", "metadata", "tags", "id", "occurred_at"}
# What `read --json` prints on top, and the server sets: passed over, so that its output can be
# imported.
_PASSED_OVER = {
    "version",
    "position",
    "recorded_at",
    "writer",
    "flags",
    "copied_from",
    "cancels",
    "trace_context",
    "deleted",
}


@dataclass(frozen=True)
class Line:
    """One line: a JSON object with known fields."""

    file: str
    number: int
    fields: dict[str, Any]

    def failure(self, problem: str) -> Failure:
        """An error at this line."""
        return _failure(self.file, self.number, problem)

    def text(self, name: str) -> str:
        """A field that must be there, and be a text."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.failure(f"`{name}` is missing or is no text")
        return value


def _failure(file: str, number: int, problem: str) -> Failure:
    return Failure("INVALID_LINE", problem, ExitCode.INVALID_INPUT, {"file": file, "line": number})


def read_lines(name: str, *, has_stream: bool = False) -> Iterator[Line]:
    """The lines of a file (`-`: of stdin); empty ones are skipped, but counted.

    Raises:
        Failure: a line is no JSON object, or has a field that no event has.
        OSError: the file cannot be read.
    """
    with ExitStack() as stack:
        file = sys.stdin.buffer if name == STDIN else stack.enter_context(Path(name).open("rb"))
        yield from parse_lines(file, "stdin" if name == STDIN else name, has_stream=has_stream)


def parse_lines(file: BinaryIO, name: str, *, has_stream: bool = False) -> Iterator[Line]:
    """The lines of an open file; see `read_lines`."""
    known = _FIELDS | _PASSED_OVER | ({"stream"} if has_stream else set())
    number = 0
    while raw := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(raw) > LINE_BYTES_MAX:
            raise _failure(name, number, f"the line is longer than {LINE_BYTES_MAX} bytes")
        if not raw.strip():
            continue
        try:
            fields = parse_exactly(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError) as error:
            raise _failure(name, number, f"not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise _failure(name, number, "not a JSON object")
        if unknown := sorted(fields.keys() - known):
            raise _failure(name, number, f"no event has a field `{unknown[0]}`")
        yield Line(name, number, fields)


def _is_mapped(flags: Any) -> bool:
    try:
        return bool(EventFlags(int(dump_exactly(flags))) & EventFlags.MAPPED)
    except ValueError:
        # Not what `read` prints: passed over like the rest of what the server sets.
        return False


def event_of_line(line: Line, default_id: uuid.UUID | None = None) -> Event:
    """The event of a line.

    Raises:
        Failure: a field has a value that it cannot have.
    """
    fields = line.fields
    if fields.get("deleted") is True:
        raise line.failure("the payload was deleted, so the event cannot be stored again")
    if _is_mapped(fields.get("flags")):
        raise line.failure(
            "the data is what a mapping made of it, not what is stored: read it with --raw"
        )
    for name in ("data", "metadata"):
        if not isinstance(fields.get(name, {}), dict):
            raise line.failure(f"`{name}` is no JSON object")
    tags = fields.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise line.failure("`tags` is no list of texts")
    try:
        return Event(
            line.text("type"),
            dump_exactly(fields.get("data", {})),
            dump_exactly(fields["metadata"]) if fields.get("metadata") else None,
            tags,
            line.text("id") if "id" in fields else default_id,
            moment(line.text("occurred_at")) if "occurred_at" in fields else None,
        )
    except (EventfoldError, typer.BadParameter, TypeError) as error:
        problem = error.message if hasattr(error, "message") else str(error)
        raise line.failure(problem) from None
