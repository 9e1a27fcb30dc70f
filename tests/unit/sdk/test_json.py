"""Goal: what Python hands in arrives at the server digit by digit, and comes back so.

Method: encode and decode single values and random ones; every refusal names the place.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import types
import uuid
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from eventfold import InvalidValue
from eventfold._json import as_uuid_text, decode, encode


@dataclasses.dataclass
class Money:
    amount: Decimal
    currency: str = "EUR"


class Color(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), b"1.10"),
        (Decimal("1E+5"), b"1E+5"),
        (Decimal("-0"), b"-0"),
        (Decimal("123456789012345678901234567890.123"), b"123456789012345678901234567890.123"),
        (2**64, b"18446744073709551616"),
        (-(2**63) - 1, b"-9223372036854775809"),
        ([{"x": 2**70}], b'[{"x":1180591620717411303424}]'),
        (Money(Decimal("1.0")), b'{"amount":1.0,"currency":"EUR"}'),
        (
            [2**70, Money(Decimal("1.0"))],
            b'[1180591620717411303424,{"amount":1.0,"currency":"EUR"}]',
        ),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), b'"2026-01-02T03:04:05.000006Z"'),
        (
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
            b'"2026-01-02T00:00:00-05:00"',
        ),
        (
            dt.datetime(1900, 1, 1, tzinfo=dt.timezone(dt.timedelta(minutes=53, seconds=28))),
            b'"1899-12-31T23:06:32Z"',
        ),
        (dt.date(2026, 1, 2), b'"2026-01-02"'),
        (Color.RED, b'"red"'),
        (types.MappingProxyType({"a": (1, None)}), b'{"a":[1,null]}'),
        ({"ready": b'{"n": 1.50}'}, b'{"ready":{"n": 1.50}}'),
    ],
)
def test_encode(value: Any, text: bytes) -> None:
    assert encode(value) == text


def test_an_int_of_any_length_is_written_and_read() -> None:
    value = 10**9_999 + 7
    text = encode({"n": value})
    assert len(text) == 10_000 + len('{"n":}')
    assert decode(text) == {"n": Decimal(value)}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [0, float("nan")]}, "a[1]"),
        ({"a": float("-inf"), "n": None}, "a"),
        ({"a": Decimal("NaN")}, "a"),
        ({"a": Decimal("Infinity")}, "a"),
        ({"a": {"b": {1, 2}}}, "a.b"),
        ({"a": [{3: 4}]}, "a[0]"),
        ({"a": "\ud800"}, "a"),
        ({"at": dt.datetime(2026, 1, 2)}, "at"),  # noqa: DTZ001
        ([2**99, {"z": object()}], "[1].z"),
        (Money(Decimal("NaN")), "amount"),
        ({"ready": b"{x"}, "ready"),
    ],
)
def test_a_value_without_a_json_form_is_refused_with_its_place(value: Any, path: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        encode(value)
    assert caught.value.path == path
    assert caught.value.problem


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidValue):
        encode(loop)
    with pytest.raises(InvalidValue):
        encode([2**99, loop])


def test_decode_keeps_every_digit() -> None:
    text = b'{"a":1.10,"b":1e2,"c":12345678901234567890123,"d":7,"e":[0.1]}'
    assert decode(text) == {
        "a": Decimal("1.10"),
        "b": Decimal("1E+2"),
        "c": 12345678901234567890123,
        "d": 7,
        "e": [Decimal("0.1")],
    }
    assert str(decode(text)["a"]) == "1.10"


def test_decode_as_float() -> None:
    value = decode(b'{"a":1.10,"d":7}', "float")
    assert value == {"a": 1.1, "d": 7}
    assert isinstance(value["a"], float)


def test_a_deleted_payload_is_an_empty_object() -> None:
    assert decode(b"") == {}


@pytest.mark.parametrize("text", [b"{", b"nope", b"1e99999999999999999999", b"[" * 100_000])
def test_what_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidValue):
        decode(text)


numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab", max_size=3), inner),
    max_leaves=20,
)


@hypothesis.given(values)
def test_what_was_encoded_decodes_to_the_same(value: Any) -> None:
    def plain(item: Any) -> Any:
        # A Decimal without fraction and exponent is written as an int.
        if isinstance(item, Decimal) and str(item).lstrip("-").isdecimal():
            return int(item)
        if isinstance(item, list):
            return [plain(part) for part in item]
        if isinstance(item, dict):
            return {key: plain(part) for key, part in item.items()}
        return item

    text = encode(value)
    json.loads(text)
    assert decode(text) == plain(value)


@pytest.mark.parametrize("text", ["", "x", "{00000000-0000-0000-0000-000000000001}", "0" * 32])
def test_a_uuid_has_one_form(text: str) -> None:
    with pytest.raises(InvalidValue):
        as_uuid_text(text)


def test_a_uuid_is_lower_case() -> None:
    assert as_uuid_text("ABCDEF00-0000-0000-0000-000000000001") == (
        "abcdef00-0000-0000-0000-000000000001"
    )
