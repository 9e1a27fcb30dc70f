"""Goal: `eventfold schema`, `eventfold mapping`, `eventfold types` and `eventfold generate` do what
docs/cli.md says, from the first event without a schema to typed ones.

Method: typer's runner on a real server.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.test_cli import Run, json_of
from tests.integration.test_cli import run as run  # noqa: PLC0414 - a fixture

import eventfold
from eventfold import Event
from eventfold.cli.failures import ExitCode

SCHEMA = {
    "description": "Money came in.",
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "number", "minimum": 0}},
}
MAPPING = """\
mapping: Deposited
renames: {sum: amount}
defaults: {currency: CHF}
"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = tmp_path / "deposited.json"
    file.write_text(json.dumps(SCHEMA), encoding="utf-8")
    return file


def deposit(store: eventfold.Client, *data: bytes, to: str = "account-1") -> None:
    for one in data:
        store.append(to, [Event("Deposited", one)], expected_version=eventfold.ANY)


def test_the_life_of_a_schema(run: Run, store: eventfold.Client, schema: Path) -> None:
    deposit(store, b'{"amount": 1.5}', b'{"amount": -1}', b'{"sum": 1}')
    named = (str(schema), "--type", "Deposited")
    check = ("schema", "check", *named, "--json")
    [found] = json_of(run(*check, code=ExitCode.REFUSED))
    assert found["refused"]["reason"] == "SCHEMA_INCOMPATIBLE"
    assert (found["trial"]["events"], found["trial"]["misfits"]) == (3, 2)
    first, second = found["trial"]["first"]
    assert (first["stream"], first["version"]) == ("account-1", 2)
    assert (first["violations"][0]["pointer"], first["violations"][0]["rule"]) == (
        "/amount",
        "minimum",
    )
    assert second["violations"][0]["rule"] == "required"
    result = run("schema", "put", *named, code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: SCHEMA_INCOMPATIBLE: ")
    assert run("schema", "list").stderr == "no schemas\n"
    [put] = json_of(run("schema", "put", *named, "--accept-misfits", "--json"))
    assert (put["revision"], put["created"], put["accepted_misfits"]) == (1, True, 2)
    assert (put["draft"], put["put_by"]) == ("2020-12", "anonymous")
    assert "no, the same" in run("schema", "put", *named, "--accept-misfits").stdout
    assert json.loads(run("schema", "show", "Deposited").stdout) == SCHEMA
    run("schema", "show", "Deposited", "--revision", "2", code=ExitCode.NOT_FOUND)
    # It is in force.
    append = ("append", "account-2", "Deposited", '{"amount": -7}', "--expected", "0")
    result = run(*append, code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: SCHEMA_VIOLATION: ")
    assert "-7" not in result.stderr
    [would] = json_of(run(*append, "--check", "--json", code=ExitCode.REFUSED))
    assert [one["pointer"] for one in would["violations"]] == ["/amount"]
    # A wider one is accepted, with what differs.
    schema.write_text(json.dumps({**SCHEMA, "required": []}), encoding="utf-8")
    [put] = json_of(run("schema", "put", *named, "--json"))
    assert put["revision"] == 2
    assert {one["change"] for one in put["differences"]} == {"wider"}


def test_shared_schemas(run: Run, tmp_path: Path) -> None:
    shared, user = tmp_path / "address.json", tmp_path / "user.json"
    shared.write_text('{"$id": "urn:address", "type": "object"}', encoding="utf-8")
    user.write_text('{"properties": {"home": {"$ref": "urn:address"}}}', encoding="utf-8")
    put = ("schema", "put", str(user), "--type", "UserRegistered", "--json")
    result = run(*put, code=ExitCode.INVALID_INPUT)
    assert "reference=urn:address" in result.stderr
    run("schema", "put", str(shared), "--shared")
    [found] = json_of(run(*put))
    assert found["refers_to"] == ["urn:address"]
    assert [one["event_type"] for one in json_of(run("schema", "list", "--json"))] == [
        "UserRegistered",
        None,
    ]
    assert "urn:address" in run("schema", "show", "--id", "urn:address").stdout
    shared.write_text("{", encoding="utf-8")
    run("schema", "put", str(shared), "--shared", code=ExitCode.INVALID_INPUT)


def test_code_is_that_of_what_is_in_force(run: Run, tmp_path: Path) -> None:
    """A shared schema that changed counts for those that are put afterwards."""
    shared, paid = tmp_path / "money.json", tmp_path / "paid.json"
    paid.write_text('{"properties": {"sum": {"$ref": "urn:money"}}}', encoding="utf-8")
    for unit, event_type in (("cents", "Paid"), ("francs", "Refunded")):
        money = {"$id": "urn:money", "properties": {unit: {"type": "integer"}}}
        shared.write_text(json.dumps(money), encoding="utf-8")
        run("schema", "put", str(shared), "--shared", "--accept-misfits")
        run("schema", "put", str(paid), "--type", event_type)
    [found] = json_of(run("schema", "show", "Paid", "--json"))
    assert "cents" in found["resources"]["urn:money"]
    text = run("generate", "python").stdout
    assert "cents: int | None = None" in text
    assert "francs: int | None = None" in text
    of_paid = text.partition("class Paid:")[2].partition("class ")[0]
    of_refunded = text.partition("class Refunded:")[2].partition("class ")[0]
    assert "Money |" in of_paid
    assert "RefundedMoney |" in of_refunded


def test_the_life_of_a_mapping(run: Run, store: eventfold.Client, tmp_path: Path) -> None:
    deposit(store, b'{"sum": 1.50}', b'{"amount": 2}')
    file = tmp_path / "deposited.yaml"
    file.write_text(MAPPING, encoding="utf-8")
    [found] = json_of(run("mapping", "check", str(file), "--json"))
    assert (found["trial"]["events"], found["trial"]["misfits"], found["changed"]) == (2, 0, 2)
    [put] = json_of(run("mapping", "put", str(file), "--json"))
    assert (put["event_type"], put["revision"], put["created"]) == ("Deposited", 1, True)
    assert [event["data"] for event in json_of(run("read", "account-1", "--json"))] == [
        {"amount": 1.50, "currency": "CHF"},
        {"amount": 2, "currency": "CHF"},
    ]
    assert run("mapping", "show", "Deposited").stdout == MAPPING
    assert "Deposited" in run("mapping", "list").stdout
    # One that fails on a stored event is refused.
    file.write_text(MAPPING + 'computed: {twice: "event.sum * 2"}\n', encoding="utf-8")
    [found] = json_of(run("mapping", "check", str(file), "--json", code=ExitCode.REFUSED))
    assert found["trial"]["misfits"] == 2
    assert found["trial"]["first"][0]["error"]["reason"] == "MAPPING_FAILED"
    result = run("mapping", "put", str(file), code=ExitCode.REFUSED)
    assert result.stderr.startswith("error: MAPPING_FAILED: ")
    file.write_text(MAPPING + "defaults: {}\n", encoding="utf-8")
    run("mapping", "put", str(file), code=ExitCode.INVALID_INPUT)
    run("mapping", "drop", "Deposited")
    [first, _] = json_of(run("read", "account-1", "--json"))
    assert first["data"] == {"sum": 1.50}
    run("mapping", "drop", "Deposited", code=ExitCode.NOT_FOUND)


def test_types(run: Run, store: eventfold.Client, schema: Path) -> None:
    deposit(store, b'{"amount": 1}', b'{"amount": 2}')
    store.append("account-1", [Event("Closed")], expected_version=2)
    run("schema", "put", str(schema), "--type", "Deposited")
    run("types", "mode", "account", "warn")
    deposit(store, b'{"amount": -1}', to="account-2")
    run("types", "set", "Paid", "--description", "Money went out.")
    run("types", "set", "Deposited", "--replaced-by", "MoneyDeposited")
    types = {one["name"]: one for one in json_of(run("types", "--json"))}
    assert list(types) == ["Closed", "Deposited", "Paid"]
    deposited = types["Deposited"]
    assert (deposited["events"], deposited["violations"]) == (3, 1)
    assert (deposited["first_position"], deposited["last_position"]) == (1, 4)
    assert [(one["writer"], one["events"]) for one in deposited["writers"]] == [("anonymous", 3)]
    assert (deposited["schema_revision"], deposited["replaced_by"]) == (1, "MoneyDeposited")
    assert (types["Paid"]["events"], types["Paid"]["description"]) == (0, "Money went out.")
    assert {one["position"] for one in types.values()} == {4}
    assert [one["name"] for one in json_of(run("types", "list", "--prefix", "P", "--json"))] == [
        "Paid"
    ]
    result = run("types")
    assert result.stderr == "counted up to position 4\n"
    assert "violations" in result.stdout.splitlines()[0]
    assert "counted up to" in run("types", "show", "Closed").stdout
    run("types", "show", "Deposite", code=ExitCode.NOT_FOUND)
    assert run("types", "mode").stdout.split() == ["mode", "category", "warn", "account"]
    run("types", "set", "Deposited", "--mode", "enforce")
    append = ("append", "account-2", "Deposited", '{"amount": -7}', "--expected", "any")
    run(*append, code=ExitCode.REFUSED)
    run("types", "mode", "account", "default")
    assert run("types", "mode").stderr == "nothing was said of any category\n"
    # What was taken back is forgotten, a name that was mistyped too.
    run("types", "set", "Piad", "--description", "Money went out.")
    assert "Piad" in run("types").stdout
    run("types", "set", "Piad", "--description", "")
    assert "Piad" not in run("types").stdout
    circle = ("types", "set", "MoneyDeposited", "--replaced-by", "Deposited")
    assert "INVALID_REQUEST" in run(*circle, code=ExitCode.INVALID_INPUT).stderr


def test_generate(run: Run, schema: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.py"
    output = ("generate", "python", "--output", str(file))
    assert "no event type has a schema" in run(*output, code=ExitCode.INVALID_INPUT).stderr
    run("schema", "put", str(schema), "--type", "Deposited")
    run(*output)
    assert "class Deposited:" in file.read_text(encoding="utf-8")
    assert "Money came in." in file.read_text(encoding="utf-8")
    run(*output, "--check")
    # The same from a folder.
    folder = tmp_path / "schemas"
    folder.mkdir()
    schema.rename(folder / "Deposited.schema.json")
    run(*output, "--check", "--from", str(folder))
    run("types", "set", "Paid", "--mode", "warn")
    run(*output, "--check")
