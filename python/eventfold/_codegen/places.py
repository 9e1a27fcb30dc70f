"""Places in schemas that `$ref` leads to, by the rules of JSON Schema. Nothing is ever fetched."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from eventfold._codegen.errors import GenerateFailed

# What stands behind these is no schema, whatever it looks like.
_VALUES = frozenset({"const", "default", "enum", "examples"})
_META_SCHEMAS = ("http://json-schema.org/", "https://json-schema.org/")


@dataclass(frozen=True)
class Place:
    """A schema within a document."""

    node: Any
    # What references in it are relative to.
    base: str
    # URI with a fragment: the same for all references that lead to it in the same way.
    address: str


class Places:
    """All places of some documents."""

    def __init__(self) -> None:
        self._documents: list[Any] = []
        # By URI, with a fragment only for anchors.
        self._found: dict[str, Place] = {}
        # Base of each object, by its identity; `_documents` keeps them alive.
        self._bases: dict[int, str] = {}

    def add(self, document: Any, uri: str) -> Place:
        """A document; `uri` counts if it has no `$id`."""
        self._documents.append(document)
        self._enter(uri, document, uri)
        self._index(document, uri)
        return Place(document, (base := self._base(document, uri)), f"{base}#")

    def find(self, reference: str, base: str) -> Place | None:
        """Where a reference leads; None: to a schema of schemas, which takes anything.

        Raises:
            GenerateFailed: nowhere.
        """
        target = _joined(base, reference)
        if target.startswith(_META_SCHEMAS):
            return None
        uri, fragment = urldefrag(target)
        if fragment and not fragment.startswith("/"):
            place = self._found.get(f"{uri}#{fragment}")
        elif (place := self._found.get(uri)) is not None and fragment:
            node = _at(place.node, fragment)
            place = None if node is None else Place(node, self._base(node, uri), target)
        if place is None:
            raise GenerateFailed(f"the reference {reference} leads nowhere", reference=reference)
        return place

    def _base(self, node: Any, otherwise: str) -> str:
        return self._bases.get(id(node), otherwise)

    def _enter(self, uri: str, node: Any, base: str) -> None:
        self._found.setdefault(uri, Place(node, base, uri if "#" in uri else f"{uri}#"))

    def _index(self, node: Any, base: str) -> None:
        if isinstance(node, dict):
            identity = node.get("$id")
            if isinstance(identity, str) and not identity.startswith("#"):
                base = urldefrag(_joined(base, identity))[0]
                self._enter(base, node, base)
            for anchor in _anchors(node):
                self._enter(f"{base}#{anchor}", node, base)
            self._bases[id(node)] = base
        for child in _children(node):
            self._index(child, base)


def _anchors(node: dict[str, Any]) -> Iterator[str]:
    for keyword in ("$anchor", "$dynamicAnchor"):
        if isinstance(anchor := node.get(keyword), str):
            yield anchor
    # Of draft 7.
    if isinstance(identity := node.get("$id"), str) and identity.startswith("#"):
        yield identity[1:]


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from (child for keyword, child in node.items() if keyword not in _VALUES)
    elif isinstance(node, list):
        yield from node


def _joined(base: str, reference: str) -> str:
    if reference.startswith("#"):
        # `urljoin` knows no fragments of URIs such as `urn:example`.
        return base.partition("#")[0] + reference
    return urljoin(base, reference)


def _at(node: Any, pointer: str) -> Any:
    """What a JSON Pointer leads to; None: nothing."""
    for step in pointer.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node
