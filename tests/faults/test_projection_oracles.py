"""Goal: what judges tables and answers under faults sees a fault when there is one.

Method: a small log with tables and answers that are right, and each kind of fault put into them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.faults.project import documents
from tests.faults.project.answers import Answer, wrong
from tests.faults.project.documents import LogEvent, Row
from tests.faults.project.tables import Generation, differences
from tests.faults.project.traffic import events_at_random

from eventfold.v1 import projections_pb2 as pb

EVENTS = 600


def _log() -> list[LogEvent]:
    versions: dict[str, int] = {}
    log: list[LogEvent] = []
    for stream, events in events_at_random(random.Random(5), broken=30):
        for event in events:
            versions[stream] = versions.get(stream, 0) + 1
            data = json.loads(event.data_json, parse_float=Decimal)
            position = len(log) + 1
            log.append(
                LogEvent(position, stream, versions[stream], event.type, f"id-{position}", data)
            )
        if len(log) >= EVENTS:
            return log
    raise AssertionError


LOG = _log()
SHOPS = documents.shops()


def _generation() -> Generation:
    broken = [one for one in LOG if SHOPS.wants(one) and SHOPS.fails(one)]
    parked = {SHOPS.key(one): one.position for one in reversed(broken)}
    assert len(parked) > 2
    table = SHOPS.fold(LOG, parked)
    assert len(table.rows) > 2
    return Generation("shops", 1, 1, 3, SHOPS.text, len(LOG), table.events, True, None, table)


def test_a_good_table_passes() -> None:
    assert differences(LOG, _generation()) == []


def _row_lost(one: Generation) -> None:
    one.table.rows.popitem()


def _row_stale(one: Generation) -> None:
    key, row = one.table.rows.popitem()
    one.table.rows[key] = replace(row, version=row.version - 1)


def _row_too_many(one: Generation) -> None:
    one.table.rows["s99"] = Row(b"{}", True, 1, 1, ("1", "1.00", None, None, "false"))


def _state_respelt(one: Generation) -> None:
    key, row = one.table.rows.popitem()
    one.table.rows[key] = replace(row, state=row.state.replace(b",", b", ", 1))


def _event_twice(one: Generation) -> None:
    one.table.events += 1


def _parked_event_lost(one: Generation) -> None:
    max(one.table.parked.values(), key=len).pop()


def _parked_too_early(one: Generation) -> None:
    key, positions = max(one.table.parked.items(), key=lambda item: len(item[1]))
    one.table.parked[key] = positions[1:]


def _parked_without_a_reason(one: Generation) -> None:
    fine = next(x for x in reversed(LOG) if SHOPS.wants(x) and not SHOPS.fails(x))
    one.table.parked.setdefault(SHOPS.key(fine), [fine.position])
    one.table.parked["s98"] = [fine.position]


def _behind(one: Generation) -> None:
    one.position -= 20


@pytest.mark.parametrize(
    "break_it",
    [
        _row_lost,
        _row_stale,
        _row_too_many,
        _state_respelt,
        _event_twice,
        _parked_event_lost,
        _parked_too_early,
        _parked_without_a_reason,
        _behind,
    ],
)
def test_a_fault_in_a_table_is_seen(break_it: Callable[[Generation], None]) -> None:
    found = _generation()
    break_it(found)
    assert differences(LOG, found) != []


CARTS = documents.carts()
WHICH = {("carts", 1): CARTS}
COUNTED = {"carts": "count"}
# Where the row that is asked for was touched the last time, of 300 events.
LAST = next(iter(CARTS.fold(LOG[:300], {}).rows.values())).position


def _answer(position: int) -> Answer:
    table = CARTS.fold(LOG[:position], {})
    key, row = next(iter(table.rows.items()))
    items, count, kinds = row.columns
    columns = {"items": json.loads(items or ""), "count": int(count or 0), "kinds": int(kinds or 0)}
    shown = pb.ProjectionRow(
        key=key, version=row.version, position=row.position, columns=json.dumps(columns).encode()
    )
    return Answer("carts", 1, position, key, [shown])


def test_good_answers_pass() -> None:
    rows = CARTS.fold(LOG[:300], {}).rows.values()
    above = sum(int(row.columns[1] or 0) > 2 for row in rows)
    counted = Answer("carts", 1, 300, None, [], (2, above))
    assert wrong(LOG, [_answer(100), _answer(300), counted], WHICH, COUNTED) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"position": LAST - 1},
        {"rows": []},
        {"generation": 2},
        {"key": "cart-none"},
        {"position": len(LOG) + 1},
        {"counted": (0, 1)},
    ],
)
def test_a_wrong_answer_is_seen(changes: dict[str, object]) -> None:
    one = replace(_answer(300), **changes)  # type: ignore[arg-type]
    assert wrong(LOG, [_answer(100), one], WHICH, COUNTED) != []
