"""Goal: files of JSON lines become events, each fault named with its file and line."""

from __future__ import annotations

import datetime as dt
import io
import uuid

import pytest

from eventfold import Event
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.lines import event_of_line, parse_lines

ID = "00000000-0000-4000-8000-000000000001"


def events(text: bytes, *, has_stream: bool = True) -> list[Event]:
    lines = parse_lines(io.BytesIO(text), "f.jsonl", has_stream=has_stream)
    return [event_of_line(line) for line in lines]


def test_a_line_has_all_of_an_event() -> None:
    line = (
        f'{{"stream":"a-1","type":"T","data":{{"n":1.50,"m":[1E2]}},"metadata":{{"k":0.10}},'
        f'"tags":["x","y"],"id":"{ID}","occurred_at":"1997-01-02"}}'
    )
    [event] = events(line.encode())
    assert event.type == "T"
    assert event.data_json == b'{"n":1.50,"m":[1E2]}'
    assert event.metadata_json == b'{"k":0.10}'
    assert event.tags == ("x", "y")
    assert event.id == ID
    assert event.occurred_at == dt.datetime(1997, 1, 2, tzinfo=dt.UTC)


def test_only_the_type_is_needed() -> None:
    first, second = events(b'{"type":"A"}\n\n  \r\n{"type":"B"}', has_stream=False)
    assert (first.data_json, first.metadata_json, first.tags) == (b"{}", b"", ())
    assert first.id != second.id


def test_a_byte_order_mark_is_passed_over() -> None:
    assert events(b'\xef\xbb\xbf{"type":"A"}')[0].type == "A"


def test_an_id_is_only_made_where_none_is_named() -> None:
    default = uuid.UUID(int=7)
    line, named = parse_lines(
        io.BytesIO(f'{{"type":"A"}}\n{{"type":"A","id":"{ID}"}}'.encode()), "f"
    )
    assert event_of_line(line, default).id == str(default)
    assert event_of_line(named, default).id == ID


def test_what_read_prints_is_taken() -> None:
    [event] = events(
        b'{"id":"00000000-0000-4000-8000-000000000001","stream":"a-1","type":"T","version":1,'
        b'"position":1,"recorded_at":"2026-01-01T00:00:00Z","occurred_at":"2026-01-01T00:00:00Z",'
        b'"writer":"w","data":{},"metadata":{},"tags":[],"flags":1,"copied_from":null,'
        b'"cancels":null,"trace_context":null,"deleted":false}'
    )
    assert event.id == ID


def test_flags_that_do_not_concern_it_are_passed_over() -> None:
    lines = [b'{"type":"A","flags":%s}' % flags for flags in (b"17", b"0", b'"x"', b"null", b"1.5")]
    assert len(events(b"\n".join(lines))) == len(lines)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b'{"type":"A","type":"B"}', "stands twice"),
        (b'{"type":"A","data":{"a":1,"a":2}}', "stands twice"),
        (b'{"type":"A","data":{"a":NaN}}', "JSON has no NaN"),
        (b'{"data":{}}', "`type` is missing"),
        (b'{"type":1}', "`type` is missing or is no text"),
        (b'{"type":"A","data":[]}', "`data` is no JSON object"),
        (b'{"type":"A","metadata":null}', "`metadata` is no JSON object"),
        (b'{"type":"A","tags":"x"}', "`tags` is no list"),
        (b'{"type":"A","tags":[1]}', "`tags` is no list"),
        (b'{"type":"A","id":"x"}', "not a UUID"),
        (b'{"type":"A","occurred_at":"x"}', "no time"),
        (b'{"type":"A","typo":1}', "no event has a field `typo`"),
        (b'{"type":"\\ud800"}', "surrogate"),
        (b'{"type":"A","data":{},"deleted":true}', "deleted"),
        (b'{"type":"A","data":{},"flags":33}', "read it with --raw"),
    ],
)
def test_a_fault_is_named_with_its_line(line: bytes, problem: str) -> None:
    with pytest.raises(Failure) as caught:
        events(b'{"type":"A"}\n' + line)
    assert problem in caught.value.message
    assert caught.value.facts == {"file": "f.jsonl", "line": "2"}
    assert caught.value.exit_code is ExitCode.INVALID_INPUT


def test_an_append_to_one_stream_has_no_stream_in_its_lines() -> None:
    with pytest.raises(Failure, match="field `stream`"):
        events(b'{"stream":"a-1","type":"A"}', has_stream=False)
