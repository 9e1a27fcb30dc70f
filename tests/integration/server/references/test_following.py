"""Goal: what events refer to is told as the metadata name it, whole, and in messages that every
client takes.

Method: a server process, the SDK; where sizes count, plain gRPC with its own limit of 4 MiB.
"""

from __future__ import annotations

import asyncio
import copy
import json
import uuid

import grpc
import pytest
from tests.integration.server.references.conftest import Table
from tests.support.servers import RunningServer

import eventfold
from eventfold import Event, References
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc, references_pb2, references_pb2_grpc

MIB = 1024 * 1024


def stream(category: str = "a") -> str:
    return f"{category}-{uuid.uuid4().hex}"


def test_an_event_tells_what_it_refers_to(client: eventfold.Client, table: Table) -> None:
    ledger, author, nobody = stream("ledger"), stream("author"), stream("author")
    booked, gone = Event("Booked", {"amount": 5}), Event("Booked")
    client.append(ledger, [booked, gone], expected_version=0)
    client.append(author, [Event("Joined")], expected_version=0)
    table.delete(gone.id)
    missing = str(uuid.uuid4())
    refs = References([gone, missing, uuid.UUID(booked.id)], [nobody, author])
    tagged = Event("Tagged", metadata={"why": "test"}, refs=refs)
    plain = Event("Tagged")
    tags = stream("budget")
    client.append(tags, [tagged, plain], expected_version=0)

    [read, without] = client.read(tags)
    assert read.references == refs
    assert read.flags == eventfold.EventFlags.VALIDATED_V1 | eventfold.EventFlags.REFERS
    assert read.metadata["why"] == "test"
    assert without.references == References()
    assert not without.flags & eventfold.EventFlags.REFERS
    with pytest.raises(RuntimeError, match="resolve=True"):
        _ = read.resolved

    for resolved in (
        client.get_references(tagged.id),
        client.get_event(tagged.id.upper(), resolve=True).resolved,
        next(client.read(tags, resolve=True)).resolved,
    ):
        # In the order of the metadata.
        assert list(resolved.events) == [gone.id, missing, booked.id]
        assert resolved.events[missing] == eventfold.ResolvedEvent(None)
        assert resolved.events[gone.id] == eventfold.ResolvedEvent(None, deleted=True)
        assert not resolved.events[missing].exists
        assert resolved.events[gone.id].exists
        found = resolved.events[booked.id].event
        assert found == client.get_event(booked.id)
        assert found is not None
        assert found.data == {"amount": 5}
        assert list(resolved.streams) == [nobody, author]
        assert not resolved.streams[nobody].exists
        assert resolved.streams[author] == client.get_stream(author)

    events = list(client.read(tags, resolve=True))
    assert (events[1].resolved.events, events[1].resolved.streams) == ({}, {})
    assert client.get_event(plain.id, resolve=True).resolved.events == {}
    with pytest.raises(RuntimeError):
        _ = copy.copy(events[0]).resolved
    with pytest.raises(eventfold.EventNotFound):
        client.get_references(missing)


def test_a_deleted_event_refers_to_nothing(client: eventfold.Client, table: Table) -> None:
    name = stream()
    referring = Event("A", refs=References([str(uuid.uuid4())], [name]))
    client.append(name, [referring, Event("B", refs=References([referring]))], expected_version=0)
    assert [event.id for event in client.get_referrers(stream=name)] == [referring.id]
    table.delete(referring.id)
    [first, second] = client.read(name, resolve=True)
    assert first.deleted
    assert first.references == References()
    assert first.resolved.events == {}
    assert first.resolved.streams == {}
    assert second.resolved.events[referring.id].deleted
    assert client.get_references(referring).events == {}
    assert list(client.get_referrers(stream=name)) == []


def test_reads_resolve_many_events_and_streams(client: eventfold.Client) -> None:
    """More than one statement looks up, and more than one page holds."""
    targets = [Event("Target", {"n": n, "pad": "x" * 500}) for n in range(1_500)]
    for first in range(0, 1_500, 500):
        events = targets[first : first + 500]
        client.append(stream(), events, expected_version=0)
    streams = [stream("s") for _ in range(40)]
    for name in streams[::2]:
        client.append(name, [Event("Begun")], expected_version=0)
    name = stream()
    ids = [event.id for event in targets]
    referring = [
        Event("R", refs=References(ids[n * 15 : n * 15 + 60], streams[n % 7 :])) for n in range(100)
    ]
    client.append(name, referring, expected_version=0)
    for options in ({}, {"direction": "backwards"}, {"limit": 60}, {"types": ["R"]}):
        for event in client.read(name, resolve=True, **options):  # type: ignore[arg-type]
            references, resolved = event.references, event.resolved
            assert list(resolved.events) == list(references.events)
            for id_, lead in resolved.events.items():
                assert lead.event is not None
                assert lead.event.id == id_
                assert lead.event.data["n"] == ids.index(id_)
            assert list(resolved.streams) == list(references.streams)
            for other, info in resolved.streams.items():
                assert info.exists == (other in streams[::2])


def test_no_message_is_beyond_what_clients_take(
    client: eventfold.Client, server: RunningServer
) -> None:
    """An event may refer to 100 MiB; plain gRPC takes messages of 4 MiB."""
    data = json.dumps({"pad": "x" * (MIB - 20)}).encode()
    large = [Event("Large", data) for _ in range(6)]
    for event in large:
        client.append(stream(), [event], expected_version=0)
    small, missing = Event("Small"), str(uuid.uuid4())
    client.append(stream(), [small], expected_version=0)
    name = stream()
    referring = Event("R", data, refs=References([*large, small, missing], [name]))
    client.append(name, [referring, Event("Last")], expected_version=0)

    with grpc.insecure_channel(server.address) as channel:
        events = event_store_pb2_grpc.EventStoreStub(channel)
        messages = list(events.Read(pb.ReadRequest(stream=name, resolve=True), timeout=60))
        assert all(message.ByteSize() <= 4 * MIB for message in messages)
        # What the first event refers to comes ahead of it.
        told = [reference.event_id for message in messages for reference in message.references]
        assert told == [*(event.id for event in large), small.id, missing, ""]
        assert [len(message.events) for message in messages].count(0) >= 5
        found = events.GetEvent(pb.GetEventRequest(id=referring.id, resolve=True), timeout=60)
        request = references_pb2.GetReferencesRequest(event_id=referring.id)
        alone = references_pb2_grpc.ReferencesStub(channel).GetReferences(request, timeout=60)
        assert alone.references == found.references
        left_out = [reference.left_out for reference in alone.references]
        assert left_out == [False, *[True] * 5, False, False, False]
        assert found.ByteSize() <= 4 * MIB

    [event, last] = client.read(name, resolve=True)
    assert all(lead.event is not None for lead in list(event.resolved.events.values())[:-1])
    assert last.resolved.events == {}
    resolved = client.get_references(referring.id)
    assert resolved.events[large[5].id] == eventfold.ResolvedEvent(None, left_out=True)
    assert resolved.events[large[5].id].exists


def test_resolved_events_are_read_as_the_others(client: eventfold.Client, table: Table) -> None:
    kind, name = f"Old{uuid.uuid4().hex}", stream()
    target = Event(kind, {"mail": "a@b"})
    referring = Event(kind, {"mail": "c@d"}, refs=References([target]))
    client.append(name, [target, referring], expected_version=0)
    source = json.dumps({"mapping": kind, "renames": {"mail": "email"}})
    asyncio.run(table.put_mapping(kind, source))
    mapped, stored = {"email": "a@b"}, {"mail": "a@b"}
    for raw, data in ((False, mapped), (True, stored)):
        [_, read] = client.read(name, resolve=True, raw=raw)
        got = client.get_event(referring.id, resolve=True, raw=raw)
        for event in (read, got):
            found = event.resolved.events[target.id].event
            assert found is not None
            assert found.data == data
            assert event.data.keys() == data.keys()
    alone = client.get_references(referring.id).events[target.id].event
    assert alone is not None
    assert alone.data == mapped
    assert [event.data for event in client.get_referrers(target)] == [{"email": "c@d"}]


def test_marks_by_other_hands_are_worth_nothing(client: eventfold.Client, table: Table) -> None:
    """Events of stores from before there were references, and rows that somebody wrote."""
    name, target = stream(), stream()
    client.append(target, [Event("A")], expected_version=0)
    written: list[tuple[str, int]] = [
        (json.dumps({"refs": {"streams": [target]}}), 1),
        (json.dumps({"refs": "somewhere"}), 1),
        (json.dumps({"refs": [1, {"events": None}]}), 1),
        ('{"refs": {"events": 1e999999999}, "n": 1e999999}', 1),
        ('{"refs": {"streams": ["\\u0000"]}}', 0),
        (json.dumps({"refs": {"events": ["x"], "streams": []}}), 1 | 8),
        (json.dumps({"n": 5}), 1 | 8),
    ]
    events = [Event("Old") for _ in written]
    client.append(name, events, expected_version=0)
    for event, (metadata, flags) in zip(events, written, strict=True):
        table.rewrite(event.id, metadata.encode(), flags)
    read = list(client.read(name, resolve=True))
    assert [event.metadata_json.decode() for event in read] == [text for text, _ in written]
    for event in read:
        assert event.references == References()
        assert client.get_references(event.id).events == {}
    assert list(client.get_referrers(stream=target)) == []
