"""Checks that several requests share, and the caller whom every request comes from."""

import asyncio
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    LIST_PAGE_SIZE_DEFAULT,
    LIST_PAGE_SIZE_MAX,
    UNARY_DEADLINE_S_MAX,
)
from eventfold_server.storage.views import View

Row = TypeVar("Row")

# The permission that opens personal values.
PERSONAL = "personal"

# An answer that the deadline ends is on its way this much before it, and at most a tenth of the
# time, so that it comes before gRPC gives up, which says nothing of heads and positions.
_ANSWER_S = 0.25

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The first and the last whole microsecond of the years 1 to 9999, from 1970.
TIME_US_MIN = -62_135_596_800_000_000
TIME_US_MAX = 253_402_300_799_999_999

_LAST_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


class Follow(enum.Enum):
    """Which streams of a line of periods a call means: the numbers of the proto's `Follow`."""

    ALONE = 0
    OPEN = 1
    ALL = 2


@dataclass(frozen=True)
class Caller:
    """Who makes a call."""

    # Name of the token, or `anonymous`.
    writer: str
    permissions: frozenset[str]
    # W3C traceparent that came with the call.
    trace_context: str | None = None
    # When the call's time is over, by the clock of the event loop; None: never.
    expires: float | None = None

    @property
    def personal(self) -> bool:
        """Whether personal values are opened for the caller."""
        return PERSONAL in self.permissions

    def view(self, *, raw: bool = False) -> View:
        """How events come to the caller; `raw`: without the mappings in force."""
        return View(raw, self.personal)


def waiting_time(caller: Caller) -> tuple[float, float]:
    """How long a call may wait before it must answer, and how long it may take in all; seconds."""
    left = UNARY_DEADLINE_S_MAX
    if caller.expires is not None:
        left = min(left, caller.expires - asyncio.get_running_loop().time())
    return left - min(_ANSWER_S, left / 10), left


def too_slow(problem: str, position: int, head: int, left: float) -> Refusal:
    """The refusal of a wait for a position that the deadline has ended."""
    return Refusal(
        "DEADLINE_EXCEEDED",
        problem,
        deadline_ms=round(left * 1000),
        requested=position,
        head=head,
    )


def readable_stream_name(name: str) -> None:
    """Checks the name of a stream that is read, which may be one of the system's (`$...`)."""
    try:
        _core.check_stream_name(name, system=True)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


def client_stream_name(name: str) -> None:
    """Checks the name of a stream that a client may change: none of the system's."""
    try:
        _core.check_stream_name(name)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


def invalid(field: str, problem: str, limit: int | None = None) -> Refusal:
    """The refusal of one field of a request."""
    return Refusal("INVALID_REQUEST", f"{field}: {problem}", field=field, problem=problem,
                   limit=limit)  # fmt: skip


def at_least(field: str, value: int, lower: int) -> int:
    """The value, if it is not below the limit."""
    if value < lower:
        raise invalid(field, f"must be at least {lower}", lower)
    return value


def at_least_position(position: int) -> int:
    """The position that a read waits for; 0: none."""
    return at_least("at_least_position", position, 0)


def follow(value: int) -> Follow:
    """What a request says of the streams of the line."""
    try:
        return Follow(value)
    except ValueError:
        raise invalid("follow", "is none of the known ones") from None


def text(field: str, value: str) -> str:
    """The text, if PostgreSQL can compare others with it: it has no NUL."""
    if "\0" in value:
        raise invalid(field, "must not hold NUL")
    return value


def behind_prefix(prefix: str) -> str | None:
    """The first text in byte order after all that start with the prefix; None: there is none.

    The byte order of UTF-8 is the order of code points.
    """
    for end in range(len(prefix), 0, -1):
        code_point = ord(prefix[end - 1]) + 1
        if code_point in _SURROGATES:
            code_point = _SURROGATES.stop
        if code_point <= _LAST_CODE_POINT:
            return prefix[: end - 1] + chr(code_point)
    return None


def at_most(field: str, values: Sequence[str], upper: int) -> Sequence[str] | None:
    """The values of a filter, None for no demand, if there are not too many."""
    if len(values) > upper:
        raise invalid(field, f"at most {upper} values", upper)
    return [text(field, value) for value in values] or None


def page_size(size: int) -> int:
    """The size of a listed page; 0 stands for the default."""
    if size == 0:
        return LIST_PAGE_SIZE_DEFAULT
    if not 0 < size <= LIST_PAGE_SIZE_MAX:
        raise invalid("page_size", f"must be from 1 to {LIST_PAGE_SIZE_MAX}", LIST_PAGE_SIZE_MAX)
    return size


def position_token(page_token: str) -> int:
    """The position behind which a page begins whose tokens are positions; empty: the first."""
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) <= 18):
        raise invalid("page_token", "is none of this list")
    return int(page_token)


def event_id(text: str) -> UUID:
    """The id, if it is a UUID in canonical form."""
    try:
        parsed = UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != text.lower():
        raise Refusal(
            "INVALID_EVENT_ID",
            "an event id is a UUID in canonical form: 32 hexadecimal digits with hyphens",
            problem="syntax",
        )
    return parsed


def time_us(seconds: int, nanos: int, field: str) -> int:
    """Microseconds since 1970 of a protobuf timestamp; INVALID_TIME if it is none."""
    problem = None
    if not 0 <= nanos <= 999_999_999 or nanos % 1000:
        problem = "finer_than_microseconds"
    microseconds = seconds * 1_000_000 + nanos // 1000
    if not TIME_US_MIN <= microseconds <= TIME_US_MAX:
        problem = "range"
    if problem:
        raise Refusal(
            "INVALID_TIME",
            "times are whole microseconds between the years 1 and 9999",
            field=field,
            problem=problem,
        )
    return microseconds


def to_datetime(microseconds: int) -> datetime:
    """The point in time, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_seconds_nanos(time: datetime) -> tuple[int, int]:
    """Seconds since 1970 and nanoseconds, as a protobuf timestamp has them."""
    delta = time - _EPOCH
    return delta.days * 86_400 + delta.seconds, delta.microseconds * 1000


def page_of(rows: list[Row], size: int) -> tuple[list[Row], bool]:
    """The rows of a page, of which one more than its size was asked for, and whether there are
    more.
    """
    return rows[:size], len(rows) > size
