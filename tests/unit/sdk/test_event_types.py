"""Goal: the calls on event types and mappings ask for what was said, and give all that the
server answered.

Method: both clients against a server by script that keeps what came in.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

import eventfold
from eventfold import Violation
from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb

TIME = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)
STAMP = timestamp_pb2.Timestamp(seconds=int(TIME.timestamp()), nanos=678901000)


def status(reason: str, **facts: str) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="eventfold", metadata=facts)
    detail = any_pb2.Any()
    detail.Pack(info)
    code = code_pb2.FAILED_PRECONDITION
    return status_pb2.Status(code=code, message="no", details=[detail])


def violation(index: int = 0, pointer: str = "/email") -> schemas_pb.SchemaViolation:
    return schemas_pb.SchemaViolation(
        event_index=index,
        pointer=pointer,
        rule="required",
        schema_pointer="/required",
        message="email is needed",
        event_type="T",
    )


def told(index: int = 0, pointer: str = "/email") -> Violation:
    return Violation("T", pointer, "required", "/required", "email is needed", index)


def schema(event_type: str = "T", **fields: Any) -> schemas_pb.Schema:
    return schemas_pb.Schema(
        event_type=event_type,
        revision=2,
        digest="d" * 64,
        source="{}",
        draft=schemas_pb.SCHEMA_DRAFT_2019_09,
        put_at=STAMP,
        put_by="ops",
        **fields,
    )


def mapping(event_type: str = "T") -> mappings_pb.Mapping:
    return mappings_pb.Mapping(
        event_type=event_type, revision=3, digest="m" * 64, source="s", put_at=STAMP, put_by="ops"
    )


def difference(change: Any) -> schemas_pb.SchemaDifference:
    return schemas_pb.SchemaDifference(
        pointer="/a/*", keyword="type", change=change, message="words"
    )


def schema_put(**fields: Any) -> schemas_pb.PutSchemaResponse:
    return schemas_pb.PutSchemaResponse(
        done=True, schema=schema(), head=9, position=9, events=4, **fields
    )


def trial(*misfits: schemas_pb.Misfit) -> schemas_pb.Trial:
    return schemas_pb.Trial(events=7, misfits=2, first=misfits, position=9)


def misfit(**fields: Any) -> schemas_pb.Misfit:
    return schemas_pb.Misfit(stream="a-1", version=2, position=8, event_id="e", **fields)


def event_type(name: str, **fields: Any) -> pb.EventType:
    return pb.EventType(name=name, **fields)


async def test_put_mapping(driver: Any, server: Any, tmp_path: Path) -> None:
    client = driver.client(server.target)
    stale = [mappings_pb.StaleProjection(projection="p", generation=4)]
    last = mappings_pb.PutMappingResponse(done=True, mapping=mapping(), created=True, stale=stale)
    server.script(
        "PutMapping", [mappings_pb.PutMappingResponse(events=1, position=2, head=3), last]
    )
    file = tmp_path / "m.yaml"
    file.write_text("mapping: T\n", encoding="utf-8")
    seen: list[eventfold.TrialProgress] = []
    put = await driver.result(client.put_mapping(file, on_progress=seen.append))
    assert seen[0] == eventfold.TrialProgress(1, 0, 0, 2, 3)
    assert put.created
    assert put.mapping == eventfold.MappingInfo("T", 3, "m" * 64, "s", TIME, "ops")
    assert put.stale == (eventfold.StaleProjection("p", 4),)
    server.script("PutMapping", [last])
    await driver.result(client.put_mapping({"mapping": "T"}))
    sources = [request.source for request in server.requests("PutMapping")]
    assert sources == ["mapping: T\n", '{"mapping":"T"}']
    assert server.calls[0].seconds > 3000


async def test_check_mapping(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    failed = status("MAPPING_FAILED", path="computed.n", type="T")
    last = mappings_pb.CheckMappingResponse(
        events=7,
        misfits=2,
        changed=4,
        position=9,
        head=9,
        done=True,
        trial=trial(misfit(error=failed)),
        stale=[mappings_pb.StaleProjection(projection="p", generation=4)],
    )
    server.script("CheckMapping", [last])
    seen: list[eventfold.TrialProgress] = []
    found = await driver.result(
        client.check_mapping("mapping: T\n", misfits_max=3, on_progress=seen.append)
    )
    assert seen == [eventfold.TrialProgress(7, 2, 4, 9, 9)]
    assert found.changed == 4
    [one] = found.trial.first
    assert isinstance(one.error, eventfold.MappingFailed)
    assert (one.error.path, one.violations) == ("computed.n", ())
    assert found.stale == (eventfold.StaleProjection("p", 4),)
    assert server.requests("CheckMapping")[0].misfits_max == 3


async def test_get_list_and_drop_mappings(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    server.script("GetMapping", mappings_pb.GetMappingResponse(mapping=mapping()))
    assert (await driver.result(client.get_mapping("T", revision=3))).revision == 3
    [request] = server.requests("GetMapping")
    assert (request.event_type, request.revision) == ("T", 3)
    pages = [
        mappings_pb.ListMappingsResponse(mappings=[mapping("A")], next_page_token="t"),
        mappings_pb.ListMappingsResponse(mappings=[mapping("B")]),
    ]
    server.script("ListMappings", *pages)
    listed = await driver.items(client.list_mappings(page_size=1))
    assert [one.event_type for one in listed] == ["A", "B"]
    assert server.requests("ListMappings")[1].page_token == "t"
    stale = [mappings_pb.StaleProjection(projection="p", generation=1)]
    server.script("DropMapping", mappings_pb.DropMappingResponse(stale=stale))
    dropped = await driver.result(client.drop_mapping("T"))
    assert dropped == (eventfold.StaleProjection("p", 1),)
    assert server.requests("DropMapping")[0].event_type == "T"


async def test_put_event_type(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    answer = event_type("T", replaces=["O"], schema_mode=pb.SCHEMA_MODE_WARN, references=99)
    server.script("PutEventType", pb.PutEventTypeResponse(event_type=answer))
    put = client.put_event_type
    found = await driver.result(
        put("T", description="", replaced_by="", schema_mode="warn", references="enforce")
    )
    assert (found.schema_mode, found.references, found.replaces) == ("warn", "unknown", ("O",))
    assert (found.replaced_by, found.first_recorded_at, found.position) == (None, None, 0)
    await driver.result(put("T"))
    await driver.result(put("T", schema_mode="default", references="default"))
    said, nothing, taken_back = server.requests("PutEventType")
    assert said.HasField("description")
    assert said.HasField("replaced_by")
    assert (said.schema_mode, said.references) == (
        pb.SCHEMA_MODE_WARN,
        pb.REFERENCE_MODE_ENFORCE,
    )
    assert [field.name for field, _ in nothing.ListFields()] == ["event_type"]
    assert taken_back.HasField("schema_mode")
    assert taken_back.HasField("references")
    assert (taken_back.schema_mode, taken_back.references) == (0, 0)
    for wrong in ({"schema_mode": "strict"}, {"references": "warn"}):
        with pytest.raises(ValueError, match=r"'default', 'off'.* or 'enforce', not"):
            await driver.result(put("T", **wrong))
    assert len(server.calls) == 3


async def test_list_event_types(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    full = event_type(
        "T",
        description="d",
        replaced_by="U",
        replaces=["R", "S"],
        schema_mode=pb.SCHEMA_MODE_ENFORCE,
        references=pb.REFERENCE_MODE_OFF,
        schema_revision=1,
        schema_digest="s",
        mapping_revision=2,
        mapping_digest="m",
        events=10,
        violations=3,
        first_position=4,
        last_position=99,
        first_recorded_at=STAMP,
        last_recorded_at=STAMP,
        writers=[pb.TypeWriter(writer="w", events=10, last_recorded_at=STAMP)],
        writers_count=101,
        personal=["/email"],
    )
    pages = [
        pb.ListEventTypesResponse(event_types=[full], next_page_token="t", position=100, head=110),
        pb.ListEventTypesResponse(event_types=[event_type("U")], position=120),
    ]
    server.script("ListEventTypes", *pages)
    first, second = await driver.items(client.list_event_types(prefix="p", page_size=1))
    assert first == eventfold.EventTypeInfo(
        name="T",
        description="d",
        replaced_by="U",
        replaces=("R", "S"),
        schema_mode="enforce",
        references="off",
        schema_revision=1,
        schema_digest="s",
        mapping_revision=2,
        mapping_digest="m",
        events=10,
        violations=3,
        first_position=4,
        last_position=99,
        first_recorded_at=TIME,
        last_recorded_at=TIME,
        writers=(eventfold.TypeWriter("w", 10, TIME),),
        writers_count=101,
        personal=("/email",),
        position=100,
        head=110,
    )
    assert (second.name, second.position, second.schema_mode) == ("U", 120, "default")
    asked = server.requests("ListEventTypes")
    assert [(one.prefix, one.page_token) for one in asked] == [("p", ""), ("p", "t")]


async def test_categories(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    category = pb.Category(name="c", schema_mode=pb.SCHEMA_MODE_WARN)
    server.script("PutCategory", pb.PutCategoryResponse(category=category))
    put = await driver.result(client.put_category("c", schema_mode="warn"))
    assert put == eventfold.CategoryInfo("c", "warn")
    assert server.requests("PutCategory")[0].schema_mode == pb.SCHEMA_MODE_WARN
    pages = [
        pb.ListCategoriesResponse(categories=[category], next_page_token="t"),
        pb.ListCategoriesResponse(categories=[pb.Category(name="d", schema_mode=99)]),
    ]
    server.script("ListCategories", *pages)
    listed = await driver.items(client.list_categories())
    assert [(one.name, one.schema_mode) for one in listed] == [("c", "warn"), ("d", "unknown")]
