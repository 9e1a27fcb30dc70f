"""Documents of folds and projections: where their text comes from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from eventfold._json import encode

Document: TypeAlias = str | Path | Mapping[str, Any]
"""A document of a fold or a projection: a path (a `Path`, or text that ends in `.yaml`, `.yml` or
`.json`), a mapping, or text of several lines; YAML or JSON."""

_SUFFIXES = (".yaml", ".yml", ".json")


def source_of(document: Document) -> str | None:
    """The text of a document; None for a plain text, which may be a name.

    Raises:
        OSError: the file cannot be read.
        InvalidValue: the mapping has no JSON form.
        TypeError: it is none of the possible things.
    """
    if isinstance(document, os.PathLike):
        return Path(document).read_text(encoding="utf-8")
    if isinstance(document, str):
        if "\n" in document or document.lstrip().startswith("{"):
            return document
        is_path = document.lower().endswith(_SUFFIXES)
        return Path(document).read_text(encoding="utf-8") if is_path else None
    if isinstance(document, Mapping):
        return encode(document).decode()
    raise TypeError(f"a document is a path, a mapping or text, not {type(document).__name__}")


def source_or_file(document: Document) -> str:
    """The text of a document; a plain text is taken for a path.

    Raises:
        OSError: the file cannot be read.
    """
    source = source_of(document)
    return Path(str(document)).read_text(encoding="utf-8") if source is None else source
