"""Goal: generated code is right, deterministic, and passes the type checkers of its languages.

Method: schemas with all that types can say; the code is imported, and checked by mypy and by tsc.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mypy import api

from eventfold import TypedEvents
from eventfold._codegen import Bundle, Document, GenerateFailed, Style, to_python, to_typescript
from eventfold._codegen import python as python_module
from eventfold._codegen.typescript import VERSION

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "tools/node_modules/.bin"

ADDRESS = {
    "$id": "address.json",
    "type": "object",
    "required": ["zip"],
    "properties": {"zip": {"$ref": "#/$defs/Zip"}, "near": {"items": {"$ref": "#"}}},
    "$defs": {"Zip": {"type": "string"}},
}
REGISTERED = {
    "description": 'Somebody "signed" up.',
    "required": ["name", "spent", "nullable"],
    "properties": {
        "name": {"type": "string", "description": "How they call themselves."},
        "spent": {"type": "number", "multipleOf": 0.01},
        "nullable": {"type": ["string", "null"]},
        "bornOn": {"type": "string", "format": "date"},
        "seen": {"type": "string", "format": "date-time"},
        "mode": {"enum": ["a", "b"]},
        "kind": {"const": "k"},
        "address": {"$ref": "address.json"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "sums": {"additionalProperties": {"type": "number"}},
        "inline": {"properties": {"deep": {"properties": {"n": {"type": "integer"}}}}},
        "either": {"oneOf": [{"type": "integer"}, {"$ref": "address.json"}]},
        "anything": True,
        "date": {"type": "string", "format": "date"},
        "list": {"type": "array"},
    },
}
PAID = {
    "oneOf": [
        {"required": ["cash"], "properties": {"cash": {"type": "number"}}},
        {"required": ["card"], "properties": {"card": {"type": "string"}}},
    ]
}


def bundle(**more: Any) -> Bundle:
    schemas = {"UserRegistered": REGISTERED, "user.left": {}, **more}
    documents = [Document(name, json.dumps(one), name) for name, one in schemas.items()]
    return Bundle([*documents, Document(None, json.dumps(ADDRESS), "address.json")])


def imported(text: str, folder: Path) -> ModuleType:
    file = folder / "generated_events.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("generated_events", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Annotations of dataclasses are looked up there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "generated_events", module)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("style", ["dataclass", "pydantic"])
def test_python(style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_python(bundle(), style)
    assert to_python(bundle(), style) == text
    module = imported(text, tmp_path)
    monkeypatch.setitem(sys.modules, "generated_events", module)
    expected = {"UserRegistered": module.UserRegistered, "user.left": module.UserLeft}
    assert expected == module.EVENT_TYPES
    assert 'Somebody "signed" up.' in module.UserRegistered.__doc__
    assert "How they call themselves." in text
    events = TypedEvents(module.EVENT_TYPES)
    home = module.Address(zip="8000", near=[module.Address(zip="8001")])
    user = module.UserRegistered(
        name="Ada", spent=Decimal("4.350"), nullable=None, address=home, sums={"a": Decimal("0.1")}
    )
    event = events.event(user)
    assert event.type == "UserRegistered"
    # Exact numbers, and nothing of what need not be there.
    assert json.loads(event.data_json, parse_float=str) == {
        "name": "Ada",
        "spent": "4.350",
        "nullable": None,
        "address": {"zip": "8000", "near": [{"zip": "8001"}]},
        "sums": {"a": "0.1"},
    }
    assert events.data(event) == user


PROGRAM = """
import datetime as dt
from decimal import Decimal
from typing import assert_type

from generated_{style} import EVENT_TYPES, Address, UserLeft, UserRegistered

user = UserRegistered(name="Ada", spent=Decimal(1), nullable=None, address=Address(zip="1"))
assert_type(user.spent, Decimal)
assert_type(user.bornOn, dt.date | None)
assert_type(user.seen, dt.datetime | None)
assert_type(user.nullable, str | None)
assert_type(user.sums, dict[str, Decimal] | None)
assert_type(user.tags, list[str] | None)
assert_type(user.either, int | Address | None)
if user.address is not None and user.address.near is not None:
    assert_type(user.address.near[0].zip, str)
UserLeft()
assert_type(EVENT_TYPES["user.left"], type[object])
UserRegistered(name=1, spent=Decimal(1), nullable=None)  # refused
UserRegistered(name="Ada", nullable=None)  # refused
"""


def test_mypy_accepts_python(tmp_path: Path) -> None:
    names = []
    for style in ("dataclass", "pydantic"):
        (tmp_path / f"generated_{style}.py").write_text(to_python(bundle(), style))
        (tmp_path / f"program_{style}.py").write_text(PROGRAM.replace("{style}", style))
        names += [f"generated_{style}.py", f"program_{style}.py"]
    # A union has no class.
    (tmp_path / "generated_union.py").write_text(to_python(bundle(Paid=PAID), "dataclass"))
    files = [str(tmp_path / name) for name in [*names, "generated_union.py"]]
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(tmp_path))
        told, _, _ = api.run([*options, *files])
    refused = sorted({line.partition(": ")[0] for line in told.splitlines() if ": error:" in line})
    lines = [
        f"{tmp_path / f'program_{style}.py'}:{number}"
        for style in ("dataclass", "pydantic")
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if line.endswith("# refused")
    ]
    assert refused == sorted(lines), told


def test_a_union(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_python(bundle(Paid=PAID), "dataclass")
    assert "EVENT_TYPES: dict[str, object]" in text
    module = imported(text, tmp_path)
    monkeypatch.setitem(sys.modules, "generated_events", module)
    events = TypedEvents(module.EVENT_TYPES)
    event = events.event(module.Paid2(card="1234"))
    assert (event.type, event.data_json) == ("Paid", b'{"card":"1234"}')
    assert events.data(event) == module.Paid2(card="1234")


def test_names_that_python_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = {"properties": {"full-name": {"type": "string"}, "class": {"type": "integer"}}}
    with pytest.raises(GenerateFailed, match="--style pydantic") as caught:
        to_python(bundle(Strange=strange), "dataclass")
    assert caught.value.facts == {"definition": "Strange"}
    module = imported(to_python(bundle(Strange=strange), "pydantic"), tmp_path)
    monkeypatch.setitem(sys.modules, "generated_events", module)
    events = TypedEvents(module.EVENT_TYPES)
    event = events.event(module.Strange(full_name="Ada", class_=1))
    assert json.loads(event.data_json) == {"full-name": "Ada", "class": 1}
    assert events.data(event) == module.Strange(full_name="Ada", class_=1)


@pytest.mark.parametrize("style", ["dataclass", "pydantic"])
def test_what_python_cannot_say(style: Style) -> None:
    """A registry refuses it, but a folder may have anything."""
    circle = {"allOf": [{"$ref": "#"}, {"properties": {"a": {}}}]}
    with pytest.raises(GenerateFailed, match="has failed"):
        to_python(bundle(Circle=circle), style)


@pytest.mark.parametrize("style", ["dataclass", "pydantic"])
def test_a_module_that_cannot_be_imported(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_module, "_generated", lambda *_, **__: "import nowhere_to_be_found")
    with pytest.raises(GenerateFailed, match="cannot say"):
        to_python(bundle(), style)


def test_without_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(python_module.importlib, "import_module", missing)
    with pytest.raises(GenerateFailed, match=r"pip install 'eventfold\[generate\]'"):
        to_python(bundle(), "dataclass")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tools that come from npm, on the PATH."""
    if not (TOOLS / "tsc").exists() or shutil.which("node") is None:
        text = "json2ts and tsc: skipped. `make lint` installs them, and needs Node.js with npm"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    monkeypatch.setenv("PATH", str(TOOLS), prepend=os.pathsep)
    return TOOLS


TYPESCRIPT = """
import type { EventTypes, UserRegistered } from "./generated";

const user: UserRegistered = { name: "Ada", spent: 4.35, nullable: null, mode: "a" };
const left: EventTypes["user.left"] = {};
const zip: string | undefined = user.address?.near?.[0]?.zip;
const paid: EventTypes["Paid"] = { card: "1234" };
// @ts-expect-error It needs a name.
const nameless: UserRegistered = { spent: 1, nullable: null };
// @ts-expect-error No such mode.
user.mode = "c";
export { left, nameless, paid, user, zip };
"""


def test_typescript(node: Path, tmp_path: Path) -> None:
    text = to_typescript(bundle(Paid=PAID))
    assert to_typescript(bundle(Paid=PAID)) == text
    assert '* Somebody "signed" up.' in text
    (tmp_path / "generated.ts").write_text(text, encoding="utf-8")
    (tmp_path / "program.ts").write_text(TYPESCRIPT, encoding="utf-8")
    options = ["--noEmit", "--strict", "--module", "nodenext", "--types", ""]
    done = subprocess.run(
        [str(node / "tsc"), *options, "program.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_version_that_npx_takes_is_that_of_the_tools() -> None:
    tools = json.loads((ROOT / "tools/package.json").read_text(encoding="utf-8"))
    assert tools["devDependencies"]["json-schema-to-typescript"] == VERSION


def test_without_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GenerateFailed, match=r"Node\.js with npx"):
        to_typescript(bundle())
    # npx takes the version that is pinned.
    npx = tmp_path / "npx"
    npx.write_text("#!/bin/sh\necho \"export const told = '$*'\"\n")
    npx.chmod(0o755)
    assert "--package=json-schema-to-typescript@" in to_typescript(bundle())
    npx.write_text("#!/bin/sh\necho 'no such package' >&2\nexit 1\n")
    with pytest.raises(GenerateFailed, match="no such package"):
        to_typescript(bundle())
