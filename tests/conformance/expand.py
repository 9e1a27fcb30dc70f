"""Requests and expectations as cases write them become plain JSON; see docs/conformance.md."""

from __future__ import annotations

import base64
import re
import uuid
from typing import Any

# Texts of cases are JSON values: what they hold is known only when a step runs.
Json = Any

_VARIABLE = re.compile(r"\$\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)?)([+-][0-9]+)?\}")


class CaseError(Exception):
    """The case itself is wrong: an unknown variable, a generator that cannot work."""


class Variables:
    """What `${...}` stands for within one run of a case."""

    def __init__(self, texts: dict[str, str]) -> None:
        """`texts`: those that the file declares under `let`."""
        self._values: dict[str, str] = {"run": uuid.uuid4().hex[:12]}
        for name, text in texts.items():
            self._values[name] = self.fill_in(text)

    def set(self, name: str, value: Json) -> None:
        """Gives the name a value; numbers and booleans are kept as their text."""
        self._values[name] = text_of(value)

    def fill_in(self, text: str) -> str:
        """The text with every `${name}`, `${name+1}` and `${name-1}` replaced, inner ones first:
        `${uuid.e${i}}` names one id for each `i`."""
        while "${" in text:
            text, count = _VARIABLE.subn(self._replacement, text)
            if not count:
                raise CaseError(f"no variable can be read in {text[:80]!r}")
        return text

    def _replacement(self, match: re.Match[str]) -> str:
        name, offset = match.groups()
        value = self._value(name)
        if offset is None:
            return value
        try:
            return str(int(value) + int(offset))
        except ValueError:
            raise CaseError(f"{name} is no integer to add to: {value[:80]!r}") from None

    def _value(self, name: str) -> str:
        if name not in self._values:
            kind, _, label = name.partition(".")
            if kind == "uuid_upper":
                return self._value(f"uuid.{label}").upper()
            if kind != "uuid" or not label:
                raise CaseError(f"nothing is known as {name}")
            self._values[name] = str(uuid.uuid4())
        return self._values[name]


def text_of(value: Json) -> str:
    """A scalar as comparisons see it: numbers in digits, booleans in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def expand(value: Json, variables: Variables) -> Json:
    """The value with variables filled in, generators run, and bytes fields in base64."""
    if isinstance(value, str):
        return variables.fill_in(value)
    if isinstance(value, list):
        return [expand(item, variables) for item in value]
    if not isinstance(value, dict):
        return value
    for generator, function in GENERATORS.items():
        if generator in value:
            return function(value, variables)
    expanded: dict[str, Json] = {}
    for key, item in value.items():
        name, data = _field(key, expand(item, variables))
        expanded[name] = data
    return expanded


def _field(key: str, value: Json) -> tuple[str, Json]:
    """Fields of bytes may be written as text or in hexadecimal; JSON has them in base64."""
    if key.endswith("_text") and isinstance(value, str):
        return key.removesuffix("_text"), base64.b64encode(value.encode()).decode()
    if key.endswith("_hex") and isinstance(value, str):
        return key.removesuffix("_hex"), base64.b64encode(bytes.fromhex(value)).decode()
    return key, value


def _fill(value: dict[str, Json], variables: Variables) -> str:
    before = expand(value.get("before", ""), variables)
    after = expand(value.get("after", ""), variables)
    unit = value.get("with", "x")
    room = int(value["$fill"]) - len((before + after).encode())
    count, rest = divmod(room, len(unit.encode()))
    if rest or count < 0:
        raise CaseError(f"$fill: {room} bytes cannot be filled with {unit!r}")
    return str(before + unit * count + after)


def _times(value: dict[str, Json], variables: Variables) -> str:
    return str(expand(value["text"], variables)) * int(value["$times"])


def _concat(value: dict[str, Json], variables: Variables) -> str:
    return "".join(expand(part, variables) for part in value["$concat"])


def _each(value: dict[str, Json], variables: Variables) -> Json:
    items = []
    for index in range(int(value["$each"])):
        variables.set("i", index)
        items.append(expand(value["item"], variables))
    return value["join"].join(items) if "join" in value else items


GENERATORS = {"$fill": _fill, "$times": _times, "$concat": _concat, "$each": _each}
