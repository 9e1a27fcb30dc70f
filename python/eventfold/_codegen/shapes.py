"""What a schema says of the shape of data, which is what types can say.

Values are the server's to check: bounds, patterns and the like stay behind, and so do defaults,
since an event is as it was stored. `additionalProperties: false` does too: readers are lenient.
"""

from collections.abc import Callable
from typing import Any

_COMBINED = ("allOf", "anyOf", "oneOf")
# Other formats are texts in every language.
_FORMATS = frozenset({"date", "date-time"})

Refer = Callable[[str], str | None]
"""From a `$ref` to what stands in its place; None: it leads to what takes anything."""


def shape_of(schema: Any, refer: Refer) -> dict[str, Any]:
    """The shape of whatever the schema fits, in the terms of JSON Schema; empty: anything."""
    if not isinstance(schema, dict):
        return {}
    shape = _of_values(schema) | _of_objects(schema, refer) | _of_arrays(schema, refer)
    for keyword in _COMBINED:
        members = [shape_of(member, refer) for member in _list(schema.get(keyword))]
        # One that fits anything says nothing beside others, and leaves nothing of a choice.
        said = [member for member in members if _says_more(member)]
        if said and (keyword == "allOf" or len(said) == len(members)):
            shape[keyword] = said
    shape = _with_references(schema, shape, refer)
    if isinstance(description := schema.get("description"), str) and description.strip():
        shape["description"] = description.strip()
    return shape


def event_shape(schema: Any, refer: Refer) -> dict[str, Any]:
    """The same of the data of an event, which is an object, whether its schema says so or not."""
    shape = shape_of(schema, refer)
    return shape if _says_more(shape) else {**shape, "type": "object"}


def _says_more(shape: dict[str, Any]) -> bool:
    return bool(shape.keys() - {"description"})


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _with_references(schema: dict[str, Any], shape: dict[str, Any], refer: Refer) -> dict[str, Any]:
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        if not isinstance(reference := schema.get(keyword), str):
            continue
        if (target := refer(reference)) is None:
            continue
        shape = {"allOf": [{"$ref": target}, shape]} if shape else {"$ref": target}
    return shape


def _of_values(schema: dict[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {name: schema[name] for name in ("const", "enum") if name in schema}
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else [str(kind) for kind in _list(kinds)]
    if "number" in kinds:
        # An integer is a number too.
        kinds = [kind for kind in kinds if kind != "integer"]
    each = [_kind(kind, schema.get("format")) for kind in kinds]
    if len(each) == 1:
        return shape | each[0]
    if each:
        shape["anyOf"] = each
    return shape


def _kind(kind: str, format_: Any) -> dict[str, Any]:
    if kind == "number":
        # Numbers are exact.
        return {"type": "number", "format": "decimal"}
    if kind == "string" and format_ in _FORMATS:
        return {"type": "string", "format": format_}
    return {"type": kind}


def _of_objects(schema: dict[str, Any], refer: Refer) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
    if properties:
        # What must be there is told, also where nothing else is said of it.
        members = properties | {name: True for name in required if name not in properties}
        shape["properties"] = {name: shape_of(one, refer) for name, one in members.items()}
        if required:
            shape["required"] = sorted(required)
    others = [schema.get("additionalProperties")]
    if not properties and isinstance(patterns := schema.get("patternProperties"), dict):
        others += patterns.values()
    shapes = [shape_of(one, refer) for one in others if isinstance(one, dict)]
    if shapes:
        shape["additionalProperties"] = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    if shape and "type" not in schema:
        shape["type"] = "object"
    return shape


def _of_arrays(schema: dict[str, Any], refer: Refer) -> dict[str, Any]:
    items = schema.get("items")
    # The items of draft 7 can be several schemas too.
    first = _list(schema.get("prefixItems")) or _list(items)
    shape: dict[str, Any] = {}
    if first:
        shape["prefixItems"] = [shape_of(one, refer) for one in first]
    elif isinstance(items, dict):
        shape["items"] = shape_of(items, refer)
    if shape and "type" not in schema:
        shape["type"] = "array"
    return shape
