"""What people type: expectations, times, JSON; each with an error that says what was meant."""

import base64
import datetime as dt
import enum
import re
from typing import Annotated

import typer

from eventfold import ANY, EXISTS, ExpectedVersion, Follow
from eventfold.cli.failures import ExitCode, Failure

_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<clock>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?P<zone>[Zz]|[+-]\d{2}:\d{2})?)?"
)


class Periods(enum.Enum):
    """Which streams of a line of periods are meant."""

    OPEN = "open"
    ALL = "all"


PeriodsOption = Annotated[
    Periods | None,
    typer.Option(
        "--periods",
        help="open: the last stream of the line of periods, in place of STREAM. all: all of its "
        "streams, as if they were one.",
    ),
]


def follow_of(periods: Periods | None) -> Follow | None:
    """The same for a call of the client."""
    match periods:
        case Periods.OPEN:
            return "open"
        case Periods.ALL:
            return "all"
    return None


def expected_version(text: str) -> ExpectedVersion:
    """Reads `--expected`.

    Raises:
        BadParameter: it is no number, and neither `exists` nor `any`.
    """
    if text == "exists":
        return EXISTS
    if text == "any":
        return ANY
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    raise typer.BadParameter(f"{text!r} is no version: a number from 0, `exists` or `any`")


def point_in_time(text: str) -> dt.datetime:
    """Reads a time: RFC 3339; a date alone means its end, so that `--occurred-at 1997-12-31`
    takes in all of that day; without an offset it is UTC.

    Raises:
        BadParameter: it is no such time.
    """
    return _time(text, dt.time.max)


def moment(text: str) -> dt.datetime:
    """Reads when something happened: RFC 3339; a date alone means its beginning; without an
    offset it is UTC.

    Raises:
        BadParameter: it is no such time.
    """
    return _time(text, dt.time.min)


def _time(text: str, clock_of_a_date: dt.time) -> dt.datetime:
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        date = dt.date.fromisoformat(found["date"])
        if found["clock"] is None:
            return dt.datetime.combine(date, clock_of_a_date, dt.UTC)
        clock = dt.time.fromisoformat(found["clock"])
        zone = dt.UTC
        if found["zone"] and found["zone"] not in "Zz":
            offset = dt.time.fromisoformat(found["zone"][1:])
            delta = dt.timedelta(hours=offset.hour, minutes=offset.minute)
            zone = dt.timezone(-delta if found["zone"][0] == "-" else delta)
        return dt.datetime.combine(date, clock, zone).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time: 2026-03-01, 2026-03-01T12:00:00Z or with an offset"
        ) from None


def json_argument(text: str, name: str) -> bytes:
    """The bytes of a JSON text on the command line; the SDK and the server check what it is.

    Raises:
        Failure: it holds bytes that are no UTF-8.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Failure(
            "INVALID_VALUE", f"{name} is not UTF-8", ExitCode.INVALID_INPUT, {"field": name}
        ) from None


def resume_token(text: str) -> bytes:
    """Reads a resume token as `token_text` wrote it.

    Raises:
        BadParameter: it is none.
    """
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no resume token") from None


def token_text(token: bytes) -> str:
    """A resume token for the command line."""
    return base64.urlsafe_b64encode(token).decode()
