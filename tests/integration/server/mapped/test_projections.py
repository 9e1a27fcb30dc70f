"""Goal: projections fold mapped events, by the newest mappings, and say when to rebuild them.

Method: two servers that build; tables of before a change, of after it, and rebuilt ones.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator

import grpc
import pytest
from tests.support.mapped import Mapped
from tests.support.projection_servers import Projections

from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc, projections_pb2

MAPPING = "mapping: {}\ndefaults: {{country: '{}'}}\n"
DOCUMENT = """
projection: {name}
source: {{category: {category}}}
key: meta.id
on_error: park
handlers:
  {type}: {{country: "event.?country.orValue('none')"}}
  Other: {{country: "'other'"}}
columns: {{country: text}}
"""


class Table:
    """A projection of its own types and streams."""

    def __init__(self, store: Mapped, channel: grpc.Channel) -> None:
        self.store = store
        self.calls = Projections(channel)
        self._events = event_store_pb2_grpc.EventStoreStub(channel)
        own = uuid.uuid4().hex[:10]
        self.name, self.type, self.category = f"p_{own}", f"T{own}", f"C{own}"

    def put(self, more: str = "") -> None:
        source = DOCUMENT.format(name=self.name, category=self.category, type=self.type) + more
        self.calls.put(source)

    def append(self, count: int, data: bytes = b"{}") -> int:
        """Appends events; position of the last."""
        request = pb.AppendRequest(stream=f"{self.category}-1")
        request.expected_version.any.SetInParent()
        for _ in range(count):
            request.events.add(type=self.type, data=data)
        return self._events.Append(request, timeout=30).positions[-1]

    def map(self, country: str) -> None:
        asyncio.run(self.store.put(MAPPING.format(self.type, country)))

    def countries(self, position: int) -> list[str]:
        """The column, of the rows with all events up to a position, in their order."""
        request = projections_pb2.QueryProjectionRequest(
            name=self.name, at_least_position=position, page_size=1000
        )
        rows = self.calls.stub.QueryProjection(request, timeout=30).rows
        return [
            json.loads(row.columns)["country"] for row in sorted(rows, key=lambda r: r.position)
        ]

    def verified(self, generation: int) -> projections_pb2.Verification:
        request = projections_pb2.VerifyProjectionRequest(name=self.name, generation=generation)
        *_, last = self.calls.stub.VerifyProjection(request, timeout=30)
        return last.verification


@pytest.fixture(params=[0, 1])
def table(store: Mapped, request: pytest.FixtureRequest) -> Iterator[Table]:
    with grpc.insecure_channel(store.addresses[request.param]) as channel:
        yield Table(store, channel)


def test_steps_go_by_the_newest_mapping(table: Table) -> None:
    """What is appended behind a change is folded as mapped, whichever server builds."""
    table.put()
    table.calls.until_active(table.name, 1)
    expected: list[str] = []
    for number in range(5):
        head = table.append(3)
        expected += ["none" if number == 0 else f"c{number}"] * 3
        assert table.countries(head) == expected
        table.map(f"c{number + 1}")
    head = table.append(1, b'{"country": "own"}')
    assert table.countries(head) == [*expected, "own"]
    generation = table.calls.generation(table.name, 1)
    assert list(generation.remapped_types) == [table.type]


def test_a_generation_of_before_says_so_until_it_is_rebuilt(table: Table) -> None:
    table.put()
    head = table.append(4)
    table.calls.until_active(table.name, 1)
    assert table.countries(head) == ["none"] * 4
    assert list(table.calls.generation(table.name, 1).remapped_types) == []
    assert table.verified(1).keys_differing == 0

    table.map("CH")
    assert list(table.calls.generation(table.name, 1).remapped_types) == [table.type]
    # Rows of before are of the old mapping, and a fold from scratch is not.
    assert table.countries(head) == ["none"] * 4
    assert table.verified(1).keys_differing == 4

    generation = table.calls.rebuild(table.name)
    table.calls.until_active(table.name, generation)
    assert list(table.calls.generation(table.name, generation).remapped_types) == []
    assert table.countries(head) == ["CH"] * 4
    assert table.verified(generation).keys_differing == 0


def test_retries_fold_mapped_events(table: Table) -> None:
    """Keys that failed for what the mapping gives are mended by it."""
    source = DOCUMENT.format(name=table.name, category=table.category, type=table.type)
    source = source.replace("event.?country.orValue('none')", "event.must")
    table.calls.put(source)
    head = table.append(3)
    table.calls.until_at(table.name, head)
    parked = projections_pb2.ListParkedKeysRequest(name=table.name)
    assert len(table.calls.stub.ListParkedKeys(parked, timeout=30).keys) == 3
    asyncio.run(table.store.put(f"mapping: {table.type}\ndefaults: {{must: mapped}}\n"))
    retry = projections_pb2.RetryProjectionRequest(name=table.name)
    assert table.calls.stub.RetryProjection(retry, timeout=30).keys_mended == 3
    assert table.countries(head) == ["mapped"] * 3
