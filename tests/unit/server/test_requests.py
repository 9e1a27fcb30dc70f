"""Goal: the small checks and reckonings of the domain hold at their edges.

Method: each against a plain model, on drawn input.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventfold_server.domain import requests
from eventfold_server.domain.read import Span
from eventfold_server.errors import Refusal

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
EDGES = st.sampled_from(["\ud7ff", "\ue000", "\U0010ffff", "\x7f", "\x80", "\uffff", "\U00010000"])
NAMES = st.lists(st.one_of(TEXTS, EDGES), max_size=3).map("".join)


@given(NAMES, NAMES)
@example("\U0010ffff", "\U0010ffff\U0010ffff")
@example("a\ud7ff", "a\ue000")
def test_a_successor_parts_names_with_the_prefix_from_later_ones(prefix: str, name: str) -> None:
    upper = requests.behind_prefix(prefix)
    encoded = name.encode()
    inside = prefix.encode() <= encoded and (upper is None or encoded < upper.encode())
    assert inside == name.startswith(prefix) or (upper is None and prefix == "")
    if upper is None:
        assert set(prefix) <= {"\U0010ffff"}


@given(
    st.booleans(),
    st.none() | st.integers(1, 15),
    st.none() | st.integers(1, 15),
    st.integers(0, 12),
    st.lists(st.integers(1, 4), min_size=40, max_size=40),
)
def test_a_span_looks_at_all_once_and_in_order(
    backwards: bool, first: int | None, last: int | None, head: int, sizes: list[int]
) -> None:
    if not backwards and first is not None and first > head + 1:
        return  # refused before
    span = Span.of(backwards, first, last, head)
    seen: list[int] = []
    for size in sizes:
        if span.done():
            break
        lower, upper = span.ordered
        assert lower <= upper
        found = list(range(lower, upper + 1))
        found = (found[::-1] if backwards else found)[:size]
        seen += found
        span.look_at(found[-1])
        assert span.looked_at == seen[-1]
    span.look_at(None)
    assert span.done()
    if backwards:
        # An end beyond the head means the head.
        expected = list(range(min(first or head, head), min(last or 1, max(head, 1)) - 1, -1))
    else:
        expected = list(range(first or 1, min(last or head, head) + 1))
    assert seen == expected


@given(st.datetimes(timezones=st.just(dt.UTC)))
@example(dt.datetime(1, 1, 1, tzinfo=dt.UTC))
@example(dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC))
def test_times_survive_both_ways(time: dt.datetime) -> None:
    seconds, nanos = requests.to_seconds_nanos(time)
    assert 0 <= nanos < 1_000_000_000
    assert requests.to_datetime(requests.time_us(seconds, nanos, "t")) == time


@pytest.mark.parametrize(
    ("seconds", "nanos", "problem"),
    [
        (0, 1, "finer_than_microseconds"),
        (0, 999_999_999, "finer_than_microseconds"),
        (0, -1000, "finer_than_microseconds"),
        (0, 1_000_000_000, "finer_than_microseconds"),
        (-62_135_596_801, 999_999_000, "range"),
        (253_402_300_800, 0, "range"),
        ((1 << 63) - 1, 0, "range"),
        (-(1 << 63), 0, "range"),
    ],
)
def test_other_times_are_refused(seconds: int, nanos: int, problem: str) -> None:
    with pytest.raises(Refusal, match="INVALID_TIME") as refused:
        requests.time_us(seconds, nanos, "at_time")
    assert refused.value.facts == {"field": "at_time", "problem": problem}


@given(st.uuids())
def test_ids_are_canonical(id_: UUID) -> None:
    assert requests.event_id(str(id_)) == requests.event_id(str(id_).upper()) == id_
    others = (id_.hex, f"{{{id_}}}", f"urn:uuid:{id_}", f" {id_}", f"{id_}\n", str(id_)[:-1], "")
    for text in others:
        with pytest.raises(Refusal, match="INVALID_EVENT_ID"):
            requests.event_id(text)


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    with pytest.raises(Refusal, match="INVALID_EVENT_ID"):
        requests.event_id(text)


@pytest.mark.parametrize(("asked", "size"), [(0, 100), (1, 1), (1000, 1000)])
def test_page_sizes(asked: int, size: int) -> None:
    assert requests.page_size(asked) == size
    for wrong in (-1, 1001, (1 << 31) - 1, -(1 << 31)):
        with pytest.raises(Refusal, match="INVALID_REQUEST"):
            requests.page_size(wrong)
