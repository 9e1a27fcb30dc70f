"""Stream names, and the ways to say which fold is meant."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from eventfold._generated.errors import InvalidStreamName
from eventfold._json import encode
from eventfold.v1 import folds_pb2

FoldLike: TypeAlias = str | Path | Mapping[str, Any]
"""A fold: the name of a registered one, a path of a document (a `Path`, or text that ends in
`.yaml`, `.yml` or `.json`), a document as a mapping, or a document as text of several lines."""

_SUFFIXES = (".yaml", ".yml", ".json")


def stream_name(category: str, id: str) -> str:
    """The name of the stream of an aggregate, `category-id`.

    Raises:
        InvalidStreamName: the category holds a `-` (the rest of it would become part of the
            id), or one of the two is empty.
    """
    if not category or "-" in category:
        problem = "the category is empty" if not category else "the category holds a `-`"
        raise InvalidStreamName(problem, {"problem": problem})
    if not id:
        raise InvalidStreamName("the id is empty", {"problem": "the id is empty"})
    return f"{category}-{id}"


def _is_path(fold: FoldLike) -> bool:
    if isinstance(fold, os.PathLike):
        return True
    return isinstance(fold, str) and "\n" not in fold and fold.lower().endswith(_SUFFIXES)


def fold_source(fold: FoldLike) -> str | None:
    """The text of a fold document; None if `fold` is the name of a registered one.

    Raises:
        OSError: the file cannot be read.
        InvalidValue: the mapping has no JSON form.
        TypeError: `fold` is none of the possible things.
    """
    if _is_path(fold):
        return Path(str(fold)).read_text(encoding="utf-8")
    if isinstance(fold, str):
        return fold if "\n" in fold or fold.lstrip().startswith("{") else None
    if isinstance(fold, Mapping):
        return encode(fold).decode()
    raise TypeError(f"a fold is a name, a path or a mapping, not {type(fold).__name__}")


def fold_ref(fold: FoldLike) -> folds_pb2.FoldRef:
    """The fold of a request."""
    source = fold_source(fold)
    if source is None:
        return folds_pb2.FoldRef(name=str(fold))
    return folds_pb2.FoldRef(source=source)


def fold_document(fold: FoldLike) -> str:
    """The text of a fold document; a plain text is taken for a path.

    Raises:
        OSError: the file cannot be read.
    """
    source = fold_source(fold)
    return Path(str(fold)).read_text(encoding="utf-8") if source is None else source
