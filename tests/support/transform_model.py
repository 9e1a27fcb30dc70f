"""What transform documents mean, in plain Python and as simple as it can be, byte for byte.

Data and metadata are changed as the model of mappings changes them.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.support.mapping_model import (
    Failed,
    Keys,
    canonical,
    cel,
    compute,
    overlaps,
    parse,
    parse_value,
    path_text,
    put,
    remove,
)
from tests.support.transforms import JOB, Source

Expression = tuple[Any, ...]
Shape = Expression | dict[Keys, Expression] | None
"""An expression for all of it, expressions by path, or nothing: it stays."""


@dataclass(frozen=True)
class Copy:
    """A copy of an event."""

    id: str
    stream: str
    type: str
    data: str
    metadata: str
    tags: list[str]
    copied_from: str


@dataclass
class Rule:
    """A copy of each event of a type."""

    type: str | None = None
    when: Expression | None = None
    stream: Expression | None = None
    data: Shape = None
    metadata: Shape = None
    tags: Expression | None = None

    def document(self) -> dict[str, Any]:
        parts = {
            "type": self.type,
            "when": self.when and cel(self.when),
            "stream": self.stream and cel(self.stream),
            "data": shape_document(self.data),
            "metadata": shape_document(self.metadata),
            "tags": self.tags and cel(self.tags),
        }
        return {key: part for key, part in parts.items() if part is not None}

    def is_valid(self) -> bool:
        """Whether no two paths are the same, or one inside of the other; and what is known of the
        values is what they must be.
        """
        shapes = (self.data, self.metadata)
        if any(any(overlaps(list(one))) for one in shapes if isinstance(one, dict)):
            return False
        kinds = [(self.when, bool), (self.stream, str), (self.tags, list)]
        kinds += [(one, dict) for one in shapes if isinstance(one, tuple)]
        return all(may_be(expression, kind) for expression, kind in kinds if expression)


def may_be(expression: Expression, kind: type) -> bool:
    """Whether an expression compiles where a kind of value must stand."""
    match expression:
        case ("literal", str(name)) if kind is str:
            return is_target(name)
        case ("literal", value):
            return isinstance(value, kind)
        case ("maybe", _):
            return kind in (dict, list)
    return True


def shape_document(shape: Shape) -> Any:
    if isinstance(shape, tuple):
        return {".": cel(shape)}
    return shape and {path_text(keys): cel(value) for keys, value in shape.items()}


@dataclass
class Document:
    """A transform of the category `a` into `b`."""

    types: dict[str, list[Rule]] = field(default_factory=dict)
    keeps_others: bool = False
    lists: bool = True

    def source(self) -> str:
        """The document, in JSON."""

        def rules(known: list[Rule]) -> Any:
            if not known:
                return "drop"
            documents = [rule.document() for rule in known]
            return documents[0] if len(documents) == 1 and not self.lists else documents

        return json.dumps(
            {
                "transform": "t",
                "source": {"category": "a"},
                "into": ["b"],
                "stream": "'b-' + meta.stream_id",
                "others": "keep" if self.keeps_others else "drop",
                "events": {name: rules(known) for name, known in self.types.items()},
            }
        )

    def is_valid(self) -> bool:
        """Whether it compiles."""
        rules = [rule for known in self.types.values() for rule in known]
        return (self.keeps_others or bool(rules)) and all(rule.is_valid() for rule in rules)

    def apply(self, number: int, event: Source) -> list[Copy]:
        """The copies of the event at a place of its page."""
        if event.deleted:
            return []
        rules = self.types.get(event.type, [Rule()] if self.keeps_others else [])
        copies = (copy(rule, ordinal, number, event) for ordinal, rule in enumerate(rules))
        return [made for made in copies if made is not None]


def copy(rule: Rule, ordinal: int, number: int, event: Source) -> Copy | None:
    data = event.data.decode()
    if event.type.startswith("$") and rule.type is None:
        return None
    if rule.when is not None and not value(rule.when, data, bool):
        return None
    stream = f"b-{event.stream.removeprefix('a-')}"
    if rule.stream is not None:
        stream = value(rule.stream, data, str)
        if not is_target(stream):
            raise Failed
    tags = list(event.tags)
    if rule.tags is not None:
        tags = value(rule.tags, data, list) or []
        if not all(isinstance(tag, str) and tag and tag.isprintable() for tag in tags):
            raise Failed
    metadata = shaped(rule.metadata, event.metadata.decode(), data, "{}")
    return Copy(
        copy_id(event.id(number), ordinal),
        stream,
        rule.type or event.type,
        shaped(rule.data, data, data, None),
        metadata,
        sorted(set(tags), key=str.encode),
        str(event.id(number)),
    )


def is_target(stream: str) -> bool:
    """Whether it is the name of a stream of the category `b`."""
    return stream.startswith("b-") and len(stream) > 2 and stream.isprintable()


def copy_id(source: uuid.UUID, ordinal: int) -> str:
    name = uuid.UUID(JOB).bytes + source.bytes + ordinal.to_bytes(4, "big")
    digest = hashlib.sha1(name, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def value(expression: Expression, data: str, kind: type) -> Any:
    """The value of an expression over the data, which must be of a kind."""
    text = compute(parse(data), expression)
    if text is None:
        if kind is list:
            return None
        raise Failed
    found = json.loads(text)
    if type(found) is not kind:
        raise Failed
    return found


def shaped(shape: Shape, text: str, data: str, without: str | None) -> str:
    """Data or metadata: the text with what is computed from the data."""
    if shape is None:
        return text
    event = parse(data)
    if isinstance(shape, tuple):
        made = compute(event, shape)
        if made is None:
            made = without
        if made is None or not made.startswith("{"):
            raise Failed
        return canonical(made)
    root = parse(text)
    for keys, expression in sorted(shape.items()):
        made = compute(event, expression)
        if made is None:
            remove(root, keys)
        else:
            put(root, keys, parse_value(made))
    start = len(text) - len(text.lstrip())
    return text[:start] + str(root) + text[len(text.rstrip()) :]
