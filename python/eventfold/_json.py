"""JSON of events, metadata and states: exact numbers in both directions."""

import dataclasses
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from eventfold import _core
from eventfold._errors import InvalidValue

Numbers = Literal["decimal", "float"]

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME
# Far below the 4,300 digits at which Python refuses to convert a text to an int.
_INT_DIGITS_MAX = 4_000
# The server refuses JSON that nests deeper than 64 levels; orjson itself stops near 254.
_DEPTH_MAX = 200


def _time_text(value: dt.datetime) -> str:
    offset = value.utcoffset()
    if offset is None:
        raise InvalidValue(f"{value!r} has no time zone; give one, such as datetime.timezone.utc")
    if offset.total_seconds() % 60:
        # RFC 3339 has no seconds in offsets; historical local times do.
        value = value.astimezone(dt.UTC)
    text = value.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def _decimal_text(value: decimal.Decimal) -> str:
    if not value.is_finite():
        raise InvalidValue(f"JSON has no {value}")
    return str(value)


def _default(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return orjson.Fragment(_decimal_text(value))
    if isinstance(value, dt.datetime):
        return _time_text(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return orjson.Fragment(check_json(value))
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidValue(f"a {type(value).__name__} has no JSON form")


def check_json(text: bytes) -> bytes:
    """Returns `text` if it is JSON; the server checks it more strictly.

    Raises:
        InvalidValue: it is not.
    """
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidValue(f"the bytes are not JSON: {error}") from error
    return text


def encode(value: Any) -> bytes:
    """Encodes a value as JSON; numbers keep all of their digits.

    Beside JSON's own types it takes `Decimal`, ints of any length, aware `datetime` (RFC 3339),
    `date`, `UUID`, enums, dataclasses, other mappings, and `bytes` that hold ready JSON.

    Raises:
        InvalidValue: a part of the value has no JSON form: NaN, infinities, a `datetime` without
            a time zone, lone surrogates, keys that are not strings, other types.
    """
    try:
        text = orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, InvalidValue):
            raise _located(value, error.__cause__) from None
        if "64-bit" not in str(error):
            raise _located(value, InvalidValue(str(error))) from None
        text = _encode_long_ints(value)
    # orjson writes NaN and infinities as null; a null is rare enough to look where it is from.
    if b"null" in text:
        _refuse_nan(value, "")
    return text


def _encode_long_ints(value: Any) -> bytes:
    value = _with_long_ints(value, 0)
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        cause = error.__cause__
        reason = cause if isinstance(cause, InvalidValue) else InvalidValue(str(error))
        raise _located(value, reason) from None


def _with_long_ints(value: Any, depth: int) -> Any:
    """A copy whose ints beyond 64 bits are texts that orjson takes as they are."""
    if depth > _DEPTH_MAX:
        raise InvalidValue(f"the value nests deeper than {_DEPTH_MAX} levels")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        # Through Decimal, because str() of an int stops at 4,300 digits.
        text = str(value) if value.bit_length() < 3 * _INT_DIGITS_MAX else _long_int_text(value)
        return orjson.Fragment(text)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _with_long_ints(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_long_ints(item, depth + 1) for item in value]
    return value


def _long_int_text(value: int) -> str:
    with decimal.localcontext() as context:
        context.prec = decimal.MAX_PREC
        context.Emax = decimal.MAX_EMAX
        return format(decimal.Decimal(value), "f")


def _children(value: Any) -> list[tuple[str, Any]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f".{f.name}", getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [(f".{key}", item) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return []


def _at(path: str, problem: str) -> InvalidValue:
    place = path.lstrip(".") or "the top"
    return InvalidValue(f"{problem} (at {place})", {"path": place, "problem": problem})


def _refuse_nan(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _at(path, f"JSON has no {value}")
    for step, item in _children(value):
        _refuse_nan(item, path + step)


def _refused(value: Any) -> bool:
    try:
        orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return True
    return False


def _located(value: Any, reason: InvalidValue, path: str = "", depth: int = 0) -> InvalidValue:
    """The error with the path of the innermost part that cannot be encoded."""
    for step, item in _children(value) if depth < _DEPTH_MAX else []:
        if _refused(item):
            return _located(item, reason, path + step, depth + 1)
    return _at(path, reason.message)


def decode(text: bytes, numbers: Numbers = "decimal") -> Any:
    """Decodes JSON that the server sent; empty bytes count as `{}` (a deleted payload).

    With `numbers="decimal"` a number with fraction or exponent is a `Decimal` with all of its
    digits and ints have any length (beyond 4,000 digits they are `Decimal`); with `"float"`
    such numbers are floats, and so are ints beyond 64 bits.

    Raises:
        InvalidValue: the text is no JSON that the strict check of the server would pass (it may
            nest 256 levels deep), or holds a number that the class cannot hold.
    """
    if not text:
        return {}
    try:
        return _core.decode_json(text, numbers)
    except _core.CoreError as error:
        raise InvalidValue(f"{error.message}") from error


def as_uuid_text(value: str | uuid.UUID) -> str:
    """The canonical lower-case form of a UUID.

    Raises:
        InvalidValue: the text is not a UUID in canonical form (32 digits with hyphens).
    """
    if isinstance(value, uuid.UUID):
        return str(value)
    try:
        text = str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        text = ""
    if not text or text != value.lower():
        raise InvalidValue(f"{value!r} is not a UUID in canonical form")
    return text
