"""Decoded JSON as objects of dataclasses, by their annotations; exact, and strict about types."""

import base64
import binascii
import dataclasses
import datetime as dt
import enum
import functools
import math
import re
import types
import typing
import uuid
from collections import abc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

# As the core writes them: whole seconds and at most nine digits.
_DURATION = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s")


class Misfit(Exception):
    """A value does not fit the annotation at its place."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def build(model: type[Any], value: Any, path: str) -> Any:
    """An object of a dataclass. Members that the class does not know are passed over.

    Raises:
        Misfit: a value has another type than its annotation says, or is missing.
    """
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    made = {}
    hints = _hints(typing.cast(abc.Hashable, model))
    for field in dataclasses.fields(model):
        if not field.init:
            continue
        place = f"{path}.{field.name}" if path else field.name
        if field.name in value:
            made[field.name] = fit(hints[field.name], value[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Misfit(place, "it is missing")
    return model(**made)


@functools.lru_cache(maxsize=256)
def _hints(model: abc.Hashable) -> dict[str, Any]:
    return typing.get_type_hints(model)


def fit(hint: Any, value: Any, path: str) -> Any:
    """The value as an object of the annotated type.

    Raises:
        Misfit: it is none.
        TypeError: the annotation is none that this module knows.
    """
    hint = _bare(hint)
    if hint is Any or hint is object:
        return value
    if hint is None or hint is type(None):
        if value is not None:
            raise _wrong(path, "null", value)
        return None
    scalar = _SCALARS.get(hint) if isinstance(hint, abc.Hashable) else None
    if scalar is not None:
        return scalar(value, path)
    origin = typing.get_origin(hint)
    if origin is not None:
        return _generic(hint, origin, value, path)
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return build(hint, value, path)
        if issubclass(hint, enum.Enum):
            return _enum(hint, value, path)
        if issubclass(hint, list | tuple | set | frozenset):
            return _items(hint, Any, value, path)
        if issubclass(hint, dict):
            return _mapping(Any, value, path)
    raise TypeError(f"{hint!r} (at {path}) is no annotation that a state can be read into")


def _bare(hint: Any) -> Any:
    """The annotation without what says nothing of its type."""
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif isinstance(hint, typing.TypeVar):
            return Any
        elif hasattr(hint, "__value__"):
            # `type X = ...` of Python 3.12.
            hint = hint.__value__
        elif typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        else:
            return hint


def _wrong(path: str, wanted: str, value: Any) -> Misfit:
    """Names the type of the value, never the value."""
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        Decimal: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    found = names.get(type(value), type(value).__name__)
    return Misfit(path, f"{wanted} is expected, not {found}")


def _exactly(kind: type, wanted: str) -> Callable[[Any, str], Any]:
    def convert(value: Any, path: str) -> Any:
        if type(value) is not kind:
            raise _wrong(path, wanted, value)
        return value

    return convert


def _int(value: Any, path: str) -> int:
    if type(value) is int:
        return value
    # A number such as 1e2 that was only moved.
    if isinstance(value, Decimal) and value.adjusted() < 20 and value == value.to_integral_value():
        return int(value)
    raise _wrong(path, "an integer", value)


def _decimal(value: Any, path: str) -> Decimal:
    if type(value) is int or isinstance(value, Decimal):
        return Decimal(value)
    raise _wrong(path, "a number", value)


def _float(value: Any, path: str) -> float:
    found = float(_decimal(value, path))
    if math.isinf(found):
        raise Misfit(path, "the number is too large for a float")
    return found


def _parsed(parse: Callable[[str], Any], wanted: str) -> Callable[[Any, str], Any]:
    def convert(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise _wrong(path, wanted, value)
        try:
            return parse(value)
        except (ValueError, OverflowError, binascii.Error):
            raise Misfit(path, f"{wanted} is expected, not any text") from None

    return convert


def _duration(text: str) -> dt.timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    sign, seconds, fraction = found.groups()
    micros = int((fraction or "").ljust(6, "0")[:6])
    length = dt.timedelta(seconds=int(seconds), microseconds=micros)
    return -length if sign else length


def _micros_only(text: str) -> dt.datetime:
    """A time of RFC 3339; Python cuts what is below a microsecond."""
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    str: _exactly(str, "a text"),
    bool: _exactly(bool, "a boolean"),
    int: _int,
    Decimal: _decimal,
    float: _float,
    dt.datetime: _parsed(_micros_only, "a time with an offset"),
    dt.date: _parsed(dt.date.fromisoformat, "a date"),
    dt.timedelta: _parsed(_duration, "a duration such as 3.5s"),
    uuid.UUID: _parsed(uuid.UUID, "a UUID"),
    bytes: _parsed(lambda text: base64.b64decode(text, validate=True), "base64"),
}


def _enum(hint: type[enum.Enum], value: Any, path: str) -> Any:
    try:
        return hint(value)
    except ValueError:
        raise Misfit(path, f"the value is none of {hint.__name__}") from None


def _generic(hint: Any, origin: Any, value: Any, path: str) -> Any:
    arguments = typing.get_args(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _union(arguments, value, path)
    if origin is typing.Literal:
        if any(value == known and type(value) is type(known) for known in arguments):
            return value
        raise Misfit(path, "the value is none of those that are allowed")
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return _fixed_tuple(arguments, value, path)
    if origin in (list, tuple, set, frozenset):
        return _items(origin, arguments[0], value, path)
    if origin in (abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence):
        return _items(list, arguments[0], value, path)
    if origin in (abc.Set, abc.MutableSet):
        return _items(set, arguments[0], value, path)
    if origin in (dict, abc.Mapping, abc.MutableMapping):
        return _mapping(arguments[1], value, path)
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        return build(origin, value, path)
    raise TypeError(f"{hint!r} (at {path}) is no annotation that a state can be read into")


def _union(arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    first: Misfit | None = None
    for hint in arguments:
        try:
            return fit(hint, value, path)
        except Misfit as misfit:
            # The one that got furthest says most.
            if first is None or len(misfit.path) > len(first.path):
                first = misfit
    assert first is not None
    raise first


def _items(kind: Any, hint: Any, value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise _wrong(path, "a list", value)
    return kind(fit(hint, item, f"{path}[{index}]") for index, item in enumerate(value))


def _fixed_tuple(hints: tuple[Any, ...], value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise _wrong(path, "a list", value)
    if len(value) != len(hints):
        raise Misfit(path, f"a list of {len(hints)} is expected, not of {len(value)}")
    pairs = enumerate(zip(hints, value, strict=True))
    return tuple(fit(hint, item, f"{path}[{index}]") for index, (hint, item) in pairs)


def _mapping(hint: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    return {key: fit(hint, item, f"{path}.{key}") for key, item in value.items()}
