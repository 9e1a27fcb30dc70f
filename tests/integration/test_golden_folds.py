"""Goal: the server comes to the bytes of the golden cases.

Method: append the events of all cases to one store, with their ids and times, and hydrate each
stream with the document of its case.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from tests.golden import cases

from eventfold import Client, Event, Hydrated

STORED = [case for case in cases.load() if not case.get("local", False)]
EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


@pytest.fixture(scope="module")
def golden_store(eventfold_server: Any) -> Iterator[Client]:
    with eventfold_server.store() as target, Client(target) as client:
        yield client


@pytest.mark.parametrize("case", STORED, ids=lambda case: case["name"])
def test_states_of_the_server(golden_store: Client, case: dict[str, Any]) -> None:
    stream = case["stream"]
    stored = golden_store.get_stream(stream).version
    # A case may go on where another one has ended.
    if events := [event_of(event) for event in case["events"][stored:]]:
        golden_store.append(stream, events, expected_version=stored)

    def hydrated(case: cases.Case) -> Hydrated:
        return golden_store.hydrate_stream(stream, fold=_source(case))

    assert _placed(cases.outcome(case, hydrated)) == _placed(case["expect"])


def event_of(event: dict[str, Any]) -> Event:
    """An event of a case, as it is appended."""
    return Event(
        event["type"],
        event["data"].encode(),
        event["metadata"].encode() if "metadata" in event else None,
        tags=event.get("tags", []),
        id=event["id"],
        occurred_at=EPOCH + dt.timedelta(microseconds=event["occurred_us"]),
    )


def _source(case: cases.Case) -> str:
    # A text of one line would be taken for a name.
    source = cases.fold_of(case)
    return source if "\n" in source else source + "\n"


def _placed(told: dict[str, Any]) -> dict[str, Any]:
    """Without the place in the log, which is that of the store."""
    return {name: value for name, value in told.items() if name != "position"}
