"""The events and the streams of every benchmark: the same for all stores.

Standard library only: drivers of peers import it too.
"""

from __future__ import annotations

import math
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Streams that reads and hydrations are measured on, by their number of events.
LENGTHS = (100, 1_000, 10_000, 100_000)
# All other streams have so many, and a living store works on so many of them at a time.
FILLER_LENGTH = 100
FILLERS_AT_ONCE = 200
# Events that a stream gets in one go, before others get theirs.
RUN_LENGTH = 10

CATEGORY = "account"

# Of the folds without a server.
FOLD_EVENTS = 10_000

FOLD = {
    "fold": "account",
    "initial": {"balance": 0, "deposits": 0, "open": False, "limit": 0},
    "handlers": {
        "AccountOpened": {"owner": "event.account", "open": True},
        "MoneyDeposited": {
            "balance": "state.balance + event.amount",
            "deposits": "state.deposits + 1",
        },
        "MoneyWithdrawn": {"balance": "state.balance - event.amount"},
        "LimitSet": {"limit": "event.limit"},
        "AccountClosed": {"open": False},
    },
}
# The same, of which no state is kept: every hydration reads the stream from its first event.
COLD_FOLD = {**FOLD, "fold": "cold", "keep": "off"}


@dataclass(frozen=True)
class Run:
    """Some events in a row of one stream; `first` is the version before the first of them."""

    stream: str
    first: int
    count: int


def stream_of(length: int) -> str:
    """The stream of that many events that reads are measured on."""
    return f"{CATEGORY}-{length}"


def filler(number: int) -> str:
    """A stream of FILLER_LENGTH events."""
    return f"{CATEGORY}-f{number}"


def lengths_within(events: int) -> tuple[int, ...]:
    """The measured streams that a store of so many events has room for."""
    return tuple(length for length in LENGTHS if length * 2 <= events) or LENGTHS[:1]


def fillers_within(events: int) -> int:
    """How many fillers a store of so many events holds."""
    return (events - sum(lengths_within(events))) // FILLER_LENGTH


def layout(events: int) -> Iterator[Run]:
    """A log of so many events (whole fillers), interleaved as that of a living store.

    The measured streams grow evenly over the whole log. Between their runs stand those of the
    fillers, of which FILLERS_AT_ONCE are alive at any time.
    """
    measured = [(stream_of(length), length) for length in lengths_within(events)]
    # Every run has its place between 0 and 1; what falls on the same place keeps this order.
    runs = [
        ((number + 0.5) / (length // RUN_LENGTH), Run(stream, number * RUN_LENGTH, RUN_LENGTH))
        for stream, length in measured
        for number in range(length // RUN_LENGTH)
    ]
    runs += filler_runs(0, fillers_within(events))
    runs.sort(key=lambda placed: placed[0])
    for _, run in runs:
        yield run


def filler_runs(first: int, count: int) -> list[tuple[float, Run]]:
    """The runs of the fillers from `first` on, each with its place between 0 and 1."""
    if count == 0:
        return []
    runs_each = FILLER_LENGTH // RUN_LENGTH
    window = min(1.0, FILLERS_AT_ONCE / count)
    placed = []
    for number in range(count):
        begin = number / count * (1 - window)
        # The golden ratio spreads the fillers that begin together.
        begin += window / runs_each * math.fmod(number * 0.6180339887, 1)
        for run in range(runs_each):
            place = begin + window * run / runs_each
            placed.append((place, Run(filler(first + number), run * RUN_LENGTH, RUN_LENGTH)))
    return placed


def event_type(number: int) -> str:
    """An opening, then two deposits and a withdrawal again and again."""
    if number == 0:
        return "AccountOpened"
    return "MoneyDeposited" if number % 3 else "MoneyWithdrawn"


def event_data(number: int) -> dict[str, Any]:
    """About 200 bytes of JSON; the wanted field stands in the middle."""
    return {
        "account": "8f6c1f0e-5d0b-4a57-9e0b-6a6f1f6d2c11",
        "booking": number,
        "currency": "EUR",
        "amount": 10 + number % 7,
        "text": "salary of the month, transferred by the employer",
        "reference": f"RF-{number:012d}",
    }


def initial_state() -> dict[str, Any]:
    """Of the fold in Python."""
    return {"balance": 0, "deposits": 0, "open": False, "limit": 0}


def apply(state: dict[str, Any], kind: str, data: dict[str, Any]) -> None:
    """One event of the same fold, written by hand in Python."""
    match kind:
        case "MoneyDeposited":
            state["balance"] += data["amount"]
            state["deposits"] += 1
        case "MoneyWithdrawn":
            state["balance"] -= data["amount"]
        case "AccountOpened":
            state["owner"], state["open"] = data["account"], True
        case "LimitSet":
            state["limit"] = data["limit"]
        case "AccountClosed":
            state["open"] = False


def expected_balance(length: int) -> int:
    """The balance after so many events: what every hydration is checked against."""
    state = initial_state()
    for number in range(length):
        apply(state, event_type(number), event_data(number))
    balance: int = state["balance"]
    return balance


def fold_type(number: int) -> str:
    """Type of an event of the folds without a server."""
    types = ("MoneyDeposited", "MoneyWithdrawn", "MoneyDeposited", "LimitSet", "MoneyDeposited")
    return types[number % len(types)]


def uuid7() -> uuid.UUID:
    """A time-ordered id, for stores that let the writer choose."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


if __name__ == "__main__":
    # For drivers in other languages: a line for each run.
    for written in layout(int(sys.argv[1])):
        print(written.stream, written.first, written.count)
