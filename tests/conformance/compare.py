"""Compares answers with what a case expects; see docs/conformance.md."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime

from .expand import Json, text_of

_SHOWN_CHARS_MAX = 300

PATTERNS = {
    "$uuid": re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
    "$uuid7": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "$time": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"),
    "$digest": re.compile(r"[0-9a-f]{64}"),
    "$positive": re.compile(r"[1-9][0-9]*"),
    "$nonempty": re.compile(r".+", re.DOTALL),
}
_DEFAULTS = {"", "0", "false"}


def differences(expected: Json, actual: Json, path: str = "") -> Iterator[str]:
    """What of the answer is not as expected, one sentence each; nothing: it is as expected."""
    if isinstance(expected, dict):
        yield from _object(expected, actual, path)
    elif isinstance(expected, list):
        yield from _list(expected, actual, path)
    elif expected is None:
        if actual is not None:
            yield _differs(path, "nothing", actual)
    elif expected == "$any":
        return
    elif expected in PATTERNS:
        if not PATTERNS[str(expected)].fullmatch(text_of(actual)) or actual is None:
            yield _differs(path, expected, actual)
    elif isinstance(actual, dict | list):
        yield _differs(path, expected, actual)
    elif actual is None:
        # JSON of protobuf may leave out fields that have their default.
        if text_of(expected) not in _DEFAULTS:
            yield _differs(path, expected, "nothing")
    elif text_of(expected) != text_of(actual):
        yield _differs(path, expected, actual)


def _object(expected: dict[str, Json], actual: Json, path: str) -> Iterator[str]:
    for operator, function in OPERATORS.items():
        if operator in expected:
            problem = function(expected[operator], actual)
            if problem:
                yield f"{path}: {problem}"
            return
    if actual is None and any(item is not None for item in expected.values()):
        yield _differs(path, expected, "nothing")
        return
    if not isinstance(actual, dict):
        yield _differs(path, expected, actual)
        return
    for key, item in expected.items():
        yield from differences(item, actual.get(key), f"{path}.{key}" if path else key)


def _list(expected: list[Json], actual: Json, path: str) -> Iterator[str]:
    actual = [] if actual is None else actual
    if not isinstance(actual, list):
        yield _differs(path, expected, actual)
        return
    if len(actual) != len(expected):
        yield f"{path}: expected {len(expected)} items, got {len(actual)}: {_shown(actual)}"
        return
    for index, (item, found) in enumerate(zip(expected, actual, strict=True)):
        yield from differences(item, found, f"{path}.{index}")


def _count(expected: Json, actual: Json) -> str | None:
    found = len(actual or [])
    return None if found == int(expected) else f"expected {expected} items, got {found}"


def _ordered(text: Json) -> float | datetime:
    """A number or a time, for comparisons."""
    if PATTERNS["$time"].fullmatch(str(text)):
        return datetime.fromisoformat(str(text))
    return int(text)


def _at_least(expected: Json, actual: Json) -> str | None:
    if _ordered(actual or 0) >= _ordered(expected):  # type: ignore[operator]
        return None
    return f"expected at least {expected}, got {actual}"


def _at_most(expected: Json, actual: Json) -> str | None:
    if _ordered(actual or 0) <= _ordered(expected):  # type: ignore[operator]
        return None
    return f"expected at most {expected}, got {actual}"


def _bytes_at_most(expected: Json, actual: Json) -> str | None:
    found = len(base64.b64decode(actual or ""))
    return None if found <= int(expected) else f"expected at most {expected} bytes, got {found}"


def _all(expected: Json, actual: Json) -> str | None:
    problems = [
        problem
        for index, item in enumerate(actual or [])
        for problem in differences(expected, item, str(index))
    ]
    return "; ".join(problems[:3]) or None


def _contains(expected: Json, actual: Json) -> str | None:
    """Looks for the items among the actual ones, in this order."""
    rest = iter(actual or [])
    for item in expected:
        if not any(not list(differences(item, found)) for found in rest):
            return f"expected somewhere in order {_shown(item)}, got {_shown(actual)}"
    return None


def _not(expected: Json, actual: Json) -> str | None:
    if list(differences(expected, actual)):
        return None
    return f"expected anything but {_shown(expected)}"


OPERATORS: dict[str, Callable[[Json, Json], str | None]] = {
    "$count": _count,
    "$at_least": _at_least,
    "$at_most": _at_most,
    "$bytes_at_most": _bytes_at_most,
    "$all": _all,
    "$contains": _contains,
    "$not": _not,
}


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "..."


def _differs(path: str, expected: Json, actual: Json) -> str:
    return f"{path}: expected {_decoded(expected)}, got {_decoded(actual)}"


def _decoded(value: Json) -> str:
    """The value, and its text if it looks like bytes of JSON in base64: for people."""
    shown = _shown(value)
    if isinstance(value, str) and len(value) >= 4:
        try:
            text = base64.b64decode(value, validate=True).decode()
        except ValueError:
            return shown
        if text.isprintable():
            return f"{shown} ({_shown(text)})"
    return shown
