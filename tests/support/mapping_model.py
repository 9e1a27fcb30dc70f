"""What mapping documents mean, in plain Python and as simple as it can be, byte for byte.

`Text` is a JSON object with all its spaces. Changes are made one after the other, each on the
whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Keys = tuple[str, ...]


class Failed(Exception):
    """The mapping fails."""


@dataclass
class Member:
    """A member of an object, with the spaces around its parts."""

    before: str
    written: str
    colon: str
    value: Text | str
    after: str = ""

    @property
    def key(self) -> str:
        return str(json.loads(self.written))


@dataclass
class Text:
    """An object; other values are their texts."""

    members: list[Member] = field(default_factory=list)
    # Spaces where there is no member.
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if not self.members:
            return "{" + self.before + self.after + "}"
        parts = (m.before + m.written + m.colon + str(m.value) + m.after for m in self.members)
        return "{" + ",".join(parts) + "}"

    def get(self, key: str) -> Member | None:
        return next((member for member in self.members if member.key == key), None)

    def insert(self, key: str, value: Text | str) -> None:
        new = Member(self.before, dumps(key), ":", value, self.after)
        if self.members:
            last = self.members[-1]
            new = Member("", dumps(key), ":", value, last.after)
            last.after = ""
        self.members.append(new)

    def remove(self, key: str) -> None:
        place = next(place for place, member in enumerate(self.members) if member.key == key)
        gone = self.members.pop(place)
        if place > 0:
            self.members[place - 1].after = gone.after
        elif self.members:
            self.members[0].before = gone.before
        else:
            self.before, self.after = gone.before, gone.after


def dumps(value: Any) -> str:
    """As the core writes what it makes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def parse(text: str) -> Text:
    """Read an object."""
    value, _ = _value(text, len(text) - len(text.lstrip()))
    assert isinstance(value, Text)
    return value


def _spaces(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _value(text: str, start: int) -> tuple[Text | str, int]:
    if text[start] == "{":
        return _object(text, start + 1)
    at, depth = start, 0
    for token in TOKEN.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        at = token.end()
        if depth == 0:
            break
    return text[start:at], at


def _object(text: str, start: int) -> tuple[Text, int]:
    at = _spaces(text, start)
    if text[at] == "}":
        return Text(after=text[start:at]), at + 1
    found = Text()
    while True:
        before = text[start:at]
        key = TOKEN.match(text, at)
        assert key is not None
        colon = _spaces(text, _spaces(text, key.end()) + 1)
        value, end = _value(text, colon)
        at = _spaces(text, end)
        found.members.append(Member(before, key[0], text[key.end() : colon], value, text[end:at]))
        start = at + 1
        if text[at] == "}":
            return found, start
        at = _spaces(text, start)


# Documents: keys of paths as tuples, computed fields as trees.


def find(root: Text, keys: Keys) -> Text | str | None:
    at: Text | str = root
    for key in keys:
        member = at.get(key) if isinstance(at, Text) else None
        if member is None:
            return None
        at = member.value
    return at


def put(root: Text, keys: Keys, value: Text | str) -> None:
    at = root
    for key in keys[:-1]:
        if at.get(key) is None:
            at.insert(key, Text())
        member = at.get(key)
        assert member is not None
        if not isinstance(member.value, Text):
            raise Failed
        at = member.value
    known = at.get(keys[-1])
    if known is None:
        at.insert(keys[-1], value)
    else:
        known.value = value


def remove(root: Text, keys: Keys) -> None:
    around = find(root, keys[:-1])
    if isinstance(around, Text) and around.get(keys[-1]) is not None:
        around.remove(keys[-1])


def rename(root: Text, old: Keys, new: Keys) -> None:
    value = find(root, old)
    if value is None or find(root, new) is not None:
        return
    if old[:-1] == new[:-1]:
        around = find(root, old[:-1])
        assert isinstance(around, Text)
        member = around.get(old[-1])
        assert member is not None
        member.written = dumps(new[-1])
    else:
        remove(root, old)
        put(root, new, value)


def compute(root: Text, expression: tuple[Any, ...]) -> str | None:
    """The text of a value; None: the absent optional."""
    match expression:
        case ("literal", value):
            return dumps(value)
        case ("field", keys):
            value = find(root, keys)
            if value is None:
                raise Failed
            return canonical(str(value))
        case ("maybe", key):
            value = find(root, (key,))
            return None if value is None else canonical(str(value))
        case ("none",):
            return None
    raise AssertionError(expression)


def cel(expression: tuple[Any, ...]) -> str:
    match expression:
        case ("literal", value):
            return dumps(value)
        case ("field", keys):
            return "event" + "".join(f"[{dumps(key)}]" for key in keys)
        case ("maybe", key):
            return f"event[?{dumps(key)}]"
        case ("none",):
            return "optional.none()"
    raise AssertionError(expression)


def canonical(text: str) -> str:
    """A value as the core writes one that it has read: without spaces, strings in short form."""
    out = []
    for token in TOKEN.findall(text):
        out.append(dumps(json.loads(token)) if token.startswith('"') else token)
    return "".join(out)


@dataclass
class Document:
    """A mapping."""

    renames: dict[Keys, Keys] = field(default_factory=dict)
    defaults: dict[Keys, Any] = field(default_factory=dict)
    computed: dict[Keys, tuple[Any, ...]] = field(default_factory=dict)

    def source(self) -> str:
        """The document, in JSON."""
        return dumps(
            {
                "mapping": "A",
                "renames": {path_text(old): path_text(new) for old, new in self.renames.items()},
                "defaults": {path_text(keys): value for keys, value in self.defaults.items()},
                "computed": {path_text(keys): cel(value) for keys, value in self.computed.items()},
            }
        )

    def is_valid(self) -> bool:
        """Whether no two places of one kind are the same, or one inside of the other."""
        renamed = [keys for pair in self.renames.items() for keys in pair]
        kinds = [renamed, list(self.defaults), list(self.computed)]
        return any(kinds) and not any(overlap for kind in kinds for overlap in overlaps(kind))

    def apply(self, text: str) -> str:
        """The data as they are read."""
        root = parse(text)
        for old, new in sorted(self.renames.items()):
            rename(root, old, new)
        for keys, value in sorted(self.defaults.items(), key=lambda pair: pair[0]):
            if find(root, keys) is None:
                put(root, keys, parse_value(dumps(value)))
        before = parse(str(root))
        for keys, expression in sorted(self.computed.items()):
            value = compute(before, expression)
            if value is None:
                remove(root, keys)
            else:
                put(root, keys, parse_value(value))
        start = len(text) - len(text.lstrip())
        return text[:start] + str(root) + text[len(text.rstrip()) :]


def parse_value(text: str) -> Text | str:
    return parse(text) if text.startswith("{") else text


def path_text(keys: Keys) -> str:
    return "".join(f"[{dumps(key)}]" for key in keys)


def overlaps(places: list[Keys]) -> Iterator[bool]:
    for index, left in enumerate(places):
        for right in places[:index]:
            shorter = min(len(left), len(right))
            yield left[:shorter] == right[:shorter]
