"""Goal: editors that check fold documents by `docs/fold.schema.json` agree with the core.

Method: documents that the core takes must pass the schema; documents whose form it refuses must
not. The schema knows nothing of expressions.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from eventfold import _core

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "docs/fold.schema.json").read_text(encoding="utf-8")
)

GOOD = [
    "fold: a",
    "fold: a\ninitial: [1, {x: 2.5}]\nskip_cancelled: true\nkeep: {every: 5}",
    f"fold: a\naccepts: ['{'0' * 64}']",
    "fold: a\nkeep: 'off'\nhandlers: {A: delete, B: {}, C: [], D: {.: 'null'}}",
    "fold: a\nlet: {x: 1}\nhandlers: {A: {when: true, a: x}}",
    "fold: a\nlet: {x: event.n}\nhandlers: {A: {when: x > 1, let: {y: x}, delete: true}}",
    "fold: a\nhandlers:\n  A:\n    - {a: 1, 'b[event.k]': true}\n    - {c: -1.5, d: null}",
]
BAD = [
    "initial: {}",
    "fold: a b",
    "fold: a\nnope: 1",
    "fold: a\nkeep: 5",
    "fold: a\naccepts: [abc]",
    f"fold: a\naccepts: {'0' * 64}",
    "fold: a\nkeep: {every: 0}",
    "fold: a\nskip_cancelled: 'yes'",
    "fold: a\nhandlers: []",
    "fold: a\nhandlers: {A: 5}",
    "fold: a\nhandlers: {A: remove}",
    "fold: a\nhandlers: {A: {delete: false}}",
    "fold: a\nhandlers: {A: {delete: true, a: 1}}",
    "fold: a\nhandlers: {A: {a: [1]}}",
    "fold: a\nhandlers: {A: {a: {b: 1}}}",
    "fold: a\nhandlers: {A: {when: 5, a: 1}}",
    "fold: a\nlet: {state: '1'}",
    "fold: a\nlet: {x: [1]}",
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("source", GOOD)
def test_what_the_core_takes_passes(source: str) -> None:
    _core.Fold(source)
    jsonschema.validate(yaml.safe_load(source), SCHEMA)


@pytest.mark.parametrize("source", BAD)
def test_what_the_core_refuses_for_its_form_does_not(source: str) -> None:
    with pytest.raises(_core.CoreError):
        _core.Fold(source)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(source), SCHEMA)
