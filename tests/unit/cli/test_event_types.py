"""Goal: `eventfold schema`, `eventfold mapping` and `eventfold types` ask for what was said, print
all of it, and say by their exit code how it went.

Method: typer's runner against a server by script.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.unit.cli.test_projections import lines
from tests.unit.cli.test_projections import run as run  # noqa: PLC0414 - a fixture
from tests.unit.cli.test_projections import server as server  # noqa: PLC0414 - a fixture
from tests.unit.sdk.conftest import ScriptedServer, refuse
from tests.unit.sdk.test_event_types import (
    STAMP,
    difference,
    event_type,
    mapping,
    misfit,
    schema,
    schema_put,
    status,
    trial,
    violation,
)

from eventfold.cli import output
from eventfold.cli.failures import ExitCode
from eventfold.v1 import appends_pb2 as store_pb
from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb

Run = Callable[..., Any]
STALE = [mappings_pb.StaleProjection(projection="p", generation=4)]


@pytest.fixture
def document(tmp_path: Path) -> str:
    file = tmp_path / "of any name"
    file.write_text('"no schema"', encoding="utf-8")
    return str(file)


def test_schema_put(run: Run, server: ScriptedServer, document: str) -> None:
    answer = schema_put(created=True, differences=[difference(schemas_pb.SCHEMA_CHANGE_WIDER)])
    server.script("PutSchema", [answer])
    result = run("schema", "put", document, "--type", "T", "--formats", "--accept-misfits")
    [request] = server.requests("PutSchema")
    assert (request.event_type, request.source) == ("T", '"no schema"\n')
    assert (request.formats, request.accept_misfits) == (True, True)
    assert "new               yes" in result.stdout
    assert result.stdout.splitlines()[-1].split() == ["wider", "type", "/a/*", "words"]
    result = run("schema", "put", document, "--shared", "--json")
    [found] = lines(result)
    assert (found["revision"], found["created"], found["draft"]) == (2, True, "2019-09")
    [told] = found["differences"]
    assert told == {"pointer": "/a/*", "keyword": "type", "change": "wider", "message": "words"}
    assert server.requests("PutSchema")[1].event_type == ""
    for wrong in ([], ["--type", "T", "--shared"], ["--type", ""]):
        run("schema", "put", document, *wrong, code=ExitCode.USAGE)
        run("schema", "check", document, *wrong, code=ExitCode.USAGE)
    refused = refuse("SCHEMA_INCOMPATIBLE", "FAILED_PRECONDITION", path="/a", hint="a new type")
    server.script("PutSchema", refused)
    result = run("schema", "put", document, "--type", "T", code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: SCHEMA_INCOMPATIBLE: ")
    assert "hint=a new type" in result.stderr


def test_a_bar_on_a_terminal(
    run: Run, server: ScriptedServer, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()

    def terminal(**_: Any) -> Console:
        return Console(file=screen, force_terminal=True, color_system=None, width=150)

    monkeypatch.setattr(output, "Console", terminal)
    some = schemas_pb.CheckSchemaResponse(events=1234, misfits=2, position=10, head=50)
    done = schemas_pb.CheckSchemaResponse(events=5678, misfits=3, position=50, head=50, done=True)
    server.script("CheckSchema", [some, done])
    run("schema", "check", document, "--type", "T")
    assert "Trying stored events" in screen.getvalue()
    assert "5,678 events, 3 do not fit" in screen.getvalue()
    assert "50/50" in screen.getvalue()


def test_schema_check(run: Run, server: ScriptedServer, document: str) -> None:
    last = schemas_pb.CheckSchemaResponse(
        done=True,
        differences=[difference(schemas_pb.SCHEMA_CHANGE_NARROWER)],
        trial=trial(misfit(violations=[violation(), violation(0, "")])),
        refused=status("SCHEMA_INCOMPATIBLE", misfits="2"),
    )
    server.script("CheckSchema", [last])
    arguments = ("schema", "check", document, "--type", "T", "--misfits", "3")
    result = run(*arguments, code=ExitCode.REFUSED)
    assert server.requests("CheckSchema")[0].misfits_max == 3
    assert "/email: email is needed, the whole: email is needed" in result.stdout
    assert "do not fit      2" in result.stdout
    assert "1 more do not fit" in result.stderr
    assert "SCHEMA_INCOMPATIBLE: no (misfits=2)" in result.stderr
    [found] = lines(run(*arguments, "--json", code=ExitCode.REFUSED))
    assert found["refused"] == {
        "reason": "SCHEMA_INCOMPATIBLE",
        "message": "no",
        "facts": {"misfits": "2"},
    }
    [first] = found["trial"]["first"]
    assert (first["stream"], first["violations"][0]["pointer"]) == ("a-1", "/email")
    server.script("CheckSchema", [schemas_pb.CheckSchemaResponse(done=True)])
    result = run("schema", "check", document, "--shared")
    assert "do not fit" not in result.stdout
    assert result.stderr == "a shared schema: there are no events to be tried\n"
    [found] = lines(run("schema", "check", document, "--shared", "--json"))
    assert found["trial"] is None


def test_schema_list_and_show(run: Run, server: ScriptedServer) -> None:
    page = schemas_pb.ListSchemasResponse(schemas=[schema("A"), schema("", id="urn:b")])
    server.script("ListSchemas", page)
    rows = run("schema", "list").stdout.splitlines()
    assert rows[0].split() == ["revision", "draft", "formats", "put", "by", "digest", "type", "id"]
    assert rows[1].split()[-1] == "A"
    assert rows[2].split()[-1] == "urn:b"
    assert [one["event_type"] for one in lines(run("schema", "list", "--json"))] == ["A", None]
    server.script("ListSchemas", schemas_pb.ListSchemasResponse())
    assert run("schema", "list").stderr == "no schemas\n"
    resource = schemas_pb.SchemaResource(id="urn:c", source="true")
    server.script("GetSchema", schemas_pb.GetSchemaResponse(schema=schema(), resources=[resource]))
    assert run("schema", "show", "T", "--revision", "2").stdout == "{}\n"
    assert server.requests("GetSchema")[0].revision == 2
    [found] = lines(run("schema", "show", "--id", "urn:b", "--json"))
    assert (found["source"], found["resources"]) == ("{}", {"urn:c": "true"})
    assert server.requests("GetSchema")[1].id == "urn:b"
    run("schema", "show", code=ExitCode.USAGE)
    server.script("GetSchema", refuse("SCHEMA_NOT_FOUND", "NOT_FOUND"))
    run("schema", "show", "T", code=ExitCode.NOT_FOUND)


def test_mapping_put_and_drop(run: Run, server: ScriptedServer, document: str) -> None:
    answer = mappings_pb.PutMappingResponse(done=True, mapping=mapping(), created=True, stale=STALE)
    server.script("PutMapping", [answer])
    result = run("mapping", "put", document)
    assert server.requests("PutMapping")[0].source == '"no schema"\n'
    assert "new         yes" in result.stdout
    stale = "generation 4 of p read events otherwise: `eventfold projection rebuild p`\n"
    assert result.stderr == stale
    [found] = lines(run("mapping", "put", document, "--json"))
    assert (found["event_type"], found["created"]) == ("T", True)
    assert found["stale"] == [{"projection": "p", "generation": 4}]
    server.script("DropMapping", mappings_pb.DropMappingResponse(stale=STALE))
    assert run("mapping", "drop", "T").stderr == stale
    assert lines(run("mapping", "drop", "T", "--json"))[0]["stale"] == found["stale"]
    server.script("DropMapping", refuse("MAPPING_NOT_FOUND", "NOT_FOUND"))
    run("mapping", "drop", "T", code=ExitCode.NOT_FOUND)


def test_mapping_check(run: Run, server: ScriptedServer, document: str) -> None:
    failed = misfit(error=status("MAPPING_FAILED", path="computed.n"))
    last = mappings_pb.CheckMappingResponse(done=True, changed=5, trial=trial(failed), stale=STALE)
    server.script("CheckMapping", [last])
    result = run("mapping", "check", document, code=ExitCode.REFUSED)
    assert result.stdout.startswith("changes  5\n")
    assert "MAPPING_FAILED: no (path=computed.n)" in result.stdout
    assert "generation 4 of p" in result.stderr
    [found] = lines(run("mapping", "check", document, "--json", code=ExitCode.REFUSED))
    assert found["trial"]["first"][0]["error"]["reason"] == "MAPPING_FAILED"
    assert (found["changed"], len(found["stale"])) == (5, 1)
    server.script(
        "CheckMapping",
        [mappings_pb.CheckMappingResponse(done=True, trial=schemas_pb.Trial(events=3))],
    )
    run("mapping", "check", document)


def test_mapping_list_and_show(run: Run, server: ScriptedServer) -> None:
    server.script("ListMappings", mappings_pb.ListMappingsResponse(mappings=[mapping("A")]))
    assert run("mapping", "list").stdout.splitlines()[1].split()[-1] == "A"
    assert lines(run("mapping", "list", "--json"))[0]["digest"] == "m" * 64
    server.script("ListMappings", mappings_pb.ListMappingsResponse())
    assert run("mapping", "list").stderr == "no mappings\n"
    server.script("GetMapping", mappings_pb.GetMappingResponse(mapping=mapping()))
    assert run("mapping", "show", "T").stdout == "s\n"
    assert lines(run("mapping", "show", "T", "--revision", "3", "--json"))[0]["source"] == "s"
    assert server.requests("GetMapping")[1].revision == 3


def listed(*types: pb.EventType, head: int = 77) -> pb.ListEventTypesResponse:
    return pb.ListEventTypesResponse(event_types=types, position=77, head=head)


FULL = event_type(
    "T",
    replaced_by="U",
    schema_mode=pb.SCHEMA_MODE_WARN,
    schema_revision=2,
    mapping_revision=1,
    events=1000,
    violations=3,
    first_position=1,
    last_position=9,
    first_recorded_at=STAMP,
    last_recorded_at=STAMP,
    writers=[
        pb.TypeWriter(writer=name, events=5, last_recorded_at=STAMP)
        for name in ("shop", "desk", "import", "x")
    ],
    writers_count=101,
)


@pytest.mark.parametrize("words", [["types"], ["types", "list"]], ids=" ".join)
def test_types_list(run: Run, server: ScriptedServer, words: list[str]) -> None:
    server.script("ListEventTypes", listed(FULL, event_type("Unused")))
    result = run(*words)
    rows = result.stdout.splitlines()
    assert "shop, desk, import, 98 more" in rows[1]
    assert rows[1].split()[:2] == ["1000", "3"]
    assert rows[1].split()[-5:] == ["2", "warn", "1", "T", "U"]
    assert rows[2].split() == ["0", "Unused"]
    assert result.stderr == "counted up to position 77\n"
    found = lines(run(*words, "--prefix", "T", "--limit", "1", "--json"))
    assert server.requests("ListEventTypes")[1].prefix == "T"
    [one] = found
    assert (one["name"], one["position"], len(one["writers"])) == ("T", 77, 4)
    # A large log is not counted at once.
    server.script("ListEventTypes", listed(FULL, head=90))
    behind = "77 of 90; the server goes on, ask again later\n"
    assert run(*words).stderr == f"counted up to position {behind}"
    assert f"counted up to      {behind}" in run("types", "show", "T").stdout
    assert lines(run(*words, "--json"))[0]["head"] == 90
    server.script("ListEventTypes", listed())
    assert run(*words).stderr == "no event types\n"


def test_types_help(run: Run) -> None:
    assert "alone it lists them" in run("types", "--help").stdout


def test_types_show(run: Run, server: ScriptedServer) -> None:
    server.script("ListEventTypes", listed(FULL, event_type("TT")))
    result = run("types", "show", "T")
    [request] = server.requests("ListEventTypes")
    assert (request.prefix, request.page_size) == ("T", 1)
    assert "writers            shop (5), desk (5), import (5), x (5)" in result.stdout
    assert "counted up to      77" in result.stdout
    assert "description" not in result.stdout
    assert lines(run("types", "show", "T", "--json"))[0]["replaced_by"] == "U"
    for answer in (listed(event_type("TT")), listed()):
        server.script("ListEventTypes", answer)
        result = run("types", "show", "T", code=ExitCode.NOT_FOUND)
        assert result.stderr.startswith("error: EVENT_TYPE_NOT_FOUND: ")


def test_types_set(run: Run, server: ScriptedServer) -> None:
    server.script("PutEventType", pb.PutEventTypeResponse(event_type=event_type("T")))
    words = [
        "types",
        "set",
        "T",
        "--replaced-by",
        "U",
        "--mode",
        "warn",
        "--references",
        "enforce",
        "--description",
    ]
    result = run(*words, "")
    [request] = server.requests("PutEventType")
    assert (request.replaced_by, request.HasField("description")) == ("U", True)
    assert request.schema_mode == pb.SCHEMA_MODE_WARN
    assert request.references == pb.REFERENCE_MODE_ENFORCE
    # An answer without counts tells none.
    assert "events" not in result.stdout
    assert "violations" not in result.stdout
    assert lines(run("types", "set", "T", "--description", "d", "--json"))[0]["name"] == "T"
    assert not server.requests("PutEventType")[1].HasField("schema_mode")
    run("types", "set", "T", "--mode", "strict", code=ExitCode.USAGE)
    run("types", "set", "T", code=ExitCode.USAGE)
    assert len(server.requests("PutEventType")) == 2


def test_types_mode(run: Run, server: ScriptedServer) -> None:
    category = pb.Category(name="shop", schema_mode=pb.SCHEMA_MODE_OFF)
    server.script("ListCategories", pb.ListCategoriesResponse(categories=[category]))
    server.script("PutCategory", pb.PutCategoryResponse(category=category))
    assert run("types", "mode").stdout.splitlines()[1].split() == ["off", "shop"]
    assert lines(run("types", "mode", "shop", "off", "--json")) == [
        {"name": "shop", "schema_mode": "off"}
    ]
    assert server.requests("PutCategory")[0].schema_mode == pb.SCHEMA_MODE_OFF
    run("types", "mode", "shop", code=ExitCode.USAGE)
    server.script("ListCategories", pb.ListCategoriesResponse())
    assert run("types", "mode").stderr == "nothing was said of any category\n"


def test_append_tells_violations(run: Run, server: ScriptedServer) -> None:
    answer = store_pb.CheckAppendResponse(
        violations=[violation(1)], refused=status("SCHEMA_VIOLATION", count="1")
    )
    server.script("CheckAppend", answer)
    arguments = ("append", "a-1", "T", "--expected", "0")
    result = run(*arguments, "--check", code=ExitCode.REFUSED)
    assert "no, and would be refused" in result.stdout
    line = "event 1 at /email: email is needed (required)\n"
    assert result.stderr == line
    [found] = lines(run(*arguments, "--check", "--json", code=ExitCode.REFUSED))
    assert found["violations"][0]["rule"] == "required"
    assert found["refused"]["reason"] == "SCHEMA_VIOLATION"
    server.script("CheckAppend", store_pb.CheckAppendResponse(violations=[violation(1)]))
    assert "would be accepted" in run(*arguments, "--check").stdout
    names = ("event_index", "pointer", "rule", "schema_pointer", "message", "event_type")
    told = json.dumps([{name: getattr(violation(1), name) for name in names}])
    refused = refuse("SCHEMA_VIOLATION", "FAILED_PRECONDITION", count=1, violations=told)
    server.script("Append", refused)
    result = run(*arguments, code=ExitCode.REFUSED)
    assert result.stderr.splitlines()[1] == "  " + line.rstrip()
    assert "violations=" not in result.stderr
