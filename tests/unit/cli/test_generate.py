"""Goal: `eventfold generate` writes what the schemas of a server or a folder become, and says when
a file is stale.

Method: typer's runner, on folders and against a server by script.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.test_event_types import listed
from tests.unit.cli.test_projections import run as run  # noqa: PLC0414 - a fixture
from tests.unit.cli.test_projections import server as server  # noqa: PLC0414 - a fixture
from tests.unit.sdk.conftest import ScriptedServer
from tests.unit.sdk.test_event_types import STAMP, event_type

from eventfold.cli import generate
from eventfold.cli.failures import ExitCode
from eventfold.v1 import schemas_pb2 as pb

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    (schemas / "Paid.schema.json").write_text('{"properties": {"sum": {"type": "number"}}}')
    return schemas


def test_a_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    words = ["generate", "python", "--from", str(folder)]
    text = run(*words).stdout
    assert "class Paid:" in text
    assert "sum: Decimal | None = None" in text
    assert "class Paid(BaseModel)" in run(*words, "--style", "pydantic").stdout
    file = tmp_path / "events.py"
    output = ["--output", str(file)]
    result = run(*words, *output, "--check", code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: STALE: ")
    assert not file.exists()
    run(*words, *output)
    assert file.read_text() == text
    assert run(*words, *output, "--check").stderr == f"{file} is fresh\n"
    (folder / "More.schema.json").write_text("{}")
    run(*words, *output, "--check", code=ExitCode.REFUSED)
    assert file.read_text() == text
    run(*words, "--check", code=ExitCode.USAGE)


def test_what_to_install_is_not_taken_for_markup(run: Run) -> None:
    assert "eventfold[generate]" in run("generate", "python", "--help").stdout


def test_typescript(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(bundle: Any) -> str:
        return json.dumps(dict(bundle.event_types))

    monkeypatch.setattr(generate, "to_typescript", told)
    assert run("generate", "typescript", "--from", str(folder)).stdout == '{"Paid": "Paid"}'


def test_a_server(run: Run, server: ScriptedServer) -> None:
    server.script("ListEventTypes", listed(event_type("Paid", description="Money came.")))
    schemas = [
        pb.Schema(
            event_type="Paid",
            source='{"properties": {"x": {"$ref": "s"}}}',
            revision=4,
            refers_to=["s"],
            put_at=STAMP,
        ),
        pb.Schema(event_type="Plain", source="{}", put_at=STAMP),
        # By now it is another one than that which `Paid` goes by.
        pb.Schema(id="s", source='{"$id": "s", "enum": ["new"]}', put_at=STAMP),
    ]
    server.script("ListSchemas", pb.ListSchemasResponse(schemas=schemas))
    pinned = pb.SchemaResource(id="s", source='{"$id": "s", "enum": ["old"]}')
    server.script("GetSchema", pb.GetSchemaResponse(schema=schemas[0], resources=[pinned]))
    text = run("generate", "python").stdout
    assert "Money came." in text
    assert "class Plain:" in text
    assert "old" in text
    assert "new" not in text
    [request] = server.requests("GetSchema")
    assert (request.event_type, request.revision) == ("Paid", 4)
    server.script("ListSchemas", pb.ListSchemasResponse())
    result = run("generate", "python", code=ExitCode.INVALID_INPUT)
    assert "no event type has a schema" in result.stderr


def test_what_cannot_be_used(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "Paid.schema.json").write_text('{"$ref": "nowhere"}')
    result = run("generate", "python", "--from", str(folder), code=ExitCode.INVALID_INPUT)
    assert "schema=Paid.schema.json" in result.stderr
    assert "reference=nowhere" in result.stderr
    run("generate", "python", "--from", str(tmp_path / "missing"), code=ExitCode.USAGE)
