"""Goal: whatever schemas refer to gets one definition, with a name that does not depend on where
the schemas are from.

Method: small schemas, and the definitions that they become.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from eventfold._codegen import Bundle, Document, GenerateFailed, of_folder


def document(event_type: str | None, schema: Any, description: str = "") -> Document:
    return Document(event_type, json.dumps(schema), event_type or "shared", description)


def bundle(**schemas: Any) -> Bundle:
    return Bundle(document(event_type, schema) for event_type, schema in schemas.items())


def definitions(*documents: Document) -> dict[str, Any]:
    return Bundle(documents).definitions("#/")


def shape(schema: Any) -> Any:
    """What becomes of the schema of one event type."""
    return bundle(T=schema).definitions("#/")["T"]


def test_names_of_event_types() -> None:
    types = [
        "UserRegistered",
        "user.renamed",
        "user-renamed",
        "invoice_paid",
        "$Closed",
        "2fa",
        "ü",
    ]
    made = Bundle(document(event_type, {}) for event_type in types)
    assert made.event_types == {
        "$Closed": "Closed",
        "2fa": "Event2fa",
        "UserRegistered": "UserRegistered",
        "invoice_paid": "InvoicePaid",
        "user-renamed": "UserRenamed",
        "user.renamed": "UserRenamedEvent",
        "ü": "Ü",
    }
    # Whatever is a name of Python or TypeScript already.
    made = Bundle(document(event_type, {}) for event_type in ["Any", "Map", "None", "list", "!"])
    assert list(made.event_types.values()) == ["Event", "AnyEvent", "MapEvent", "NoneEvent", "List"]


def test_the_data_of_an_event_is_an_object() -> None:
    for anything in ({}, True, {"required": ["a"]}, {"minProperties": 1}):
        assert shape(anything) == {"type": "object"}
    assert shape({"oneOf": [{"type": "object"}, {"properties": {"a": True}}]}) == {
        "oneOf": [{"type": "object"}, {"type": "object", "properties": {"a": {}}}]
    }


def test_values_are_left_to_the_server() -> None:
    schema = {
        "title": "T",
        "properties": {
            "n": {"type": "number", "multipleOf": 0.01, "minimum": 0, "default": 1},
            "i": {"type": ["integer", "null"]},
            "both": {"type": ["integer", "number", "string", "null"]},
            "s": {"type": "string", "format": "uuid", "pattern": "x", "contentEncoding": "base64"},
            "d": {"type": "string", "format": "date-time", "description": " when "},
            "e": {"enum": ["a", 1], "not": {"const": 1}},
        },
        "required": ["n", "other"],
        "additionalProperties": False,
        "anyOf": [{"required": ["i"]}, {"required": ["s"]}],
        "if": {"required": ["i"]},
        "then": {"required": ["d"]},
    }
    number = {"type": "number", "format": "decimal"}
    assert shape(schema) == {
        "type": "object",
        "properties": {
            "n": number,
            "i": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "both": {"anyOf": [number, {"type": "string"}, {"type": "null"}]},
            "s": {"type": "string"},
            "d": {"type": "string", "format": "date-time", "description": "when"},
            "e": {"enum": ["a", 1]},
            "other": {},
        },
        "required": ["n", "other"],
    }


def test_maps_and_arrays() -> None:
    schema = {
        "properties": {
            "map": {"additionalProperties": {"type": "integer"}},
            "patterns": {"patternProperties": {"^a": {"type": "string"}, "^b": {"type": "null"}}},
            "list": {"items": {"type": "string"}, "minItems": 1},
            "pair": {"prefixItems": [{"type": "string"}, {}], "items": False},
            "old pair": {"type": "array", "items": [{"type": "string"}]},
        }
    }
    assert shape(schema)["properties"] == {
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "patterns": {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "list": {"type": "array", "items": {"type": "string"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {}]},
        "old pair": {"type": "array", "prefixItems": [{"type": "string"}]},
    }


def test_references_by_the_rules_of_json_schema() -> None:
    shared = {
        "$id": "https://example.test/schemas/address.schema.json",
        "type": "object",
        "properties": {"zip": {"$ref": "#/$defs/zip%20code"}, "land": {"$ref": "land"}},
        "$defs": {
            "zip code": {"type": "string"},
            "inner": {
                "$id": "land",
                "properties": {"name": {"$ref": "#here"}},
                "$defs": {"x": {"$anchor": "here", "type": "null"}},
            },
        },
    }
    schema = {
        "$id": "https://example.test/schemas/user",
        "properties": {
            "home": {"$ref": "address.schema.json"},
            "work": {"$ref": "/schemas/address.schema.json#/$defs/zip%20code"},
            "self": {"$ref": "#"},
            "again": {"$ref": "#/properties/list/items/anyOf/0"},
            "list": {"items": {"anyOf": [{"type": "integer"}]}},
            "meta": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
            "told": {"$ref": "address.schema.json", "description": "Where."},
            "more": {"$ref": "address.schema.json", "properties": {"a": {}}},
            "value": {"const": {"$ref": "nowhere"}},
        },
    }
    found = definitions(document("User", schema), document(None, shared))
    assert set(found) == {"User", "Address", "ZipCode", "Land", "Here", "List"}
    assert found["User"]["properties"] == {
        "home": {"$ref": "#/Address"},
        "work": {"$ref": "#/ZipCode"},
        "self": {"$ref": "#/User"},
        "again": {"$ref": "#/List"},
        "list": {"type": "array", "items": {"anyOf": [{"type": "integer"}]}},
        "meta": {},
        "told": {"$ref": "#/Address", "description": "Where."},
        "more": {
            "allOf": [
                {"$ref": "#/Address"},
                {"type": "object", "properties": {"a": {}}},
            ]
        },
        "value": {"const": {"$ref": "nowhere"}},
    }
    assert found["Address"]["properties"] == {
        "zip": {"$ref": "#/ZipCode"},
        "land": {"$ref": "#/Land"},
    }
    assert found["Land"]["properties"] == {"name": {"$ref": "#/Here"}}


def test_a_reference_of_draft_7() -> None:
    schema = {
        "definitions": {"a": {"$id": "#here", "type": "string"}},
        "properties": {"x": {"$ref": "#here"}},
    }
    assert bundle(T=schema).definitions("#/")["Here"] == {"type": "string"}


def test_what_many_bring_along_is_one() -> None:
    def bringing(money: Any) -> Any:
        return {"properties": {"money": {"$ref": "#/$defs/Money"}}, "$defs": {"Money": money}}

    cents = {"type": "object", "properties": {"cents": {"type": "integer"}}}
    tree = cents | {"properties": {"next": {"$ref": "#/$defs/Money"}}}
    found = bundle(A=bringing(cents), B=bringing(tree), C=bringing(cents), D=bringing(tree))
    shapes = found.definitions("#/")
    assert set(shapes) == {"A", "B", "C", "D", "Money", "BMoney"}
    assert shapes["C"] == shapes["A"]
    assert shapes["D"]["properties"]["money"] == {"$ref": "#/BMoney"}
    assert shapes["BMoney"]["properties"]["next"] == {"$ref": "#/BMoney"}


def test_what_a_schema_refers_to_is_pinned() -> None:
    def typed(event_type: str, money: Any) -> Document:
        schema = {"properties": {"money": {"$ref": "urn:money"}}}
        resources = {"urn:money": json.dumps({"$id": "urn:money", **money})}
        return Document(event_type, json.dumps(schema), event_type, resources=resources)

    cents, francs = {"enum": ["cents"]}, {"enum": ["francs"]}
    newest = document(None, {"$id": "urn:money", "type": "null"})
    other = document("D", {"properties": {"money": {"$ref": "urn:money"}}})
    found = definitions(typed("A", cents), typed("B", francs), typed("C", cents), newest, other)
    assert set(found) == {"A", "B", "C", "D", "Money", "BMoney", "DMoney"}
    names = {name: found[name]["properties"]["money"]["$ref"] for name in "ABCD"}
    assert names == {"A": "#/Money", "B": "#/BMoney", "C": "#/Money", "D": "#/DMoney"}
    assert (found["Money"], found["BMoney"]) == (cents, francs)
    assert found["DMoney"] == {"type": "null"}


def test_what_refers_to_each_other_is_one_too() -> None:
    def part(name: str, to: str) -> Document:
        return document(None, {"$id": name, "properties": {to: {"$ref": to}}})

    using = {"properties": {"x": {"$ref": "urn:egg"}}}
    shared = [part("urn:egg", "urn:hen"), part("urn:hen", "urn:egg")]
    found = definitions(document("A", using), document("B", using), *shared)
    assert set(found) == {"A", "B", "Egg", "Hen"}
    assert found["Hen"]["properties"] == {"urn:egg": {"$ref": "#/Egg"}}
    assert found["A"] == found["B"]


def test_nothing_depends_on_the_order_of_the_documents() -> None:
    money = {
        "$defs": {"Money": {"type": "integer"}},
        "properties": {"m": {"$ref": "#/$defs/Money"}},
    }
    other = {"$defs": {"Money": {"type": "string"}}, "properties": {"m": {"$ref": "#/$defs/Money"}}}
    shared = {"$id": "s", "type": "null"}
    documents = [document("B", money), document("A", other), document(None, shared)]
    made = [
        (Bundle(order).definitions(""), dict(Bundle(order).event_types))
        for order in itertools.permutations(documents)
    ]
    assert all(json.dumps(one) == json.dumps(made[0]) for one in made)


def test_descriptions() -> None:
    schema = {"description": "From the schema."}
    found = definitions(document("A", {}, "Said."), document("B", schema, "Said."))
    assert found["A"]["description"] == "Said."
    assert found["B"]["description"] == "From the schema."
    assert "description" not in definitions(document("A", {}))["A"]


@pytest.mark.parametrize(
    ("schema", "reference"),
    [
        ({"$ref": "other.json"}, "other.json"),
        ({"$ref": "#/$defs/a"}, "#/$defs/a"),
        ({"$ref": "#nowhere"}, "#nowhere"),
        ({"items": {"$ref": "#/items/2"}}, "#/items/2"),
        ({"properties": {"a": {"$ref": "https://example.test/x"}}}, "https://example.test/x"),
    ],
)
def test_a_reference_that_leads_nowhere(schema: Any, reference: str) -> None:
    with pytest.raises(GenerateFailed, match="leads nowhere") as caught:
        bundle(T=schema)
    assert caught.value.facts == {"schema": "T", "reference": reference}


def test_what_is_no_json() -> None:
    with pytest.raises(GenerateFailed, match="no JSON") as caught:
        Bundle([Document("T", "{", "T.schema.json")])
    assert caught.value.facts == {"schema": "T.schema.json"}


def test_a_folder(tmp_path: Path) -> None:
    files = {
        "user.renamed.schema.json": b"{}",
        "address.json": b'{"$id": "a"}',
        "notes.txt": b"\xff",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert [(one.event_type, one.place) for one in of_folder(tmp_path)] == [
        (None, "address.json"),
        ("user.renamed", "user.renamed.schema.json"),
    ]
    (tmp_path / "bad.json").write_bytes(b"\xff")
    with pytest.raises(GenerateFailed, match="not UTF-8"):
        of_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GenerateFailed, match=r"TYPE\.schema\.json"):
        of_folder(tmp_path / "empty")
