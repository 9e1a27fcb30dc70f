"""What every store is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import data

IN_FLIGHT = (1, 8, 32, 128)
APPEND_EVENTS = 100
MIXED_IN_FLIGHT = 8


@dataclass(frozen=True)
class Workload:
    """A name for people, and the request for a driver."""

    name: str
    # What `--workloads` chooses by.
    group: str
    request: dict[str, Any] = field(hash=False)
    # Events of one operation.
    events: int = 1
    # What the driver's last operation must have returned; None: nothing to check.
    result: int | None = None


def append(in_flight: int) -> Workload:
    """One event with the exact version of a stream of the caller's own."""
    request = {"do": "append", "in_flight": in_flight}
    return Workload(f"append 1 event, {in_flight} in flight", "append", request, result=1)


def session(in_flight: int) -> Workload:
    """The same over append sessions, where a driver has the choice."""
    request = {"do": "append_session", "in_flight": in_flight}
    return Workload(f"append over sessions, {in_flight} in flight", "session", request, result=1)


def append_hundred() -> Workload:
    """A hundred events in one atomic append."""
    request = {"do": "append", "batch": APPEND_EVENTS}
    name = f"append {APPEND_EVENTS} events a call"
    return Workload(name, "append", request, events=APPEND_EVENTS, result=APPEND_EVENTS)


def read(length: int) -> Workload:
    """A whole stream into objects with their data decoded."""
    request = {"do": "read", "stream": data.stream_of(length)}
    return Workload(f"read {length:,} events", "read", request, events=length, result=length)


def hydrate(length: int) -> Workload:
    """The state of a stream, folded from its first event."""
    return _hydrate("hydrate", "", length)


def hydrate_kept(length: int) -> Workload:
    """The same, from a kept state."""
    return _hydrate("hydrate_kept", ", kept state", length)


def _hydrate(do: str, suffix: str, length: int) -> Workload:
    request = {"do": do, "stream": data.stream_of(length)}
    name = f"hydrate {length:,} events{suffix}"
    balance = data.expected_balance(length)
    return Workload(name, "hydrate", request, events=length, result=balance)


def hydrate_many(in_flight: int) -> Workload:
    """Hydrations of 100 events side by side: what a server gives."""
    request = {"do": "hydrate", "stream": data.stream_of(100), "in_flight": in_flight}
    name = f"hydrate 100 events, {in_flight} in flight"
    return Workload(name, "hydrate", request, events=100, result=data.expected_balance(100))


def catch_up(events: int) -> Workload:
    """The whole log into objects with their data decoded; it grew by what was appended before."""
    return Workload("catch up", "catch up", {"do": "catch_up"}, events=events)


def catch_up_counted(events: int) -> Workload:
    """The same, but that nobody looks into the events: what it costs to get them."""
    request = {"do": "catch_up_counted"}
    return Workload("catch up, events only counted", "catch up", request, events=events)


def mixed(events: int) -> Workload:
    """Of ten operations eight hydrations of 100 events, two appends of one."""
    request = {
        "do": "mixed",
        "in_flight": MIXED_IN_FLIGHT,
        "events": data.fillers_within(events),
    }
    return Workload(f"mixed 80/20, {MIXED_IN_FLIGHT} in flight", "mixed", request)


def fold(size: int, wanted_first: bool) -> Workload:
    """Raw JSON to a state, without a server."""
    request = {"do": "fold", "size": size, "wanted_first": wanted_first}
    place = "first" if wanted_first else "last"
    name = f"fold {data.FOLD_EVENTS:,} events of {size:,} bytes, wanted fields {place}"
    state = data.initial_state()
    for number in range(data.FOLD_EVENTS):
        fields = {"amount": 10 + number % 7, "limit": number}
        data.apply(state, data.fold_type(number), fields)
    return Workload(name, "fold", request, events=data.FOLD_EVENTS, result=state["balance"])


def folds() -> list[Workload]:
    """Short and long events, with little and with much to skip."""
    return [fold(size, first) for size in (200, 1_000) for first in (True, False)]


def of_peers(events: int) -> list[Workload]:
    """All that peers do too. Reads of the whole log first, while logs are of the same length."""
    lengths = data.lengths_within(events)
    return [
        catch_up(events),
        *(read(length) for length in lengths),
        *(hydrate(length) for length in lengths),
        *(hydrate_kept(length) for length in lengths[1:]),
        *(append(in_flight) for in_flight in IN_FLIGHT),
        *(session(in_flight) for in_flight in IN_FLIGHT),
        append_hundred(),
        mixed(events),
    ]


def own(events: int) -> list[Workload]:
    """The same, and what only a load generator is asked for."""
    return [*of_peers(events), hydrate_many(8), hydrate_many(32)]
