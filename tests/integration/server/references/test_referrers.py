"""Goal: who refers to an event or to a stream is found by the index, page after page, whatever the
planner knows.

Method: a server process; and the very statement of the server under EXPLAIN, on a log that was
analysed when it was empty, and again when it was full.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import grpc
import psycopg
import pytest
from tests.integration.server.references.conftest import Table
from tests.support.servers import RunningServer

import eventfold
from eventfold import Event, References
from eventfold.v1 import references_pb2 as pb
from eventfold.v1 import references_pb2_grpc
from eventfold_server.storage import references
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database

LOG_EVENTS = 20_000


def stream(category: str = "a") -> str:
    return f"{category}-{uuid.uuid4().hex}"


def test_referrers_come_in_order_of_position(client: eventfold.Client) -> None:
    target = Event("Target")
    home = stream("home")
    # Before there is a target.
    early = Event("R", refs=References([target], [home]))
    client.append(stream(), [early, Event("Other", refs=References([early]))], expected_version=0)
    client.append(home, [target], expected_version=0)
    later = [Event("R", refs=References([target.id.upper()])) for _ in range(7)]
    for event in later:
        client.append(stream(), [Event("Plain"), event], expected_version=0)
    wanted = [early.id, *(event.id for event in later)]
    for size in (1, 3, 8, 1_000):
        found = list(client.get_referrers(target, page_size=size))
        assert [event.id for event in found] == wanted
        positions = [event.position for event in found]
        assert positions == sorted(positions)
    assert [event.id for event in client.get_referrers(stream=home)] == [early.id]
    assert list(client.get_referrers(str(uuid.uuid4()))) == []
    # The name of a stream may look like the id of an event.
    assert list(client.get_referrers(stream=target.id)) == []


def test_what_is_deleted_refers_to_nothing(client: eventfold.Client, table: Table) -> None:
    home, target = stream(), str(uuid.uuid4())
    first, second = (Event("R", refs=References([target], [home])) for _ in "ab")
    client.append(stream(), [first, second], expected_version=0)
    table.delete(first.id)
    for found in (client.get_referrers(target), client.get_referrers(stream=home)):
        assert [event.id for event in found] == [second.id]


def test_the_index_reads_metadata_as_the_core_does(client: eventfold.Client) -> None:
    """However it is spelled."""
    target, mark = str(uuid.uuid4()), uuid.uuid4().hex
    names = [f"user-é{mark}", f"user-\U0001f600{mark}", f'user-"{mark}\\', f"user-e:{mark}"]
    plain = json.dumps({"events": [target.upper()], "streams": names}, ensure_ascii=False)
    escaped = json.dumps({"streams": names, "events": [target]}).replace("events", "\\u0065vents")
    spellings = [
        f'{{"refs": {plain}}}',
        f'{{ "n": 1e308, "\\u0072ef\\u0073" :\n{escaped}, "refs\\"": 1}}',
        f'{{"a": {{"refs": {{"events": [1]}}}}, "refs": {escaped}, "b": "\\ud83d\\ude00"}}',
    ]
    events = [Event("R", metadata=spelling.encode()) for spelling in spellings]
    client.append(stream(), events, expected_version=0)
    wanted = [event.id for event in events]
    assert [event.id for event in client.get_referrers(target)] == wanted
    for name in names:
        assert [event.id for event in client.get_referrers(stream=name)] == wanted
    for event in client.get_referrers(target):
        assert event.references == References([target], names)


def test_a_page_ends_where_a_message_does(client: eventfold.Client, server: RunningServer) -> None:
    target = str(uuid.uuid4())
    data = json.dumps({"pad": "x" * 700_000}).encode()
    events = [Event("R", data, refs=References([target])) for _ in range(4)]
    for event in events:
        client.append(stream(), [event], expected_version=0)
    assert [event.id for event in client.get_referrers(target)] == [event.id for event in events]
    with grpc.insecure_channel(server.address) as channel:
        stub = references_pb2_grpc.ReferencesStub(channel)
        page = stub.GetReferrers(pb.GetReferrersRequest(event_id=target), timeout=60)
        assert len(page.events) == 2
        assert page.next_page_token == str(page.events[1].position)


@pytest.mark.parametrize(
    ("request_", "reason", "fact"),
    [
        (pb.GetReferrersRequest(), "INVALID_REQUEST", ("field", "target")),
        (pb.GetReferrersRequest(event_id="x"), "INVALID_EVENT_ID", ("problem", "syntax")),
        (pb.GetReferrersRequest(stream="x"), "INVALID_STREAM_NAME", ("problem", "no_hyphen")),
        (
            pb.GetReferrersRequest(stream="a-1", page_size=1_001),
            "INVALID_REQUEST",
            ("field", "page_size"),
        ),
        (
            pb.GetReferrersRequest(stream="a-1", page_token="-1"),
            "INVALID_REQUEST",
            ("field", "page_token"),
        ),
    ],
)
def test_requests_that_make_no_sense(
    client: eventfold.Client, request_: Any, reason: str, fact: tuple[str, str]
) -> None:
    path = "/eventfold.v1.References/GetReferrers"
    with grpc.insecure_channel(client.target) as channel:
        call = channel.unary_unary(path, request_serializer=lambda sent: sent.SerializeToString())
        with pytest.raises(grpc.RpcError) as refused:
            call(request_, timeout=60)
    details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    assert reason.encode() in details
    assert all(text.encode() in details for text in fact)


async def explained(connection: Any, sql: str, *arguments: object) -> list[dict[str, Any]]:
    """The nodes of the plan that look at tables, as it was carried out."""
    told = await connection.fetchval(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", *arguments
    )
    return [node for node in nodes(json.loads(told)[0]["Plan"]) if "Relation Name" in node]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


@pytest.mark.parametrize("knows", ["nothing", "all"])
async def test_the_index_is_used(database_url: str, knows: str) -> None:
    """And no more is looked at than a page holds, though a tenth of all events refer to the hub."""
    database = Database(database_url, f"plans_{knows}")
    await database.open()
    try:
        fill = (database_url, database.queries.schema, LOG_EVENTS)
        await asyncio.to_thread(_fill, *fill, analyse=knows == "all")
        async with database.reading() as connection:
            for target, found in (("s:a-17", 1), ("s:hub-1", 100), ("s:none-1", 0)):
                sql = database.queries["referrers"]
                [node] = await explained(connection, sql, target, 0, 100)
                assert node["Index Name"] == "event_references_pkey"
                looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                assert looked_at == found
            for name, arguments in (
                ("missing_references", ([str(uuid.uuid4())], ["a-17", "none-1"])),
                ("referenced_events", ([str(uuid.uuid4())] * 3,)),
                ("referenced_streams", (["a-17", "none-1"],)),
            ):
                plan = await explained(connection, database.queries[name], *arguments)
                assert len(plan) > 0
                assert all("Index Name" in node for node in plan), plan
    finally:
        await database.close()


async def test_pages_leave_none_out(database_url: str) -> None:
    database = Database(database_url, "pages_of_referrers")
    await database.open()
    try:
        fill = (database_url, database.queries.schema, 300)
        await asyncio.to_thread(_fill, *fill, analyse=False)
        storage = references.ReferenceStorage(database, Catalogue(database))
        wanted = list(range(10, 301, 10))
        for limit in (1, 3, 30, 40):
            found: list[int] = []
            while page := await storage.referrers("s:hub-1", found[-1] if found else 0, limit):
                assert len(page) <= limit
                found += page
            assert found == wanted
    finally:
        await database.close()


def _fill(url: str, schema: str, events: int, *, analyse: bool) -> None:
    """A log in which every event refers to a stream of its own, and each tenth to a hub too."""
    with psycopg.connect(url) as connection:
        connection.execute(f"SET search_path = {schema}")
        connection.execute(
            "INSERT INTO streams (name, category, version, root, created_at)"
            " SELECT 'a-' || n, 'a', 1, 'a-' || n, clock_timestamp()"
            " FROM generate_series(1, %s) AS n",
            [events],
        )
        connection.execute(
            "INSERT INTO events (position, stream_no, version, category, event_id, type, data,"
            " metadata, tags, recorded_at, occurred_at, writer, flags, sent_digest, stored_digest)"
            " SELECT n, s.stream_no, 1, 'a', gen_random_uuid(), 'T', '{}',"
            " convert_to(json_build_object('refs', json_build_object('streams',"
            " CASE WHEN n %% 10 = 0 THEN ARRAY['a-' || n, 'hub-1'] ELSE ARRAY['a-' || n] END)"
            ")::text, 'UTF8'), NULL, clock_timestamp(), clock_timestamp(), 'w', 9,"
            " sha256('x'::bytea), sha256('x'::bytea)"
            " FROM generate_series(1, %s) AS n JOIN streams s ON s.name = 'a-' || n",
            [events],
        )
        connection.execute("UPDATE counter SET position = %s", [events])
        if analyse:
            connection.execute("ANALYZE events, streams, event_references")
