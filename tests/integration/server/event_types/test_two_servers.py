"""Goal: a change on one server holds for the other at once: what breaks it is refused, what does
not is stored, and nothing is lost.

Method: two servers on one store; threads append through both, some thousands of events, while rules
are changed on one and the other. Each append is compared with the rules that were in force from its
beginning to its end; and the log with what was acknowledged.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.support.event_types import EventTypes, event_types_of, schema, tried
from tests.support.raw import Answer
from tests.support.rule_traffic import Traffic
from tests.support.servers import RunningServer

from eventfold.v1 import event_store_pb2 as store_pb

# Half of all events fit the first, all fit the second.
EVEN = schema("n", n={"type": "integer", "multipleOf": 2})
ALL = schema("n", n={"type": "integer"})
APPENDS = 400
CHANGES = 8
RACES = 8

Starter = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def servers(start_shared: Starter) -> list[RunningServer]:
    name = f"two_{uuid.uuid4().hex}"
    return [start_shared(schema=name), start_shared(schema=name)]


@pytest.fixture
def types(servers: list[RunningServer]) -> Iterator[list[EventTypes]]:
    with ExitStack() as stack:
        yield [stack.enter_context(event_types_of(server.address)) for server in servers]


def stored(types: EventTypes, event_type: str) -> dict[str, tuple[int, int]]:
    """Number and position of all stored events of a type, by their ids."""
    request = store_pb.ReadAllRequest(types=[event_type], raw=True)
    events = [event for answer in types.log.ReadAll(request) for event in answer.events]
    found = {event.id: (json.loads(event.data)["n"], event.position) for event in events}
    assert len(found) == len(events)
    return found


def nothing_is_lost(traffic: Traffic, types: EventTypes) -> None:
    """The log holds what was acknowledged, at its place, and nothing else."""
    acknowledged = {
        one.event_id: (one.number, one.position) for one in traffic.made if one.position is not None
    }
    assert stored(types, traffic.event_type) == acknowledged


def test_schemas_change_while_others_append(
    servers: list[RunningServer], types: list[EventTypes]
) -> None:
    event_type = f"T{uuid.uuid4().hex}"
    types[0].put(event_type, ALL)
    traffic = Traffic([one.address for one in servers], event_type, "SCHEMA_VIOLATION")
    # When each put was begun and answered; whether it lets odd numbers pass; where it stood.
    changes: list[tuple[float, float, bool, int]] = [(0.0, 0.0, True, 0)]
    with traffic.running():
        for number in range(CHANGES):
            traffic.until(APPENDS)
            odd = number % 2 == 1
            begun = time.monotonic()
            put = types[number % 2].put(event_type, ALL if odd else EVEN, accept=True)
            assert put.created
            changes.append((begun, time.monotonic(), odd, put.position))
        traffic.until(APPENDS)
    nothing_is_lost(traffic, types[0])
    assert len(traffic.made) >= (CHANGES + 1) * APPENDS

    certain = {True: 0, False: 0}
    for one in traffic.made:
        fits = one.number % 2 == 0
        # In force at some moment of the append: all that were begun before its end, and not
        # replaced for good before its beginning.
        in_force = {
            odd
            for (begun, _, odd, _), (_, replaced, _, _) in zip(
                changes, [*changes[1:], (0.0, float("inf"), True, 0)], strict=True
            )
            if begun <= one.answered and replaced >= one.begun
        }
        if fits:
            assert one.position is not None, one
        elif len(in_force) == 1:
            [odd] = in_force
            assert (one.position is not None) == odd, one
            certain[odd] += 1
    # Each was seen often enough to say something.
    assert min(certain.values()) > APPENDS, certain
    # A put has tried the stored events up to a position: none behind breaks it, until the next.
    for (_, _, odd, at), after in itertools.pairwise(changes):
        if not odd:
            behind = [one for one in traffic.made if one.number % 2 and (one.position or 0) > at]
            assert all(one.answered >= after[0] for one in behind)


def test_a_mapping_comes_and_goes_while_others_append(
    servers: list[RunningServer], types: list[EventTypes]
) -> None:
    """It fails on half of the events, which come from when the put has returned."""
    event_type = f"T{uuid.uuid4().hex}"
    traffic = Traffic([one.address for one in servers], event_type, "MAPPING_FAILED")
    traffic.numbered(lambda n: 2 * n)
    with traffic.running():
        traffic.until(APPENDS)
        put = types[0].put_mapping(halves(event_type))
        in_force = time.monotonic()
        assert put.created
        traffic.numbered(lambda n: n)
        traffic.until(3 * APPENDS)
        dropping = time.monotonic()
        types[1].drop_mapping(event_type)
        dropped = time.monotonic()
        traffic.until(2 * APPENDS)
    nothing_is_lost(traffic, types[0])
    refused = kept = 0
    for one in traffic.made:
        if one.number % 2 == 0 or one.begun > dropped:
            assert one.position is not None, one
            kept += one.number % 2
        elif one.begun > in_force and one.answered < dropping:
            assert one.position is None, one
            refused += 1
    assert min(refused, kept) > APPENDS / 2
    failed = types[0].check_mapping(halves(event_type), misfits=1)
    assert failed.misfits == len([1 for n, _ in stored(types[0], event_type).values() if n % 2])


def halves(event_type: str) -> str:
    """A mapping that fails on odd numbers."""
    return json.dumps(
        {"mapping": event_type, "computed": {"half": "int(event.n) / (int(event.n) % 2 - 1)"}}
    )


@pytest.mark.parametrize("what", ["schema", "mapping"])
def test_a_put_races_appends(
    servers: list[RunningServer], types: list[EventTypes], what: str
) -> None:
    """Others append through the other server, from some moment on also what breaks it: either it is
    refused, and such an event is stored, or it is in force, and none is.
    """
    put_there = 0
    for number in range(RACES):
        event_type = f"T{uuid.uuid4().hex}"
        reason = "SCHEMA_VIOLATION" if what == "schema" else "MAPPING_FAILED"
        traffic = Traffic([servers[1].address], event_type, reason)
        # The later, the more often it comes too late.
        breaks_at = time.monotonic() + 0.1 * number
        traffic.numbered(lambda n, at=breaks_at: n if time.monotonic() > at else 2 * n)
        with traffic.running():
            traffic.until(20)
            if what == "schema":
                put = tried(types[0].put, event_type, EVEN)
            else:
                put = tried(types[0].put_mapping, halves(event_type))
            traffic.until(60)
        nothing_is_lost(traffic, types[1])
        breaking = [n for n, _ in stored(types[1], event_type).values() if n % 2]
        if isinstance(put, Answer):
            assert put.reason == ("SCHEMA_INCOMPATIBLE" if what == "schema" else reason)
            assert breaking
            assert all(one.position is not None for one in traffic.made)
            continue
        assert not breaking
        # It has tried all that was stored until then, each once.
        before = [at for _, at in stored(types[1], event_type).values() if at <= put.position]
        assert put.events == len(before)
        put_there += 1
    assert put_there
