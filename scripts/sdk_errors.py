"""Writes `eventfold/_generated/errors.py`: one exception class for each reason of errors.proto."""

import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO = "eventfold/v1/errors.proto"
PREFIX = "ERROR_REASON_"

# The builtin that each gRPC code is closest to; the other codes have none.
BUILTINS = {
    "INVALID_ARGUMENT": "ValueError",
    "NOT_FOUND": "LookupError",
    "OUT_OF_RANGE": "IndexError",
    "UNAUTHENTICATED": "PermissionError",
    "PERMISSION_DENIED": "PermissionError",
    "UNAVAILABLE": "ConnectionError",
    "DEADLINE_EXCEEDED": "TimeoutError",
}

# Every fact by name: its type and what it says. A fact without a line here fails the generation.
FACTS = {
    "actual": ("int", "What it is: the version of the stream, or the size in the unit of `limit`."),
    "append_index": ("int", "Index of the append among several, from 0."),
    "cancelled_by": ("str", "Id of the event that cancels it."),
    "category": ("str", "Category of the streams."),
    "cause": ("str", "Reason of the failure behind it."),
    "check_index": ("int", "Index of the check among several, from 0."),
    "column": ("int", "Column of the place, from 1."),
    "common_position": ("int", "Position up to which both logs agree; 0: on nothing."),
    "count": ("int", "How many there are in all."),
    "deadline_ms": ("int", "The deadline in milliseconds."),
    "deletion_id": ("str", "Id of the deletion."),
    "erasure_id": ("str", "Id of the erasure."),
    "event_id": ("str", "Id of the event."),
    "event_index": ("int", "Index of the event in the append, from 0."),
    "excerpt": ("str", "The line of the document with a caret below the place."),
    "expected": ("str", "The version that was expected: a number or `exists`."),
    "field": ("str", "Name of the field."),
    "fold": ("str", "Name of the fold."),
    "generation": ("int", "Number of the generation."),
    "group": ("str", "Name of the consumer group."),
    "handler": ("str", "Event type of the handler."),
    "head": ("int", "Version or position of the head."),
    "hint": ("str", "What to write instead."),
    "hold": ("str", "Name of the legal hold."),
    "id": ("str", "`$id` of the schema."),
    "key": ("str", "Key of the row."),
    "lease": ("int", "The lease that the settlement named."),
    "limit": ("int", "The limit; its unit is in the message."),
    "line": ("int", "Line of the place, from 1."),
    "link_rule": ("str", "Name of the rule of links."),
    "master_key": ("str", "The master key, as the key provider names it."),
    "method": ("str", "Name of the RPC."),
    "misfits": ("int", "Stored events that do not fit."),
    "offset": ("int", "Offset in bytes, from 0."),
    "origin": ("str", "What declares it: `document` or `schema`."),
    "owner": ("str", "The stream that the other belongs to."),
    "path": ("str", "Path in the state or in the document."),
    "permission": ("str", "The permission that is missing."),
    "plan_digest": ("str", "Digest of the plan as it is now."),
    "pointer": ("str", "JSON Pointer into the event's data."),
    "position": ("int", "Position of the event."),
    "positions": ("str", "Positions of the first events, joined by commas."),
    "predecessor": ("str", "Name of the stream of the period before."),
    "problem": ("str", "What is wrong."),
    "projection": ("str", "Name of the projection."),
    "reference": ("str", "The `$ref` that is meant."),
    "request_id": ("str", "Id under which the server's log has more."),
    "requested": ("int", "The version or position that was asked for."),
    "resource": ("str", "What there is too much of."),
    "revision": ("int", "Revision of the fold, schema or privacy rules."),
    "rule": ("str", "The keyword of the schema that is broken."),
    "source": ("str", "Category that the transform reads."),
    "state": ("str", "Where the transform is, as `TransformState` names it."),
    "status": ("str", "What is the case with the subject: `fenced` or `erased`."),
    "store_id": ("str", "Id of the store that answers."),
    "stream": ("str", "Name of the stream."),
    "subject_id": ("str", "Id of the subject."),
    "subject_pointer": ("str", "JSON Pointer to the subject of a value in the event's data."),
    "streams": ("str", "Names of streams, the first of them, separated by commas."),
    "successor": ("str", "Name of the stream of the next period."),
    "tag_index": ("int", "Index of the tag in the event, from 0."),
    "target": (
        "str",
        "Category that the transform writes to; or the other server that it was to write to.",
    ),
    "token_position": ("int", "Position that the resume token stands for."),
    "transform_no": ("int", "Number of the transform."),
    "transform": ("str", "Name of the transform."),
    "transform_id": ("str", "Id of the transform."),
    "type": ("str", "The event type."),
    "version": ("int", "Version of the event."),
    "violations": ("str", "The first violations, JSON."),
}

HEADER = '''"""Generated by scripts/sdk_errors.py from {proto}. Do not edit."""

from collections.abc import Mapping
from typing import Any

from eventfold._errors import EventfoldError
from eventfold._expected import ExpectedVersion, expected_from_fact
from eventfold._violations import Violation, violations_of_fact
'''

# The one error that users make themselves, in tests and in code that decides.
VERSION_CONFLICT = '''
    def __init__(
        self,
        expected: ExpectedVersion = 0,
        actual: int = 0,
        message: str = "",
        facts: Mapping[str, object] | None = None,
    ) -> None:
        named = {"expected": expected, "actual": actual, **(facts or {})}
        super().__init__(message or f"expected version {expected}, found {actual}", named)

    @property
    def expected(self) -> ExpectedVersion:
        """The version that was expected: an int, or `eventfold.EXISTS`."""
        return expected_from_fact(self._text("expected"))

    @property
    def actual(self) -> int:
        """The version at which the stream is."""
        return self._number("actual") or 0
'''

# Answers that have room for it bring the whole list; the fact is what fits into a status.
SCHEMA_VIOLATION = '''
    _listed: tuple[Violation, ...] = ()

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Where the events do not fit, in their order: all of it, up to 1,000, from answers that
        have room for it, such as that of `append_many`; else the first. `count` is the number of
        all.
        """
        return self._listed or violations_of_fact(self._text("violations"))

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"_listed": self._listed})
'''

# What a class has in place of the attributes of these facts.
WRITTEN = {
    "VERSION_CONFLICT": (VERSION_CONFLICT, {"expected", "actual"}),
    "SCHEMA_VIOLATION": (SCHEMA_VIOLATION, {"violations"}),
}


@dataclass
class Reason:
    """One entry of the catalogue."""

    name: str
    comment: str
    code: str
    facts: list[str] = field(default_factory=list)

    @property
    def class_name(self) -> str:
        """Name of the exception class."""
        return "".join(part.capitalize() for part in self.name.split("_"))


def read_catalogue(proto_root: Path) -> list[Reason]:
    """Compiles errors.proto in a pool of its own, so that no generated stub is needed."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "set.pb"
        options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={target}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto_root}", *options, PROTO]
        subprocess.run(command, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    source = next(file for file in files.file if file.name == PROTO)
    enum_index = [enum.name for enum in source.enum_type].index("ErrorReason")
    comments = {
        location.path[3]: location.leading_comments
        for location in source.source_code_info.location
        if list(location.path[:3]) == [5, enum_index, 2] and len(location.path) == 4
    }
    extension = pool.FindExtensionByName("eventfold.v1.error")
    options_class: Any = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("google.protobuf.EnumValueOptions")
    )
    code_names = pool.FindEnumTypeByName("google.rpc.Code").values_by_number
    reasons = []
    for index, value in enumerate(source.enum_type[enum_index].value):
        if value.number == 0:
            continue
        info = options_class.FromString(value.options.SerializeToString()).Extensions[extension]
        comment = re.sub(r"^ ", "", comments.get(index, ""), flags=re.MULTILINE).strip()
        if not comment or not info.code:
            raise SystemExit(f"{value.name} needs a comment and a code")
        name = value.name.removeprefix(PREFIX)
        reasons.append(Reason(name, comment, code_names[info.code].name, list(info.facts)))
    return reasons


def render_class(reason: Reason) -> str:
    """The text of one class."""
    builtin = BUILTINS.get(reason.code)
    bases = "EventfoldError" + (f", {builtin}" if builtin else "")
    # The comment is wrapped anew: its indentation is another one here, and quotes come on top.
    paragraphs = [" ".join(part.split()) for part in reason.comment.split("\n\n")]
    text = "\n\n".join(textwrap.fill(part, 90, break_on_hyphens=False) for part in paragraphs)
    lines = [f"class {reason.class_name}({bases}):"]
    lines += textwrap.indent(f'"""{text}', "    ").splitlines()
    if len(lines) == 2:
        lines[-1] += '"""'
    else:
        lines.append('    """')
    lines += ["", f'    reason = "{reason.name}"', f'    code = "{reason.code}"']
    written, own = WRITTEN.get(reason.name, ("", set()))
    if own:
        lines.append(written.rstrip())
    for fact in reason.facts:
        if fact in own:
            continue
        kind, meaning = FACTS[fact]
        getter = "_number" if kind == "int" else "_text"
        lines += [
            "",
            "    @property",
            f"    def {fact}(self) -> {kind} | None:",
            f'        """{meaning}"""',
            f'        return self.{getter}("{fact}")',
        ]
    return "\n".join(lines)


def render(proto_root: Path) -> str:
    """The text of `_generated/errors.py`."""
    reasons = read_catalogue(proto_root)
    names = "".join(f'    "{name}",\n' for name in sorted(reason.class_name for reason in reasons))
    exports = f"\n__all__ = [\n{names}]\n"
    parts = [
        HEADER.format(proto=PROTO),
        exports,
        *(f"\n{render_class(reason)}\n" for reason in reasons),
    ]
    table = [f'    "{reason.name}": {reason.class_name},' for reason in reasons]
    parts.append("\nBY_REASON: dict[str, type[EventfoldError]] = {\n" + "\n".join(table) + "\n}\n")
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)
