"""Goal: the calls on schemas ask for what was said, and give all that the server answered; calls
that try stored events keep to their time.

Method: both clients against a server by script that keeps what came in.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pydantic
import pytest
from tests.unit.sdk.test_event_types import (
    TIME,
    difference,
    misfit,
    schema,
    schema_put,
    status,
    told,
    trial,
    violation,
)

import eventfold
from eventfold import _schema_sources
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb

OLD_SCHEMA = {"type": "object", "required": ["email"], "properties": {"n": {"multipleOf": 0.01}}}


@dataclasses.dataclass
class Bought:
    """Somebody bought something."""

    amount: Decimal
    at: dt.datetime
    note: str = ""


class BoughtModel(pydantic.BaseModel):
    amount: Decimal
    id: uuid.UUID


class BoughtStruct(msgspec.Struct):
    amount: int


async def test_put_schema(driver: Any, server: Any) -> None:
    changes = [
        schemas_pb.SCHEMA_CHANGE_WIDER,
        schemas_pb.SCHEMA_CHANGE_NARROWER,
        schemas_pb.SCHEMA_CHANGE_UNDECIDED,
    ]
    changes += [schemas_pb.SCHEMA_CHANGE_ANNOTATION, 99]
    differences = [difference(change) for change in changes]
    server.script(
        "PutSchema",
        [
            schemas_pb.PutSchemaResponse(events=3, position=5, head=9),
            schema_put(created=True, differences=differences),
        ],
    )
    client = driver.client(server.target)
    seen: list[eventfold.TrialProgress] = []
    put = await driver.result(
        client.put_schema(
            "T", OLD_SCHEMA, formats=True, accept_misfits=True, on_progress=seen.append
        )
    )
    assert seen == [
        eventfold.TrialProgress(3, 0, 0, 5, 9),
        eventfold.TrialProgress(4, 0, 0, 9, 9),
    ]
    assert put.created
    assert put.schema.event_type == "T"
    found = [one.change for one in put.differences]
    assert found == ["wider", "narrower", "undecided", "annotation", "unknown"]
    assert put.differences[0] == eventfold.SchemaDifference("/a/*", "type", "wider", "words")
    [request] = server.requests("PutSchema")
    assert json.loads(request.source) == OLD_SCHEMA
    assert (request.event_type, request.formats, request.accept_misfits) == ("T", True, True)
    # The long trial has its own deadline.
    assert server.calls[0].seconds > 3000


TRIED = {
    "PutSchema": lambda client, **options: client.put_schema("T", {}, **options),
    "CheckSchema": lambda client, **options: client.check_schema("T", {}, **options),
    "PutMapping": lambda client, **options: client.put_mapping("mapping: T\n", **options),
    "CheckMapping": lambda client, **options: client.check_mapping("mapping: T\n", **options),
}


@pytest.mark.parametrize("name", TRIED)
async def test_one_deadline_for_all_attempts(
    driver: Any, server: Any, script: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(request: Any, context: grpc.ServicerContext) -> Any:
        time.sleep(0.25)
        script.refuse("STORAGE_UNAVAILABLE")(request, context)
        yield

    client = driver.client(server.target)
    server.script(name, slowly, slowly, script.hang)
    began = time.monotonic()
    # Nobody knows what became of a put.
    with pytest.raises((eventfold.DeadlineExceeded, eventfold.OutcomeUnknown), match="within 1 s"):
        await driver.result(TRIED[name](client, timeout=1.0))
    assert time.monotonic() - began < 10
    first, second, third = (call.seconds for call in server.calls)
    assert first > 0.8
    assert second < 0.8
    assert third < 0.55
    # No attempt begins that has no time.
    monkeypatch.setattr("eventfold._failures._BACKOFF_FIRST_S", 3.0)
    server.script(name, script.refuse("STORAGE_UNAVAILABLE"))
    with pytest.raises(eventfold.StorageUnavailable):
        await driver.result(TRIED[name](client, timeout=0.9))
    assert len(server.calls) == 4


async def test_where_a_schema_comes_from(driver: Any, server: Any, tmp_path: Path) -> None:
    server.script("PutSchema", [schema_put()])
    client = driver.client(server.target)
    file = tmp_path / "s.json"
    file.write_text('{"title": "ü"}', encoding="utf-8")
    sources = [file, str(file), '{"title": 1}', " true\n", "false", {"minimum": Decimal("0.10")}]
    for source in sources:
        await driver.result(client.put_schema(None, source))
    assert [request.source for request in server.requests("PutSchema")] == [
        '{"title": "ü"}',
        '{"title": "ü"}',
        '{"title": 1}',
        " true\n",
        "false",
        '{"minimum":0.10}',
    ]
    assert {request.event_type for request in server.requests("PutSchema")} == {""}
    with pytest.raises(FileNotFoundError):
        await driver.result(client.put_schema("T", "nowhere.json"))
    for wrong in (5, int):
        with pytest.raises(TypeError):
            await driver.result(client.put_schema("T", wrong))
    assert len(server.calls) == len(sources)


async def test_an_empty_event_type_is_no_shared_schema(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    for call in (client.put_schema, client.check_schema):
        with pytest.raises(eventfold.InvalidRequest, match="is empty") as caught:
            await driver.result(call("", '{"$id": "urn:a"}'))
        assert caught.value.field == "event_type"
    assert server.calls == []


def test_schemas_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    def properties(model: type[Any]) -> Any:
        found = json.loads(_schema_sources.schema_source(model))
        if "$ref" in found:
            found = found["$defs"][model.__name__]
        return found["properties"], found["required"]

    names, required = properties(BoughtModel)
    assert names["id"]["format"] == "uuid"
    assert required == ["amount", "id"]
    assert properties(BoughtStruct) == ({"amount": {"type": "integer"}}, ["amount"])
    names, required = properties(Bought)
    assert names["at"]["format"] == "date-time"
    assert {"type": "number"} in names["amount"]["anyOf"]
    assert required == ["amount", "at"]
    # Without pydantic, msgspec; without both, a hint.
    installed = _schema_sources._installed
    monkeypatch.setattr(
        _schema_sources, "_installed", lambda name: None if name == "pydantic" else installed(name)
    )
    names, _ = properties(Bought)
    assert names["amount"] == {"type": "string", "format": "decimal"}
    monkeypatch.setattr(_schema_sources, "_installed", lambda _: None)
    with pytest.raises(TypeError, match="needs pydantic or msgspec"):
        properties(Bought)
    assert installed("eventfold_has_no_such_module") is None


async def test_a_schema_that_is_refused(driver: Any, server: Any, script: Any) -> None:
    server.script(
        "PutSchema",
        script.refuse(
            "SCHEMA_INCOMPATIBLE", "FAILED_PRECONDITION", type="T", path="/a", misfits=3, count=1
        ),
    )
    client = driver.client(server.target)
    with pytest.raises(eventfold.SchemaIncompatible) as caught:
        await driver.result(client.put_schema("T", {}))
    assert (caught.value.type, caught.value.misfits, caught.value.path) == ("T", 3, "/a")
    server.script("PutSchema", [schemas_pb.PutSchemaResponse(events=3)])
    with pytest.raises(eventfold.UnexpectedAnswer):
        await driver.result(client.put_schema("T", {}))


async def test_a_write_is_repeated_only_when_nothing_was_stored(
    driver: Any, server: Any, script: Any
) -> None:
    client = driver.client(server.target)
    calls = {
        "PutSchema": lambda: client.put_schema("T", {}),
        "PutMapping": lambda: client.put_mapping({"mapping": "T"}),
        "DropMapping": lambda: client.drop_mapping("T"),
        "PutEventType": lambda: client.put_event_type("T"),
        "PutCategory": lambda: client.put_category("c", schema_mode="off"),
    }
    for name, call in calls.items():
        server.script(name, script.fail(grpc.StatusCode.UNAVAILABLE))
        with pytest.raises(eventfold.ConnectionFailed):
            await driver.result(call())
        assert len(server.requests(name)) == 1
    busy = script.refuse("STORAGE_UNAVAILABLE")
    server.script("PutSchema", busy, [schema_put()])
    await driver.result(calls["PutSchema"]())
    server.script("PutMapping", busy, [mappings_pb.PutMappingResponse(done=True)])
    await driver.result(calls["PutMapping"]())
    assert len(server.requests("PutSchema")) == len(server.requests("PutMapping")) == 3
    # Not known to be stored or not.
    server.script("PutSchema", script.hang)
    with pytest.raises(eventfold.OutcomeUnknown):
        await driver.result(client.put_schema("T", {}, timeout=0.3))


async def test_check_schema(driver: Any, server: Any, script: Any) -> None:
    last = schemas_pb.CheckSchemaResponse(
        events=7,
        misfits=2,
        position=9,
        head=9,
        done=True,
        differences=[difference(schemas_pb.SCHEMA_CHANGE_NARROWER)],
        trial=trial(misfit(violations=[violation()])),
        refused=status("SCHEMA_INCOMPATIBLE", misfits="2"),
    )
    first = schemas_pb.CheckSchemaResponse(events=5, misfits=1, position=6, head=9)
    # What changes nothing is asked for again when the line breaks.
    broken = script.fail(grpc.StatusCode.UNAVAILABLE)
    server.script("CheckSchema", [first, broken], [first, last])
    client = driver.client(server.target)
    seen: list[eventfold.TrialProgress] = []
    found = await driver.result(
        client.check_schema("T", "{}", formats=True, misfits_max=5, on_progress=seen.append)
    )
    assert [one.misfits for one in seen] == [1, 1, 2]
    request = server.requests("CheckSchema")[1]
    assert (request.event_type, request.source) == ("T", "{}")
    assert (request.formats, request.misfits_max) == (True, 5)
    assert found.trial == eventfold.Trial(
        7, 2, (eventfold.Misfit("a-1", 2, 8, "e", (told(),), None),), 9
    )
    assert isinstance(found.refused, eventfold.SchemaIncompatible)
    assert found.refused.misfits == 2
    assert found.differences[0].change == "narrower"
    server.script("CheckSchema", [schemas_pb.CheckSchemaResponse(done=True)])
    # Of a shared schema nothing is tried.
    found = await driver.result(client.check_schema(None, "{}"))
    assert found == eventfold.SchemaCheck((), None, None)
    assert server.requests("CheckSchema")[-1].misfits_max == 10


async def test_get_and_list_schemas(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    full = schema(id="urn:t", formats=True, refers_to=["urn:a", "urn:b"], accepted_misfits=5)
    pinned = [schemas_pb.SchemaResource(id=f"urn:{name}", source=name) for name in "ab"]
    server.script("GetSchema", schemas_pb.GetSchemaResponse(schema=full, resources=pinned))
    found = await driver.result(client.get_schema("T", revision=2))
    assert found == eventfold.SchemaInfo(
        event_type="T",
        id="urn:t",
        revision=2,
        digest="d" * 64,
        source="{}",
        draft="2019-09",
        formats=True,
        refers_to=("urn:a", "urn:b"),
        put_at=TIME,
        put_by="ops",
        accepted_misfits=5,
        resources={"urn:a": "a", "urn:b": "b"},
    )
    await driver.result(client.get_schema(id="urn:t"))
    by_type, by_id = server.requests("GetSchema")
    assert (by_type.WhichOneof("of"), by_type.event_type, by_type.revision) == (
        "event_type",
        "T",
        2,
    )
    assert (by_id.WhichOneof("of"), by_id.id, by_id.revision) == ("id", "urn:t", 0)
    for wrong in ({}, {"event_type": "T", "id": "urn:t"}):
        with pytest.raises(TypeError, match="an event type or an id"):
            await driver.result(client.get_schema(**wrong))
    pages = [
        schemas_pb.ListSchemasResponse(schemas=[schema("A"), schema("B")], next_page_token="t"),
        schemas_pb.ListSchemasResponse(schemas=[schema("")]),
    ]
    server.script("ListSchemas", *pages)
    listed = await driver.items(client.list_schemas(page_size=2))
    assert [one.event_type for one in listed] == ["A", "B", None]
    asked = [(one.page_size, one.page_token) for one in server.requests("ListSchemas")]
    assert asked == [(2, ""), (2, "t")]
