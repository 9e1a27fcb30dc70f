"""Goal: text from the store is shown faithfully, and cannot move a terminal's cursor."""

from __future__ import annotations

import datetime as dt

import pytest

from eventfold.cli.text import (
    compact_json,
    dump_exactly,
    one_line,
    parse_exactly,
    pretty_json,
    printable,
    time_text,
)

NUMBERS = [
    b"1.10",
    b"0.1",
    b"-0",
    b"-0.0",
    b"1E400",
    b"1e-7",
    b"12345678901234567890123",
    b"9007199254740993",
    b"0.10000000000000000000000000001",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_keep_their_text(number: bytes) -> None:
    text = b'{"a":[' + number + b"]}"
    assert dump_exactly(parse_exactly(text)) == text
    assert compact_json(text) == text.decode()
    assert number.decode() in pretty_json(text)


def test_objects_keep_their_order() -> None:
    assert compact_json(b'{ "b" : 1, "a" : {"d": null, "c": [true, false]} }') == (
        '{"b":1,"a":{"d":null,"c":[true,false]}}'
    )


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b"[NaN]", b"[Infinity]", b"{", b"", b"[1,]"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are Python's own
        parse_exactly(text)


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[31m\x9b\u202e\u200b\U000e0001é") == (
        "a\\u001b[31m\\u009b\\u202e\\u200b\\U000e0001é"
    )
    assert printable("a\nb\tc", keep="\n") == "a\nb\\u0009c"
    # JSON may hold them raw, save the lowest ones.
    assert compact_json('{"a":"\x9b\u202e"}'.encode()) == '{"a":"\\u009b\\u202e"}'


def test_one_line_is_one_line() -> None:
    assert one_line("  a\nb\r") == "  a b\\u000d"


def test_times_are_utc_with_the_digits_that_they_have() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert time_text(dt.datetime(1997, 1, 1, 1, tzinfo=zone)) == "1996-12-31T23:00:00Z"
    assert time_text(dt.datetime(1, 1, 1, 0, 0, 0, 1, dt.UTC)) == "0001-01-01T00:00:00.000001Z"
    assert time_text(None) == ""
