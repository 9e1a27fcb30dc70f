"""Schemas of event types as one set of definitions with names, whatever they refer to.

Generators know references within one document at best, and each in its own way. So they are
followed here, and each place that is referred to becomes a definition of its own.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eventfold._codegen.errors import GenerateFailed
from eventfold._codegen.names import Names, class_name, last_part
from eventfold._codegen.places import Place, Places
from eventfold._codegen.shapes import event_shape, shape_of


@dataclass(frozen=True)
class Document:
    """A schema, as it was registered or as it stands in a file."""

    # None: it is shared, and others refer to it.
    event_type: str | None
    source: str
    # Where it is from, for errors.
    place: str
    # What was said of the event type, for a schema that says nothing itself.
    description: str = ""
    # All that it refers to, by `$id`, whatever stands elsewhere; None: the shared documents.
    resources: Mapping[str, str] | None = None

    @property
    def uri(self) -> str:
        """What references in it are relative to, if it has no `$id`."""
        return f"eventfold:{self.event_type or self.place}"


@dataclass
class _Definition:
    """A schema that gets a name. References in its shape are addresses of others."""

    wanted: str
    # Name of the event type that has led to it.
    owner: str
    shape: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Owner:
    """An event type, and all places that its schema can lead to."""

    event_type: str
    # Of its class.
    name: str
    places: Places = field(default_factory=Places)

    def address(self, place: Place) -> str:
        """The address of a place among those of all event types."""
        return f"{self.event_type}\n{place.address}"


class Bundle:
    """Definitions by their names, which are those of classes.

    Attributes:
        event_types: name of the definition of each event type, in byte order of the types.
    """

    event_types: Mapping[str, str]

    def __init__(self, documents: Iterable[Document]) -> None:
        """Raises GenerateFailed: a schema is no JSON, or refers to what is not there."""
        # By their addresses, in the order in which they were met. Each event type has its own: a
        # `$id` can stand for one document here, and for another there.
        self._definitions: dict[str, _Definition] = {}
        self._waiting: list[tuple[Place, _Definition]] = []
        documents = list(documents)
        shared = [one for one in documents if one.event_type is None]
        # Names must not depend on where schemas are from.
        typed = sorted(
            ((one.event_type, one) for one in documents if one.event_type is not None),
            key=lambda named: named[0].encode(),
        )
        roots = {event_type: self._complete(event_type, one, shared) for event_type, one in typed}
        merged = _merged(self._definitions, set(roots.values()))
        names = _names(self._definitions, roots, merged)
        self._shapes = {
            names[address]: _referring(one.shape, lambda target: names[merged[target]])
            for address, one in self._definitions.items()
            if merged[address] == address
        }
        self.event_types = {event_type: names[address] for event_type, address in roots.items()}

    def definitions(self, prefix: str) -> dict[str, Any]:
        """The definitions in order of their names; references in them are `prefix` and a name."""
        return {
            name: _referring(self._shapes[name], lambda target: prefix + target)
            for name in sorted(self._shapes)
        }

    def _complete(self, event_type: str, document: Document, shared: Iterable[Document]) -> str:
        """Defines an event type, and all that it leads to; the address of its definition."""
        owner = _Owner(event_type, class_name(event_type))
        place = owner.places.add(_parsed(document), document.uri)
        if document.resources is not None:
            shared = [Document(None, source, id_) for id_, source in document.resources.items()]
        for one in shared:
            owner.places.add(_parsed(one), one.uri)
        address = owner.address(place)
        try:
            root = self._definitions[address] = _Definition(owner.name, "")
            root.shape = event_shape(place.node, self._referrer(place, owner))
            if document.description:
                root.shape.setdefault("description", document.description)
            while self._waiting:
                found, definition = self._waiting.pop(0)
                definition.shape = shape_of(found.node, self._referrer(found, owner))
        except GenerateFailed as error:
            raise GenerateFailed(error.message, schema=document.place, **error.facts) from None
        return address

    def _referrer(self, place: Place, owner: _Owner) -> Callable[[str], str | None]:
        def refer(reference: str) -> str | None:
            target = owner.places.find(reference, place.base)
            if target is None:
                return None
            address = owner.address(target)
            if address not in self._definitions:
                wanted = class_name(last_part(target.address))
                definition = self._definitions[address] = _Definition(wanted, owner.name)
                self._waiting.append((target, definition))
            return address

        return refer


def _parsed(document: Document) -> Any:
    try:
        return json.loads(document.source)
    except (ValueError, RecursionError) as error:
        raise GenerateFailed(f"this is no JSON: {error}", schema=document.place) from None


def _referring(shape: Any, to: Callable[[str], str]) -> Any:
    """The shape with other references."""
    if isinstance(shape, list):
        return [_referring(one, to) for one in shape]
    if not isinstance(shape, dict):
        return shape
    return {
        keyword: to(value)
        if keyword == "$ref" and isinstance(value, str)
        else value
        if keyword in ("const", "enum")
        else _referring(value, to)
        for keyword, value in shape.items()
    }


def _merged(definitions: dict[str, _Definition], roots: set[str]) -> dict[str, str]:
    """Of each definition the address of the one that stands for it: what many schemas bring along,
    in the same words and under the same name, is one.

    All of a name are one at first, and are parted as long as their words, or what they refer to,
    differ: so those that refer to each other are found too.
    """
    first: dict[str, str] = {}
    merged = {
        address: address if address in roots else first.setdefault(one.wanted, address)
        for address, one in definitions.items()
    }
    while True:
        first = {}
        parted = {}
        for address, one in definitions.items():
            shape = _referring(one.shape, merged.__getitem__)
            text = json.dumps([merged[address], shape], sort_keys=True)
            parted[address] = first.setdefault(text, address)
        if parted == merged:
            return merged
        merged = parted


def _names(
    definitions: dict[str, _Definition], roots: Mapping[str, str], merged: dict[str, str]
) -> dict[str, str]:
    """Names of definitions by their addresses; those of event types come first."""
    taken = Names()
    names = {address: taken.take(definitions[address].wanted) for address in roots.values()}
    for address, one in definitions.items():
        if merged[address] == address and address not in names:
            names[address] = taken.take(one.wanted, one.owner)
    return names
