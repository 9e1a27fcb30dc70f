"""Goal: what people type is read as they mean it, or refused with a sentence."""

from __future__ import annotations

import datetime as dt

import pytest
import typer

from eventfold import ANY, EXISTS, ExpectedVersion
from eventfold.cli.values import expected_version, moment, point_in_time

UTC = dt.UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("17", 17), ("9" * 18, int("9" * 18)), ("exists", EXISTS), ("any", ANY)],
)
def test_expected_versions(text: str, expected: ExpectedVersion) -> None:
    assert expected_version(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.0", "Any", "1e3", "²", "٣", "9" * 40, " 1"])
def test_other_versions_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no version"):
        expected_version(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1997-12-31T12:00:00Z", dt.datetime(1997, 12, 31, 12, tzinfo=UTC)),
        ("1997-12-31t12:00:00z", dt.datetime(1997, 12, 31, 12, tzinfo=UTC)),
        ("1997-12-31 12:00", dt.datetime(1997, 12, 31, 12, tzinfo=UTC)),
        ("1997-12-31T12:00:00.5+02:00", dt.datetime(1997, 12, 31, 10, 0, 0, 500_000, UTC)),
        ("1997-12-31T23:30:00-01:30", dt.datetime(1998, 1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00.000001Z", dt.datetime(1, 1, 1, 0, 0, 0, 1, UTC)),
    ],
)
def test_times(text: str, expected: dt.datetime) -> None:
    assert point_in_time(text) == moment(text) == expected


def test_a_date_alone_is_the_whole_day_for_a_question_and_its_begin_for_an_event() -> None:
    assert point_in_time("1997-12-31") == dt.datetime(1997, 12, 31, 23, 59, 59, 999_999, UTC)
    assert moment("1997-12-31") == dt.datetime(1997, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1997-13-01",
        "1997-02-29",
        "1997-1-1",
        "19970101",
        "1997-01-01T25:00:00Z",
        "1997-01-01T00:00:00.1234567Z",
        "1997-01-01T00:00:00+24:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "1997-01-01T00:00:00Z ",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no time"):
        point_in_time(text)
