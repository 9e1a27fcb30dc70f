"""Goal: the server comes to the bytes of the golden cases.

Method: append the events of all cases to one store, with their ids and times, and hydrate each
stream with the document of its case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tests.golden import cases

from eventfold import Client, Hydrated
from eventfold.v1 import appends_pb2, event_store_pb2_grpc

STORED = [case for case in cases.load() if not case.get("local", False)]


@pytest.fixture(scope="module")
def golden_target(eventfold_server: Any) -> Iterator[str]:
    with eventfold_server.store() as target:
        yield target


@pytest.fixture(scope="module")
def golden_store(golden_target: str) -> Iterator[Client]:
    with Client(golden_target) as client:
        yield client


@pytest.fixture(scope="module")
def stub(golden_target: str) -> Iterator[Any]:
    # Over plain stubs: the SDK takes no JSON with numbers beyond those of doubles.
    with grpc.insecure_channel(golden_target) as channel:
        yield event_store_pb2_grpc.EventStoreStub(channel)


@pytest.mark.parametrize("case", STORED, ids=lambda case: case["name"])
def test_states_of_the_server(golden_store: Client, stub: Any, case: dict[str, Any]) -> None:
    stream = case["stream"]
    stored = golden_store.get_stream(stream).version
    # A case may go on where another one has ended.
    if events := [event_of(event) for event in case["events"][stored:]]:
        request = appends_pb2.AppendRequest(stream=stream, events=events)
        request.expected_version.exact = stored
        stub.Append(request, timeout=60)

    def hydrated(case: cases.Case) -> Hydrated:
        return golden_store.hydrate_stream(stream, fold=_source(case))

    assert _placed(cases.outcome(case, hydrated)) == _placed(case["expect"])


def event_of(event: dict[str, Any]) -> appends_pb2.NewEvent:
    """An event of a case, as it is appended."""
    new = appends_pb2.NewEvent(
        id=event["id"],
        type=event["type"],
        data=event["data"].encode(),
        metadata=event.get("metadata", "").encode(),
        tags=event.get("tags", []),
    )
    new.occurred_at.FromMicroseconds(event["occurred_us"])
    return new


def _source(case: cases.Case) -> str:
    # A text of one line would be taken for a name.
    source = cases.fold_of(case)
    return source if "\n" in source else source + "\n"


def _placed(told: dict[str, Any]) -> dict[str, Any]:
    """Without the place in the log, which is that of the store."""
    return {name: value for name, value in told.items() if name != "position"}
