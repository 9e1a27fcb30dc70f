"""Goal: a schema is put in force if the one before or the stored events allow it, and not else; and
appends are held to what is in force.

Method: a real server over plain stubs, with event types of each test's own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.event_types import (
    ENFORCE,
    OFF,
    VIOLATED,
    WARN,
    EventTypes,
    append_request,
    event_types_of,
    places,
    reason_of,
    schema,
    tried,
)
from tests.support.raw import Answer
from tests.support.rows import delete_payloads
from tests.support.servers import RunningServer

from eventfold.v1 import appends_pb2 as store_pb
from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import schemas_pb2 as schemas_pb

WIDER, NARROWER = schemas_pb.SCHEMA_CHANGE_WIDER, schemas_pb.SCHEMA_CHANGE_NARROWER


@pytest.fixture
def types(server: RunningServer) -> Iterator[EventTypes]:
    with event_types_of(server.address) as found:
        yield found


@pytest.fixture
def own() -> str:
    """A name of the test's own."""
    return uuid.uuid4().hex[:12]


def refusal(call: Any, *arguments: Any, **named: Any) -> Answer:
    """How a call is refused."""
    refused = tried(call, *arguments, **named)
    assert isinstance(refused, Answer), refused
    return refused


def test_a_schema_is_put_found_and_put_again(types: EventTypes, own: str) -> None:
    source = schema("a", a="integer", b="string")
    put = types.put(own, source)
    assert put.created
    found = put.schema
    assert (found.event_type, found.id, found.revision, found.source) == (own, "", 1, source)
    assert found.draft == schemas_pb.SCHEMA_DRAFT_2020_12
    assert (found.put_by, found.accepted_misfits, found.formats) == ("anonymous", 0, False)
    assert not put.differences
    assert put.events == 0

    again = types.put(own, json.dumps(json.loads(source), indent=4))
    assert not again.created
    # The document that came first.
    assert again.schema == found
    with_formats = types.put(own, source, formats=True)
    assert with_formats.created
    assert with_formats.schema.revision == 2
    get = types.stub.GetSchema(schemas_pb.GetSchemaRequest(event_type=own, revision=1))
    assert get.schema == found
    get = types.stub.GetSchema(schemas_pb.GetSchemaRequest(event_type=own))
    assert get.schema == with_formats.schema
    missing = refusal(types.stub.GetSchema, schemas_pb.GetSchemaRequest(event_type=own, revision=3))
    assert (missing.code, missing.reason) == ("NOT_FOUND", "SCHEMA_NOT_FOUND")
    assert missing.facts == {"type": own, "revision": "3"}
    missing = refusal(types.stub.GetSchema, schemas_pb.GetSchemaRequest(id=own))
    assert missing.facts == {"id": own}


def test_events_that_do_not_fit_are_refused(types: EventTypes, own: str) -> None:
    types.put(own, schema("a", a={"type": "integer", "minimum": 1}, b="string"))
    stored = types.append(f"c-{own}", (own, {"a": 1}), ("Other", {"a": "x"}))
    assert stored.last_version == 2
    bad = (own, {"a": "secret-1"})
    refused = refusal(types.append, f"c-{own}", (own, {"a": 1}), bad, (own, {"b": "secret-2"}))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "SCHEMA_VIOLATION")
    facts = {name: refused.facts[name] for name in ("event_index", "type", "pointer", "rule")}
    assert facts == {"event_index": "1", "type": own, "pointer": "/a", "rule": "type"}
    assert (refused.facts["count"], refused.facts["revision"]) == ("2", "1")
    assert "secret" not in str(refused)
    assert len(types.stored(f"c-{own}")) == 2


def test_all_violations_are_told(types: EventTypes, own: str) -> None:
    types.put(own, schema("a", a={"type": "integer"}, b={"type": "string"}))
    bad: list[Any] = [(own, {"b": 5}), (own, {"a": 1}), (own, {"a": "x", "b": 7})]
    wanted = [(0, "", "required"), (0, "/b", "type"), (2, "/a", "type"), (2, "/b", "type")]

    foreseen = types.foreseen(f"c-{own}", *bad)
    assert sorted(places(foreseen.violations)) == wanted
    assert {one.event_type for one in foreseen.violations} == {own}
    assert reason_of(foreseen.refused)[0] == "SCHEMA_VIOLATION"
    assert (foreseen.first_version, foreseen.last_version) == (0, 0)

    many = store_pb.AppendManyRequest()
    for stream, events in ((f"c-{own}", [(own, {"a": 1})]), (f"d-{own}", bad), (f"e-{own}", bad)):
        one = append_request(stream, *events)
        many.appends.add(stream=stream, expected_version=one.expected_version, events=one.events)
    many.checks.add(stream=f"f-{own}").expected_version.exact = 7
    answer = types.log.AppendMany(many)
    failed = {one.stream: one for one in answer.failed.checks}
    assert set(failed) == {f"d-{own}", f"e-{own}", f"f-{own}"}
    for index, stream in ((1, f"d-{own}"), (2, f"e-{own}")):
        line = failed[stream]
        reason, facts = reason_of(line.refused)
        assert (reason, facts["append_index"]) == ("SCHEMA_VIOLATION", str(index))
        assert (line.append_index, sorted(places(line.violations))) == (index, wanted)
    assert reason_of(failed[f"f-{own}"].refused)[0] == "VERSION_CONFLICT"

    session = store_pb.AppendSessionRequest()
    session.appends.add(number=1, append=append_request(f"c-{own}", *bad))
    session.appends.add(number=2, append=append_request(f"c-{own}", (own, {"a": 1})))
    answers = {
        one.number: one
        for message in types.log.AppendSession(iter([session]))
        for one in message.answers
    }
    assert reason_of(answers[1].refused)[0] == "SCHEMA_VIOLATION"
    assert sorted(places(answers[1].violations)) == wanted
    assert answers[2].appended.first_version == 1
    assert len(types.stored(f"c-{own}")) == 1


def test_modes_of_types_and_categories(types: EventTypes, own: str) -> None:
    """What is said of the type counts, then what is said of the category, then `enforce`."""
    types.put(own, schema("a"))
    category = f"c{own}"

    def becomes() -> int | None:
        """The flag of what is stored; None: it was refused."""
        stream = f"{category}-{uuid.uuid4().hex}"
        foreseen = types.foreseen(stream, (own, {}))
        answer = tried(types.append, stream, (own, {}))
        if isinstance(answer, Answer):
            assert answer.reason == "SCHEMA_VIOLATION"
            assert foreseen.HasField("refused")
            return None
        [event] = types.stored(stream)
        assert not foreseen.HasField("refused")
        assert bool(foreseen.violations) == bool(event.flags & VIOLATED)
        return event.flags & VIOLATED

    assert becomes() is None
    for of_category, of_type, wanted in (
        (WARN, None, VIOLATED),
        (OFF, None, 0),
        (OFF, WARN, VIOLATED),
        (OFF, ENFORCE, None),
        (WARN, OFF, 0),
        (ENFORCE, WARN, VIOLATED),
        (WARN, pb.SCHEMA_MODE_UNSPECIFIED, VIOLATED),
        (pb.SCHEMA_MODE_UNSPECIFIED, pb.SCHEMA_MODE_UNSPECIFIED, None),
    ):
        types.category(category, of_category)
        if of_type is not None:
            assert types.say(own, schema_mode=of_type).schema_mode == of_type
        assert becomes() == wanted, (of_category, of_type)


def test_what_is_stored_already_is_known(types: EventTypes, own: str) -> None:
    """Though it does not fit what was put in force since."""
    event_id = str(uuid.uuid4())
    first = types.append(f"c-{own}", (own, {"a": 1}, event_id))
    types.put(own, schema("b"), accept=True)
    again = types.append(f"c-{own}", (own, {"a": 1}, event_id))
    assert again.duplicate
    assert list(again.positions) == list(first.positions)
    foreseen = types.foreseen(f"c-{own}", (own, {"a": 1}, event_id))
    assert (foreseen.duplicate, foreseen.first_version) == (True, 1)
    assert not foreseen.HasField("refused")
    # Not the same under its id.
    other = refusal(types.append, f"c-{own}", (own, {"a": 2}, event_id))
    assert other.reason == "EVENT_ID_REUSED"
    part = append_request(f"c-{own}", (own, {"a": 1}, event_id))
    many = store_pb.AppendManyRequest()
    many.appends.add(stream=part.stream, expected_version=part.expected_version, events=part.events)
    answer = types.log.AppendMany(many)
    assert answer.stored.appends[0].duplicate
    session = store_pb.AppendSessionRequest()
    session.appends.add(number=1, append=part)
    [message] = types.log.AppendSession(iter([session]))
    assert message.answers[0].appended.duplicate


def test_wider_is_accepted_whatever_is_stored(types: EventTypes, own: str) -> None:
    types.put(own, schema("a", a="integer"))
    types.append(f"c-{own}", (own, {"a": 1}))
    put = types.put(own, schema(a={"type": ["integer", "string"]}))
    assert put.created
    assert {one.change for one in put.differences} == {WIDER}
    assert {one.keyword for one in put.differences} == {"required", "type"}
    assert put.events == 0
    types.append(f"c-{own}", (own, {"a": "x"}))


def test_narrower_is_refused_once_events_are_stored(types: EventTypes, own: str) -> None:
    types.put(own, schema(a="integer"))
    narrower = schema("a", a="integer")
    assert types.put(own, narrower).schema.revision == 2
    types.append(f"c-{own}", (own, {"a": 1}))
    narrowest = schema("a", a={"type": "integer", "minimum": 1})
    refused = refusal(types.put, own, narrowest)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "SCHEMA_INCOMPATIBLE")
    assert (refused.facts["type"], refused.facts["path"]) == (own, "/a")
    assert refused.facts["count"] == "1"
    assert "new event type" in refused.facts["hint"]
    # Who sees nothing but the message of an exception is told as much.
    assert "`/a`: " in refused.message
    assert refused.message.endswith(refused.facts["hint"])
    # Nothing has changed.
    types.append(f"c-{own}", (own, {"a": 0}))
    assert types.stub.GetSchema(schemas_pb.GetSchemaRequest(event_type=own)).schema.revision == 2

    checked = types.check(own, narrowest)
    assert {one.change for one in checked.differences} == {NARROWER}
    assert (checked.trial.events, checked.trial.misfits) == (2, 1)
    assert reason_of(checked.refused)[0] == "SCHEMA_INCOMPATIBLE"
    accepted = types.put(own, narrowest, accept=True)
    assert (accepted.created, accepted.schema.accepted_misfits, accepted.events) == (True, 1, 2)
    assert refusal(types.append, f"c-{own}", (own, {"a": 0})).reason == "SCHEMA_VIOLATION"


def test_deleted_events_refuse_nothing(
    types: EventTypes, own: str, server: RunningServer, database_url: str
) -> None:
    types.put(own, schema(a="integer"))
    ids = [str(uuid.uuid4()) for _ in range(3)]
    types.append(f"c-{own}", *((own, {"a": 1}, id_) for id_ in ids))
    narrower = schema("b", a="integer")
    delete_payloads(database_url, server.options["schema"], ids[:2])
    assert refusal(types.put, own, narrower).reason == "SCHEMA_INCOMPATIBLE"
    assert types.check(own, narrower).HasField("refused")
    delete_payloads(database_url, server.options["schema"], ids[2:])
    checked = types.check(own, narrower)
    assert (checked.trial.events, checked.HasField("refused")) == (0, False)
    assert types.put(own, narrower).created


def test_the_first_schema_is_tried_on_stored_events(types: EventTypes, own: str) -> None:
    for n in range(10):
        types.append(f"c-{own}", (own, {"a": n}), ("Other", {"a": "x"}))
    fits = schema("a", a={"type": "integer", "maximum": 9})
    misfits = schema("a", a={"type": "integer", "maximum": 6})
    refused = refusal(types.put, own, misfits)
    assert refused.reason == "SCHEMA_INCOMPATIBLE"
    assert (refused.facts["misfits"], refused.facts["path"]) == ("3", "/a")
    # Nothing has changed yet that would be a new event type.
    assert "accept_misfits" in refused.facts["hint"]
    event = types.stored(f"c-{own}")[14]
    assert refused.facts["position"] == str(event.position)
    assert refused.facts["event_id"] == event.id

    checked = types.check(own, misfits, misfits=2)
    assert (checked.events, checked.misfits) == (10, 3)
    assert (checked.trial.events, checked.trial.misfits) == (10, 3)
    assert [one.version for one in checked.trial.first] == [15, 17]
    first = checked.trial.first[0]
    assert (first.stream, first.event_id, first.position) == (f"c-{own}", event.id, event.position)
    assert places(first.violations) == [(0, "/a", "maximum")]
    assert checked.trial.position >= event.position
    assert reason_of(checked.refused) == (refused.reason, refused.facts)
    assert not types.check(own, fits).HasField("refused")

    put = types.put(own, fits)
    assert (put.created, put.events, put.schema.accepted_misfits) == (True, 10, 0)


def test_what_schemas_do_not_tell_is_decided_by_stored_events(types: EventTypes, own: str) -> None:
    one = schema(a={"type": "string", "pattern": "^[a-z]+$"})
    types.put(own, one)
    types.append(f"c-{own}", (own, {"a": "abc"}))
    other = schema(a={"type": "string", "pattern": "^[a-z]{1,3}$"})
    put = types.put(own, other)
    assert schemas_pb.SCHEMA_CHANGE_UNDECIDED in {one.change for one in put.differences}
    assert (put.created, put.events) == (True, 1)
    types.append(f"c-{own}", (own, {"a": "xy"}))
    refused = refusal(types.put, own, schema(a={"type": "string", "pattern": "^[a-c]{1,3}$"}))
    assert (refused.reason, refused.facts["misfits"]) == ("SCHEMA_INCOMPATIBLE", "1")


def test_shared_schemas_are_found_by_id_and_pinned(types: EventTypes, own: str) -> None:
    base = f"https://example.com/{own}"
    shared = {"$id": f"{base}/money.json", "type": "object", "required": ["amount"]}
    inner = {"$id": f"{base}/amount.json", "type": "integer"}
    outer = {"properties": {"price": {"$ref": f"{base}/money.json"}}}
    unknown = refusal(types.put, own, json.dumps(outer))
    assert (unknown.reason, unknown.facts["problem"]) == ("INVALID_SCHEMA", "unknown_reference")
    assert unknown.facts["reference"] == f"{base}/money.json"

    assert types.put("", json.dumps(inner)).schema.id == f"{base}/amount.json"
    shared["properties"] = {"amount": {"$ref": "amount.json"}}
    put = types.put("", json.dumps(shared))
    assert (put.schema.event_type, list(put.schema.refers_to)) == ("", [f"{base}/amount.json"])
    put = types.put(own, json.dumps(outer))
    wanted = [f"{base}/amount.json", f"{base}/money.json"]
    assert list(put.schema.refers_to) == wanted
    assert refusal(types.append, f"c-{own}", (own, {"price": {"amount": "1"}})).reason == (
        "SCHEMA_VIOLATION"
    )
    # A change of the shared one is none of those that refer to it.
    inner["type"] = "string"
    assert types.put("", json.dumps(inner)).schema.revision == 2
    types.append(f"c-{own}", (own, {"price": {"amount": 1}}))
    assert refusal(types.append, f"c-{own}", (own, {"price": {"amount": "1"}})).reason == (
        "SCHEMA_VIOLATION"
    )
    # Until it is put again, with what it refers to now.
    refused = refusal(types.put, own, json.dumps(outer))
    assert refused.reason == "SCHEMA_INCOMPATIBLE"
    found = types.stub.GetSchema(schemas_pb.GetSchemaRequest(id=f"{base}/amount.json"))
    assert (found.schema.revision, found.schema.event_type) == (2, "")
    assert refusal(types.put, "", '{"type": "object"}').reason == "INVALID_REQUEST"


def test_pages_of_schemas(start_shared: Any) -> None:
    with event_types_of(start_shared().address) as types:
        for name in ("b", "a", "é", "$a"[1:] + "2"):
            types.put(name, "{}")
        for name in ("urn:y", "urn:x"):
            types.put("", json.dumps({"$id": name}))
        types.put("a", '{"type": "object"}')
        names, token, pages = [], "", 0
        while True:
            request = schemas_pb.ListSchemasRequest(page_size=2, page_token=token)
            page = types.stub.ListSchemas(request)
            names += [(one.event_type or one.id, one.revision) for one in page.schemas]
            pages += 1
            token = page.next_page_token
            if not token:
                break
        assert names == [("a", 2), ("a2", 1), ("b", 1), ("é", 1), ("urn:x", 1), ("urn:y", 1)]
        assert pages == 3
        refused = refusal(types.stub.ListSchemas, schemas_pb.ListSchemasRequest(page_token="x"))
        assert refused.facts["field"] == "page_token"


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        ("$Closed", "INVALID_EVENT_TYPE"),
        ("a" * 129, "INVALID_EVENT_TYPE"),
        ("\n", "INVALID_EVENT_TYPE"),
    ],
)
def test_types_that_no_event_has(types: EventTypes, event_type: str, reason: str) -> None:
    assert refusal(types.put, event_type, "{}").reason == reason
    assert refusal(types.check, event_type, "{}").reason == reason
    assert refusal(types.say, event_type).reason == reason


def test_what_is_said_of_types(types: EventTypes, own: str) -> None:
    a, b, c = (f"{own}{letter}" for letter in "abc")
    said = types.say(a, description="One.", replaced_by=b)
    assert (said.name, said.description, said.replaced_by) == (a, "One.", b)
    assert types.say(a, schema_mode=WARN).description == "One."
    assert list(types.say(b, replaced_by=c).replaces) == [a]
    for of, by in ((c, a), (c, c), (b, a)):
        refused = refusal(types.say, of, replaced_by=by)
        assert (refused.reason, refused.facts["field"]) == ("INVALID_REQUEST", "replaced_by")
    assert types.say(a, replaced_by="").replaced_by == ""
    said = types.say(c, replaced_by=a, references=pb.REFERENCE_MODE_ENFORCE)
    assert (said.replaced_by, said.references) == (a, pb.REFERENCE_MODE_ENFORCE)
    long = refusal(types.say, a, description="é" * 2049)
    assert (long.facts["field"], long.facts["limit"]) == ("description", "4096")
    assert types.say(a, description="é" * 2048).description == "é" * 2048


@pytest.mark.parametrize("name", ["", "a-b", "ü", "a" * 65, "a.b"])
def test_names_that_no_category_has(types: EventTypes, name: str) -> None:
    refused = refusal(types.category, name, WARN)
    assert (refused.reason, refused.facts["field"]) == ("INVALID_REQUEST", "name")
