"""Schemas, mappings and counts of event types: `make bench-event-types`.

Three stores of the same events: one without rules; one where every event has a schema and a
mapping in force, which renames a member and adds one; one whose mapping also computes one. They
take turns at appends and reads. On the way the trials of stored events are timed, and the first
count of a log.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import time
from pathlib import Path

import candidates
import data
import harness
import psycopg
import stores
import workloads
from candidates import COMPUTING, EVENTFOLD, WITHOUT
from figures import Tried, Writer
from harness import Candidate
from workloads import Workload

import eventfold

TYPES = ("AccountOpened", "MoneyDeposited", "MoneyWithdrawn")
# Trials and counts take as long as the log is long.
TIMEOUT_S = 600.0

_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["account", "amount", "currency"],
    "properties": {
        "account": {"type": "string", "minLength": 36, "maxLength": 36},
        "booking": {"type": "integer", "minimum": 0},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "amount": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
        "text": {"type": "string", "maxLength": 140},
        "reference": {"type": "string"},
    },
}
_RENAMED = {"renames": {"text": "purpose"}, "defaults": {"channel": "branch"}}
_COMPUTED = {"computed": {"label": "event.currency + ' ' + event.reference"}}
_MAPPINGS = {EVENTFOLD: _RENAMED, COMPUTING: _RENAMED | _COMPUTED}
# As if nobody had counted.
_UNCOUNTED = """
TRUNCATE eventfold.event_type_counts, eventfold.event_type_writers;
UPDATE eventfold.event_type_progress SET position = 0
"""


def chosen(events: int) -> list[Workload]:
    """What is compared: reads first, while all logs are of the same length."""
    lengths = [length for length in data.lengths_within(events) if length <= 10_000]
    return [
        workloads.catch_up(events),
        *(workloads.read(length) for length in lengths),
        *(workloads.hydrate(length) for length in lengths),
        workloads.append(1),
        workloads.append(32),
        workloads.append_hundred(),
    ]


def measure(folder: Path, options: argparse.Namespace, writer: Writer) -> None:
    """Fills the stores, puts the rules, and compares."""
    with contextlib.ExitStack() as stack:
        found: list[Candidate] = []
        for number, name in enumerate((EVENTFOLD, WITHOUT, COMPUTING)):
            store = stack.enter_context(stores.eventfold(folder / str(number)))
            driven = stack.enter_context(candidates.eventfold(store))
            note = candidates.NOTES[name]
            found.append(dataclasses.replace(driven, name=name, note=note, failed=set()))
        if len(harness.load([(one, options.events) for one in found], writer)) < len(found):
            return
        for one in found:
            if one.name in _MAPPINGS:
                _put_rules(one, writer)
        _count(found[0], writer)
        harness.compare(
            found,
            chosen(options.events),
            seconds=options.seconds,
            rounds=options.rounds,
            writer=writer,
        )


def _put_rules(candidate: Candidate, writer: Writer) -> None:
    """A schema and a mapping for each type; the trials of the most frequent one are told."""
    assert candidate.store is not None
    with eventfold.Client(candidate.store.url, timeout=TIMEOUT_S) as store:
        for event_type in TYPES:
            tried: list[eventfold.TrialProgress] = []
            began = time.perf_counter()
            store.put_schema(event_type, _SCHEMA, on_progress=tried.append)
            if candidate.name == EVENTFOLD:
                _tell(writer, f"put the schema of {event_type}", tried[-1].events, began)
            began = time.perf_counter()
            mapping = {"mapping": event_type, **_MAPPINGS[candidate.name]}
            store.put_mapping(mapping, on_progress=tried.append)
            if candidate.name == EVENTFOLD:
                _tell(writer, f"put the mapping of {event_type}", tried[-1].events, began)


def _count(candidate: Candidate, writer: Writer) -> None:
    """The first look at event types, and the second."""
    assert candidate.store is not None
    assert candidate.store.database_url is not None
    with psycopg.connect(candidate.store.database_url, autocommit=True) as connection:
        connection.execute(_UNCOUNTED)
    with eventfold.Client(candidate.store.url, timeout=60.0) as store:
        for what in ("list event types, none counted", "list event types again"):
            began = time.perf_counter()
            events = sum(one.events for one in store.list_event_types())
            _tell(writer, what, events, began)


def _tell(writer: Writer, what: str, events: int, began: float) -> None:
    one = Tried(what, events, time.perf_counter() - began)
    writer.write("tried", one)
    print(f"{one.what}: {one.events:,} events in {one.seconds:.2f} s", flush=True)
