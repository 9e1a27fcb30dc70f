"""Goal: the suite is complete and well-formed, whatever the server does.

Method: read all files of cases; compare them with their schema, the protos and the catalogue.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from google.rpc import code_pb2
from tests.conformance.compare import OPERATORS, PATTERNS, differences
from tests.conformance.expand import GENERATORS, CaseError, Variables, expand
from tests.conformance.runner import FOLDER, case_files, encoded, load_cases, reasons
from tests.conformance.table import NOT_SAID, PAGE, PASSED

from eventfold.v1 import (
    consumer_groups_pb2,
    deletion_pb2,
    erasure_pb2,
    errors_pb2,
    event_store_pb2,
    event_types_pb2,
    folds_pb2,
    keys_pb2,
    links_pb2,
    privacy_pb2,
    projections_pb2,
    references_pb2,
    subjects_pb2,
    subscriptions_pb2,
    transforms_pb2,
)

SCHEMA = json.loads((FOLDER / "case.schema.json").read_text(encoding="utf-8"))
FILES = {
    file.name: file.read_text(encoding="utf-8") for file in (*case_files(), FOLDER / "wrong.yaml")
}
EXAMPLES = yaml.safe_load((FOLDER / "examples.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_fits_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = yaml.safe_load(FILES[name])
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["subject"] == name.removesuffix(".yaml")
    # Only the cases that must fail say how.
    assert {"fails" in case for case in document["cases"]} == {name == "wrong.yaml"}


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"call": "append"},
        {"call": "EventStore.Append", "expects": {}},
        {"call": "EventStore.Append", "error": {}},
        {"call": "EventStore.Append", "error": {"reason": "X"}, "expect": {"a": 1}},
        {"call": "EventStore.Append", "request": {}, "request_hex": "00"},
        {"call": "EventStore.Append", "request": {}, "requests": [{}]},
        {"call": "EventStore.Append", "requests": {}},
        {"call": "ConsumerGroups.Consume", "conversation": []},
        {"call": "ConsumerGroups.Consume", "conversation": [{"send": {}}], "request": {}},
        {"call": "ConsumerGroups.Consume", "conversation": [{"receive": {"events": 0}}]},
    ],
)
def test_the_schema_refuses(step: dict[str, Any]) -> None:
    document = {
        "subject": "a", "about": "Only for this test.", "cases": [{"name": "a", "steps": [step]}],
    }  # fmt: skip
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


# What YAML 1.1 or 1.2 reads as a number, a truth or nothing, on top of PyYAML's own rules (1.1).
_LOOSE = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0[ox][0-9a-fA-F]+|[-+]?\.inf|\.nan|~|",
    re.IGNORECASE,
)


def _loose_scalars(node: yaml.Node | None) -> Iterator[str]:
    """Plain scalars that YAML 1.1 and 1.2 read differently, or as neither text nor integer."""
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for child in pair:
                yield from _loose_scalars(child)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _loose_scalars(child)
    elif isinstance(node, yaml.ScalarNode) and node.style is None:
        plain = re.fullmatch(r"-?(0|[1-9][0-9]*)|true|false|null", node.value)
        text = node.tag.endswith(":str") and not _LOOSE.fullmatch(node.value)
        if not plain and not text:
            yield f"line {node.start_mark.line + 1}: {node.value!r}"


@pytest.mark.parametrize("name", FILES)
def test_every_yaml_library_reads_the_same(name: str) -> None:
    special = yaml.AnchorToken | yaml.AliasToken | yaml.TagToken
    assert not [token for token in yaml.scan(FILES[name]) if isinstance(token, special)]
    assert list(_loose_scalars(yaml.compose(FILES[name]))) == []
    # Libraries differ on what ends a line and what is no character of a file: escape these.
    assert re.findall(r"[^\n\x20-\x7e\u00a0-\u2027\u202a-\ufefe\uff00-\ufffd\U00010000-\U0010fffd]",
                      FILES[name]) == []  # fmt: skip


def test_loose_scalars_are_found() -> None:
    loose = "[yes, off, 1.5, 1e3, 0x1F, 010, 2020-01-01, ~, '', 'yes', plain, 12, true, null]"
    assert len(list(_loose_scalars(yaml.compose(loose)))) == 8


def test_the_documentation_has_every_word_of_the_format() -> None:
    text = (FOLDER.parents[1] / "docs/conformance.md").read_text(encoding="utf-8")
    definitions = SCHEMA["$defs"]
    keys = [*definitions["step"]["properties"], *definitions["server"]["enum"]]
    parts = definitions["step"]["properties"]["error"]["properties"]
    words = [f"`{word}`" for word in (*keys, *PATTERNS)]
    words += [f"{{{word}: " for word in (*GENERATORS, *OPERATORS)]
    words += [f"{part}:" for part in parts]
    assert [word for word in words if word not in text] == []


def test_the_table_has_every_case_and_no_failure() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    cells = {row[0]: row[1:] for row in rows[3:]}
    assert list(cells) == [case.id for case in load_cases()], "make conformance writes it again"
    assert {cell for row in cells.values() for cell in row} <= {PASSED, NOT_SAID}
    # What no other header may say stands in a column of the SDK alone.
    assert all(row[0] == PASSED and set(row[3:]) == {PASSED} for row in cells.values())


def test_names_of_cases_are_unique() -> None:
    doubled = [name for name, count in Counter(c.id for c in load_cases()).items() if count > 1]
    assert doubled == []


def test_every_request_can_be_sent() -> None:
    """A request that protobuf JSON cannot hold would otherwise show only when it is reached."""
    for case in load_cases():
        variables = Variables(case.texts)
        for step in case.steps:
            for saved, path in step.get("save", {}).items():
                # Good for a position, a version, and a token in base64; times have their own form.
                time = path.endswith(("recorded_at", "put_at"))
                variables.set(saved, "2020-01-01T00:00:00Z" if time else "1000")
            for turn in step.get("conversation", []):
                for saved in turn.get("save", {}):
                    variables.set(saved, "1000")
                if "send" in turn:
                    encoded(step["call"], expand(turn["send"], variables))
            if not {"request_hex", "conversation"} & step.keys():
                variables.set("n", 0)
                for request in step.get("requests", [step.get("request", {})]):
                    encoded(step["call"], expand(request, variables))


def test_every_rpc_has_cases_that_succeed() -> None:
    services = (
        consumer_groups_pb2.DESCRIPTOR.services_by_name["ConsumerGroups"],
        event_store_pb2.DESCRIPTOR.services_by_name["EventStore"],
        event_types_pb2.DESCRIPTOR.services_by_name["EventTypes"],
        folds_pb2.DESCRIPTOR.services_by_name["Folds"],
        keys_pb2.DESCRIPTOR.services_by_name["Keys"],
        projections_pb2.DESCRIPTOR.services_by_name["Projections"],
        references_pb2.DESCRIPTOR.services_by_name["References"],
        subscriptions_pb2.DESCRIPTOR.services_by_name["Subscriptions"],
        transforms_pb2.DESCRIPTOR.services_by_name["Transforms"],
        deletion_pb2.DESCRIPTOR.services_by_name["Deletion"],
        erasure_pb2.DESCRIPTOR.services_by_name["Erasures"],
        links_pb2.DESCRIPTOR.services_by_name["Links"],
        subjects_pb2.DESCRIPTOR.services_by_name["Subjects"],
        privacy_pb2.DESCRIPTOR.services_by_name["Privacy"],
    )
    rpcs = {f"{service.name}.{rpc.name}": rpc for service in services for rpc in service.methods}
    steps = [step for case in load_cases() for step in case.steps]
    succeed = {step["call"] for step in steps if "expect" in step}
    # Of an answer that holds nothing there is nothing to expect.
    empty = {name for name, rpc in rpcs.items() if not rpc.output_type.fields}
    succeed |= {step["call"] for step in steps if "error" not in step} & empty
    assert succeed == set(rpcs)


def test_the_reasons_are_those_of_the_catalogue() -> None:
    declared = {}
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values:
        if value.number != 0:
            info = value.GetOptions().Extensions[errors_pb2.error]
            name = value.name.removeprefix("ERROR_REASON_")
            declared[name] = (code_pb2.Code.Name(info.code), list(info.facts))
    told = {name: (item["code"], item.get("facts", [])) for name, item in reasons().items()}
    assert told == declared


def test_every_reason_has_a_case_or_says_why_not() -> None:
    steps = [step for case in load_cases() for step in case.steps]
    provoked = {step["error"]["reason"] for step in steps if "error" in step}
    # Inside of answers too.
    provoked |= {
        item["refused"]["reason"]
        for step in steps
        for item in step.get("expect", {}).get("answers", [])
        if "refused" in item
    }
    excused = {name for name, item in reasons().items() if item.get("not_provoked")}
    assert provoked | excused == reasons().keys()
    assert provoked & excused == set(), "an excuse is no longer true"


@pytest.mark.parametrize("example", EXAMPLES["comparing"], ids=str)
def test_comparing(example: dict[str, Any]) -> None:
    problems = list(differences(example["expected"], example["actual"]))
    assert bool(problems) == example["differs"], problems


@pytest.fixture
def variables() -> Variables:
    """Those that the examples name."""
    variables = Variables({"x": "X", "y": "${x}!"})
    variables.set("n", 4)
    return variables


@pytest.mark.parametrize("example", EXAMPLES["expanding"], ids=str)
def test_expanding(example: dict[str, Any], variables: Variables) -> None:
    assert expand(example["value"], variables) == example["becomes"]


@pytest.mark.parametrize("value", EXAMPLES["refused"], ids=str)
def test_a_wrong_case_is_told_from_a_wrong_server(value: object, variables: Variables) -> None:
    with pytest.raises(CaseError):
        expand(value, variables)


def test_fresh_ids_keep_their_names() -> None:
    variables = Variables({})
    first = variables.fill_in("${uuid.a}")
    assert variables.fill_in("${uuid.a} ${uuid_upper.a}") == f"{first} {first.upper()}"
    assert variables.fill_in("${uuid.b}") != first
