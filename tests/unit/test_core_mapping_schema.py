"""Goal: editors that check mapping documents by `docs/mapping.schema.json` agree with the core.

Method: documents that the core takes must pass the schema; documents whose form it refuses must
not. The schema knows nothing of expressions, and nothing of what one part says of another.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from eventfold import _core

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = json.loads((DOCS / "mapping.schema.json").read_text(encoding="utf-8"))
EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (DOCS / "mappings.md").read_text(encoding="utf-8"), re.DOTALL
)

GOOD = [
    *EXAMPLES,
    "mapping: A\nrenames: {a: b.c}",
    "mapping: A\ndefaults: {a: [1, {x: 2.5}], b: null}\nrenames: {}",
    "mapping: A\ncomputed: {\"['a.b']\": event.c, d: 1, e: true, f: null}",
]
BAD = [
    "renames: {a: b}",
    "mapping: A",
    "mapping: A\nrenames: {}",
    "mapping: ''\nrenames: {a: b}",
    "mapping: $A\nrenames: {a: b}",
    "mapping: A\nnope: 1\nrenames: {a: b}",
    "mapping: A\nrenames: [a]",
    "mapping: A\nrenames: {a: [b]}",
    "mapping: A\nrenames: {a: ''}",
    "mapping: A\nrenames: {a: .}",
    "mapping: A\ndefaults: 5",
    "mapping: A\ndefaults: {'': 5}",
    "mapping: A\ncomputed: {a: [1]}",
    "mapping: A\ncomputed: {a: {b: 1}}",
    "mapping: A\ncomputed: {a: ''}",
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("source", GOOD)
def test_what_the_core_takes_passes(source: str) -> None:
    _core.Mapping(source)
    jsonschema.validate(yaml.safe_load(source), SCHEMA)


@pytest.mark.parametrize("source", BAD)
def test_what_the_core_refuses_for_its_form_does_not_pass(source: str) -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.Mapping(source)
    assert caught.value.reason == "INVALID_MAPPING"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(source), SCHEMA)
