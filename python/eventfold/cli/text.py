"""Text for people: nothing that comes out of the store can move a terminal's cursor."""

import datetime as dt
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, keep: str = "") -> str:
    """The text with everything escaped that is not for the eye, save the characters of `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """The text on one line, printable; the spaces that it begins with stay."""
    rest = text.lstrip(" ")
    return " " * (len(text) - len(rest)) + printable(" ".join(rest.split("\n")))


def time_text(time: dt.datetime | None) -> str:
    """RFC 3339 in UTC, with as many digits as the time has; empty for None."""
    if time is None:
        return ""
    return time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


class _Number:
    """A JSON number as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text


def _keep_number(value: Any) -> Any:
    assert isinstance(value, _Number)
    return orjson.Fragment(value.text)


class RepeatedKey(ValueError):
    """A JSON object has one key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(f"the key {json.dumps(key)} stands twice")
            seen.add(key)
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def parse_exactly(text: bytes | str) -> Any:
    """Parses JSON so that `dump_exactly` writes its numbers as they stood there.

    Raises:
        ValueError: it is not JSON, or an object has one key twice.
    """
    return json.loads(
        text,
        parse_float=_Number,
        parse_int=_Number,
        parse_constant=_refuse_constant,
        object_pairs_hook=_object,
    )


def dump_exactly(value: Any, *, indent: bool = False) -> bytes:
    """Writes JSON that was parsed by `parse_exactly`."""
    return orjson.dumps(value, default=_keep_number, option=orjson.OPT_INDENT_2 if indent else None)


def cell(value: Any) -> object:
    """A value that `parse_exactly` read, for a table: numbers to the right, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, _Number):
        return Decimal(value.text)
    return value if isinstance(value, str) else dump_exactly(value).decode()


def pretty_json(text: bytes) -> str:
    """JSON over several lines, printable, each number as it is written."""
    return printable(dump_exactly(parse_exactly(text), indent=True).decode(), keep="\n")


def compact_json(text: bytes) -> str:
    """JSON on one line, printable, each number as it is written."""
    return printable(dump_exactly(parse_exactly(text)).decode())


def joined(names: Iterable[str]) -> str:
    """Names with commas between them."""
    return ", ".join(names)
