"""`eventfold import`: files of JSON lines into streams, so that a repetition stores nothing."""

import asyncio
import hashlib
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from eventfold import EventfoldError
from eventfold.cli.connection import Target, with_target
from eventfold.cli.failures import Failure, exit_code_of
from eventfold.cli.import_streams import Counts, Importer, StreamEvents, StreamRefused
from eventfold.cli.lines import STDIN, Line, event_of_line, parse_lines
from eventfold.cli.output import AsJson, Steps, print_fields, print_json, progress_bar

# Lines that are held at once: what stands further apart in the file goes into appends of its own.
_WINDOW_LINES = 50_000
_READ_BYTES = 1 << 20
# Ids of lines that name none. Fixed for ever: another value would import every file again.
_NAMESPACE = uuid.UUID("b5f3c0c5-6d67-5d5c-9c52-0b8f0b7f6a0e")


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """The file; stdin is copied first, because it is read twice."""
    if name != STDIN:
        with Path(name).open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.seek(0)
        yield copy


def _digest_and_lines(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 of the file, and about how many lines it has."""
    digest = hashlib.sha256()
    count = 0
    while chunk := file.read(_READ_BYTES):
        digest.update(chunk)
        count += chunk.count(b"\n")
    file.seek(0)
    return digest.hexdigest(), count


def line_id(file_digest: str, line_number: int) -> uuid.UUID:
    """The id of an event whose line names none: the same for the same line of the same file."""
    return uuid.uuid5(_NAMESPACE, f"{file_digest}:{line_number}")


def _grouped(lines: list[Line], digest: str) -> list[StreamEvents]:
    """Events by stream, in the order of the file."""
    groups: dict[str, StreamEvents] = {}
    for line in lines:
        name = line.text("stream")
        group = groups.get(name)
        if group is None:
            group = groups[name] = StreamEvents(name, [], [])
        group.events.append(event_of_line(line, line_id(digest, line.number)))
        group.lines.append(line.number)
    return list(groups.values())


async def _import(
    target: Target, lines: Iterator[Line], digest: str, in_flight: int, steps: Steps
) -> Counts:
    counts = Counts()
    async with target.async_client() as store:
        importer = Importer(store, counts, in_flight, steps.advance)
        try:
            while window := list(islice(lines, _WINDOW_LINES)):
                await importer.append_all(_grouped(window, digest))
        except (StreamRefused, Failure, EventfoldError) as error:
            raise _stopped(error, counts) from error
    return counts


def _stopped(error: StreamRefused | Failure | EventfoldError, counts: Counts) -> Failure:
    """The error with how far the import came; it can go on from there."""
    facts: dict[str, object] = {}
    if isinstance(error, StreamRefused):
        facts |= {"lines": error.lines, "stream": error.stream}
        error = error.error
    code = error.exit_code if isinstance(error, Failure) else exit_code_of(error)
    facts |= error.facts
    facts |= {"stored": counts.stored, "duplicates": counts.duplicates}
    return Failure(error.reason, error.message, code, facts)


@with_target
def import_file(
    target: Target,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines; `-`: stdin, which is copied first.")
    ],
    in_flight: Annotated[
        int, typer.Option(min=1, max=128, help="Appends that are under way at once.")
    ] = 32,
    as_json: AsJson = False,
) -> None:
    """Append the events of a file to their streams; running it again stores nothing twice.

    A line is an object with stream, type, data, and as needed id, metadata, tags, occurred_at.
    A line without an id gets one from the digest of the file and its number: a file that has
    changed counts as another one, so give ids to events of files that grow.
    """
    with _opened(file) as opened:
        digest, total = _digest_and_lines(opened)
        name = "stdin" if file == STDIN else file
        lines = parse_lines(opened, name, has_stream=True)
        with progress_bar("Importing", total) as steps:
            counts = asyncio.run(_import(target, lines, digest, in_flight, steps))
    facts = {
        "stored": counts.stored,
        "duplicates": counts.duplicates,
        "streams": len(counts.streams),
    }
    if as_json:
        print_json(facts)
    else:
        print_fields(facts.items())
