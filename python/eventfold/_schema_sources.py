"""JSON Schemas: where their text comes from. A class of a library is described by the library."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from eventfold._json import encode
from eventfold._models import kind_of
from eventfold._sources import source_or_file

SchemaLike: TypeAlias = str | Path | Mapping[str, Any] | type[Any]
"""A JSON Schema: a path (a `Path`, or text that ends in `.json`), a mapping, JSON text; or a class
that stands for one: a pydantic model, a msgspec Struct, or a dataclass, for which pydantic or else
msgspec must be installed."""


def schema_source(schema: SchemaLike) -> str:
    """The text of a schema.

    Raises:
        OSError: the file cannot be read.
        InvalidValue: the mapping has no JSON form.
        TypeError: it is none of the possible things, or the library has no schema for the class.
    """
    if isinstance(schema, type):
        return encode(_of_class(schema)).decode()
    # `true` and `false` are schemas too.
    if isinstance(schema, str) and schema.strip() in ("true", "false"):
        return schema
    return source_or_file(schema)


def _of_class(model: type[Any]) -> Any:
    kind = kind_of(model)
    if kind == "pydantic":
        return model.model_json_schema()
    if kind == "msgspec":
        return importlib.import_module("msgspec").json.schema(model)
    if kind is None:
        wanted = "a pydantic model, a msgspec Struct or a dataclass"
        raise TypeError(f"a schema can be that of {wanted}, not of {model!r}")
    if (pydantic := _installed("pydantic")) is not None:
        return pydantic.TypeAdapter(model).json_schema()
    if (msgspec := _installed("msgspec")) is not None:
        return msgspec.json.schema(model)
    raise TypeError("the schema of a dataclass needs pydantic or msgspec, and neither is installed")


def _installed(library: str) -> ModuleType | None:
    try:
        return importlib.import_module(library)
    except ImportError:
        return None
