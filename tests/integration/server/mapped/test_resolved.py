"""Goal: what an event refers to is read as the event itself: mapped, or with `raw` as it is stored;
and of what was deleted it is said that it was there, whoever asks.

Method: two servers on one store, on plain stubs; events with references to others of a mapped type,
of which one is deleted; projections that build under one mapping, and anew under the next.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tests.support.mapped import Mapped
from tests.support.projection_servers import Projections
from tests.support.rows import delete_payloads

from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc, projections_pb2, references_pb2, references_pb2_grpc

MAPPING = "mapping: {}\nrenames: {{cents: amount}}\ncomputed: {{of: \"meta.stream + '{}'\"}}\n"
# What a row says of the event that another names.
DOCUMENT = """
projection: {name}
source: {{category: {category}}}
resolve: {{booked: event.booked}}
key: "string(meta.version)"
handlers:
  {tagged}:
    - {{when: "booked == null", what: "'none'"}}
    - {{when: "booked != null && booked.deleted", what: "'deleted'"}}
    - {{when: "booked != null && !booked.deleted", what: "'there'", data: booked.data}}
columns: {{what: text, data: jsonb}}
"""
SECONDS = 30


class Books:
    """A stream of events that are referred to, one of events that refer, each of an own type."""

    def __init__(self, store: Mapped, channel: grpc.Channel) -> None:
        self.store = store
        self.calls = Projections(channel)
        self.events = event_store_pb2_grpc.EventStoreStub(channel)
        self.references = references_pb2_grpc.ReferencesStub(channel)
        own = uuid.uuid4().hex[:10]
        self.name, self.booked, self.tagged = f"p_{own}", f"Booked{own}", f"Tagged{own}"
        self.ledger, self.tags = f"Ledger{own}-1", f"Tag{own}-1"
        self.ids = [str(uuid.uuid4()) for _ in range(3)]
        self._append(self.ledger, [(self.ids[n], self.booked, self.stored(n), {}) for n in (0, 1)])
        self.head = self.tag()

    @staticmethod
    def stored(number: int) -> dict[str, Any]:
        return {"cents": 100 + number}

    def mapped(self, number: int, mark: str) -> dict[str, Any]:
        return {"amount": 100 + number, "of": self.ledger + mark}

    def _append(self, stream: str, events: list[tuple[str, str, Any, Any]]) -> int:
        """Appends ids, types, data and references; position of the last."""
        request = appends_pb.AppendRequest(stream=stream)
        request.expected_version.any.SetInParent()
        for id_, type_, data, refs in events:
            metadata = json.dumps({"refs": refs}).encode() if refs else b""
            data = json.dumps(data).encode()
            request.events.add(id=id_, type=type_, data=data, metadata=metadata)
        return self.events.Append(request, timeout=SECONDS).positions[-1]

    def tag(self) -> int:
        """Appends one event for each that is, or is not, there; position of the last."""
        return self._append(
            self.tags,
            [
                (str(uuid.uuid4()), self.tagged, {"booked": id_}, {"events": [id_]})
                for id_ in self.ids
            ],
        )

    def map(self, mark: str) -> None:
        asyncio.run(self.store.put(MAPPING.format(self.booked, mark)))

    def delete(self, number: int) -> None:
        delete_payloads(self.store.url, self.store.schema, [self.ids[number]])

    def resolved(self, raw: bool) -> list[dict[str, pb.ResolvedReference]]:
        """What calls resolve, each by the id that is named."""
        read = pb.ReadRequest(stream=self.tags, raw=raw, resolve=True)
        parts = list(self.events.Read(read, timeout=SECONDS))
        found = [[one for part in parts for one in part.references], []]
        for event in (event for part in parts for event in part.events):
            got = pb.GetEventRequest(id=event.id, raw=raw, resolve=True)
            found[1] += self.events.GetEvent(got, timeout=SECONDS).references
        if not raw:
            found.append([])
            for event in (event for part in parts for event in part.events):
                asked = references_pb2.GetReferencesRequest(event_id=event.id)
                found[2] += self.references.GetReferences(asked, timeout=SECONDS).references
        return [{one.event_id: one for one in each} for each in found]

    def rows(self, position: int) -> list[tuple[str, Any]]:
        """What the projection says of each event, in the order of its versions."""
        request = projections_pb2.QueryProjectionRequest(
            name=self.name, at_least_position=position, page_size=1000
        )
        rows = self.calls.stub.QueryProjection(request, timeout=SECONDS).rows
        columns = [json.loads(row.columns) for row in sorted(rows, key=lambda row: int(row.key))]
        return [(one["what"], one["data"]) for one in columns]

    def put(self) -> None:
        category = self.tags.partition("-")[0]
        self.calls.put(DOCUMENT.format(name=self.name, category=category, tagged=self.tagged))
        self.calls.until_active(self.name, 1)


@pytest.fixture(params=[0, 1])
def books(store: Mapped, request: pytest.FixtureRequest) -> Iterator[Books]:
    with grpc.insecure_channel(store.addresses[request.param]) as channel:
        yield Books(store, channel)


def of(reference: pb.ResolvedReference) -> tuple[Any, bool, bool]:
    """Data, whether they are mapped, whether they were deleted."""
    if not reference.HasField("event"):
        return None, False, reference.deleted
    event = reference.event
    return json.loads(event.data), bool(event.flags & pb.EVENT_FLAG_MAPPED), reference.deleted


@pytest.mark.parametrize("raw", [False, True])
def test_reads(books: Books, raw: bool) -> None:
    first, second, missing = books.ids
    for mark in ("", "!"):
        if mark:
            books.map(mark)
        mapped = bool(mark) and not raw
        data = [books.mapped(n, mark) if mapped else books.stored(n) for n in (0, 1)]
        for found in books.resolved(raw):
            assert {id_: of(one) for id_, one in found.items()} == {
                first: (data[0], mapped, False),
                second: (data[1], mapped, False),
                missing: (None, False, False),
            }
    books.delete(1)
    for found in books.resolved(raw):
        assert of(found[second]) == (None, False, True)
        assert of(found[first])[0] == data[0]


def test_projections(books: Books) -> None:
    books.map("!")
    books.put()
    there = [("there", books.mapped(n, "!")) for n in (0, 1)]
    assert books.rows(books.head) == [*there, ("none", None)]
    assert list(books.calls.generation(books.name, 1).remapped_types) == []

    # What comes behind the change is of the new mapping, and what was built before says so.
    books.map("?")
    books.delete(1)
    head = books.tag()
    after = [("there", books.mapped(0, "?")), ("deleted", None), ("none", None)]
    assert books.rows(head) == [*there, ("none", None), *after]
    assert list(books.calls.generation(books.name, 1).remapped_types) == [books.booked]

    generation = books.calls.rebuild(books.name)
    books.calls.until_active(books.name, generation)
    assert books.rows(head) == after * 2
    assert list(books.calls.generation(books.name, generation).remapped_types) == []


def test_trials_and_verifications(books: Books) -> None:
    """They see the same as what is built."""
    books.map("!")
    books.delete(0)
    books.put()
    after = [("deleted", None), ("there", books.mapped(1, "!")), ("none", None)]
    assert books.rows(books.head) == after
    category = books.tags.partition("-")[0]
    source = DOCUMENT.format(name="tried", category=category, tagged=books.tagged)
    request = projections_pb2.TryProjectionRequest(source=source, page_size=100)
    rows = books.calls.stub.TryProjection(request, timeout=SECONDS).rows
    tried = {row.key: json.loads(row.columns) for row in rows}
    assert [(tried[key]["what"], tried[key]["data"]) for key in ("1", "2", "3")] == after
    verify = projections_pb2.VerifyProjectionRequest(name=books.name)
    *_, last = books.calls.stub.VerifyProjection(verify, timeout=SECONDS)
    assert (last.verification.keys_checked, last.verification.keys_differing) == (3, 0)
