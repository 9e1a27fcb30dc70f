"""Goal: JSON decoded in Rust is what the standard library makes of it, where both take it.

Method: random documents and random damage against `json.loads`; single refusals.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from eventfold import _core

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30
)


def reference(text: bytes, numbers: str) -> Any:
    if numbers == "decimal":
        return json.loads(text, parse_float=Decimal)

    def parse_int(digits: str) -> int | float:
        value = int(digits)
        return value if -(1 << 63) <= value < 1 << 64 else float(digits)

    return json.loads(text, parse_int=parse_int)


def shape(value: Any) -> Any:
    """The value with its types and, of decimals, all that they hold."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, Decimal):
        return value.as_tuple()
    return type(value), value


@hypothesis.given(values, st.booleans(), st.sampled_from([None, 1]))
def test_what_json_writes(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    for numbers in ("decimal", "float"):
        found = _core.decode_json(text, numbers)  # type: ignore[arg-type]
        assert shape(found) == shape(reference(text, numbers))


@hypothesis.given(
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{0,3})?([eE][+-]?[0-9]{0,2})?", fullmatch=True)
)
def test_numbers(text: str) -> None:
    try:
        wanted = shape(json.loads(text, parse_float=Decimal))
    except ValueError:
        with pytest.raises(_core.CoreError):
            _core.decode_json(text.encode())
        return
    assert shape(_core.decode_json(text.encode())) == wanted


@hypothesis.given(values, st.data())
def test_damaged_text_is_refused_or_read_the_same(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value, ensure_ascii=False).encode())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] = data.draw(st.integers(0, 255) | st.sampled_from(list(b'"\\{}[],:0-.e')))
    damaged = bytes(text)
    refusal: Any = None
    found: Any = None
    try:
        found = _core.decode_json(damaged)
    except _core.CoreError as error:
        refusal = error
    if refusal is None:
        assert shape(found) == shape(json.loads(damaged, parse_float=Decimal))
    else:
        assert refusal.reason == "INVALID_JSON"
        assert 0 <= int(refusal.facts["offset"]) <= len(damaged)


@hypothesis.given(st.binary(max_size=40))
def test_any_bytes(text: bytes) -> None:
    try:
        found = _core.decode_json(text)
    except _core.CoreError:
        return
    assert shape(found) == shape(json.loads(text, parse_float=Decimal))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "missing"),
        (b"1 2", "follows"),
        (b"NaN", "missing"),
        (b"-Infinity", "number"),
        (b"truth", "missing"),
        (b"[1,]", "missing"),
        (b'{"a":1,}', "key is missing"),
        (b'{"a":1 "b":2}', "`,`"),
        (b'{"a":1,"b":2,"a":3}', "twice"),
        (b'"\n"', "control"),
        (b'"a', "does not end"),
        (b'"a\\', "does not end"),
        (b'"\\x"', "escape"),
        (b'"\\ud800"', "escape"),
        (b'"\\udc00"', "escape"),
        (b'"\\ud800\\u0041"', "escape"),
        (b'"\xff"', "UTF-8"),
        (b"01", "number"),
        (b"-", "number"),
        (b"1.", "digit"),
        (b"1e+", "digit"),
        (b"1e99999999999999999999", "exponent"),
        (b"[" * 257 + b"]" * 257, "deep"),
    ],
)
def test_refusals(text: bytes, problem: str) -> None:
    with pytest.raises(_core.CoreError, match=problem):
        _core.decode_json(text)


def test_as_deep_as_allowed() -> None:
    found = _core.decode_json(b"[" * 256 + b"]" * 256)
    for _ in range(255):
        [found] = found
    assert found == []


def test_keys_are_one_object_over_calls() -> None:
    name = f"key_{id(object())}"
    text = json.dumps({name: {name: 1}}).encode()
    [first] = _core.decode_json(text)
    [second] = _core.decode_json(text)
    assert first is second
    assert next(iter(_core.decode_json(text)[name])) is first


def test_more_keys_than_are_remembered() -> None:
    wanted = {f"k{index}": index for index in range(5_000)}
    text = json.dumps(wanted).encode()
    for _ in range(2):
        assert _core.decode_json(text) == wanted


def test_an_unknown_form_of_numbers() -> None:
    wrong: Any = "text"
    with pytest.raises(_core.CoreError, match="decimal"):
        _core.decode_json(b"1", wrong)


def test_a_number_that_a_float_cannot_hold() -> None:
    for text in (b"1e999", b"-" + b"9" * 400):
        with pytest.raises(_core.CoreError, match="float"):
            _core.decode_json(text, "float")
