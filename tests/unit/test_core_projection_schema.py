"""Goal: editors that check projections by `docs/projection.schema.json` agree with the core.

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
SCHEMA = json.loads((DOCS / "projection.schema.json").read_text(encoding="utf-8"))
FOLD_SCHEMA = json.loads((DOCS / "fold.schema.json").read_text(encoding="utf-8"))
FOLD = "fold: user\nhandlers: {A: {a: event.a}}"

BASE = "projection: p\nhandlers: {A: {a: event.a}}\n"
NAMED = "projection: p\nfold: user\n"
EXAMPLE = re.findall(
    r"```yaml\n(.*?)```", (DOCS / "projections.md").read_text(encoding="utf-8"), re.DOTALL
)[0]
GOOD = [
    EXAMPLE,
    BASE + "columns: {a: text}",
    NAMED + "columns: {a: {type: date}}\non_error: park\nkey: meta.stream",
    BASE + "columns: {a: {type: 'numeric(5, 2)', value: state.a}, b: 'text[]'}\nwhere: true",
    BASE + "columns: {a: text, b: bigint}\nindexes: [[a], [b, a]]\nlet: {x: '1'}",
    BASE + "columns: {a: {type: bigint, value: 5}}\ninitial: {a: 1}\nskip_cancelled: true",
    BASE + "columns: {a: double precision}\nsource: {category: A, types: [A]}",
    BASE + "columns: {a: double precision}\nsource: {categories: [A, B_2]}",
    BASE + "columns: {a: text}\nresolve: {of: event.of}\nkey: of.id",
    BASE + "columns: {a: text}\nsource: {categories: [A], copies: exclude}",
    BASE + "columns: {a: text}\nsource: {copies: include}",
]
BAD = [
    BASE,
    "projection: p\ncolumns: {a: text}",
    NAMED + "handlers: {A: {}}\ncolumns: {a: text}",
    NAMED + "initial: {}\ncolumns: {a: text}",
    BASE + "columns: {}",
    BASE + "columns: {a: varchar}",
    BASE + "columns: {a: {value: state.a}}",
    BASE + "columns: {A: text}",
    BASE + "columns: {version: text}",
    BASE + "columns: {xmin: text}",
    BASE + "columns: {a: {type: text, from: state.a}}",
    BASE + "columns: {a: text}\nindexes: []",
    BASE + "columns: {a: text}\nindexes: [a]",
    BASE + "columns: {a: text}\nindexes: [[a, a]]",
    BASE + "columns: {a: text}\nindexes: [[a], [a]]",
    BASE + "columns: {a: text}\non_error: skip",
    BASE + "columns: {a: text}\nkey: [event.a]",
    BASE + "columns: {a: text}\nsource: {category: A, categories: [A]}",
    BASE + "columns: {a: text}\nsource: {category: A-1}",
    BASE + "columns: {a: text}\nsource: {categories: []}",
    BASE + "columns: {a: text}\nsource: {types: [A, A]}",
    BASE + "columns: {a: text}\nsource: A",
    BASE + "columns: {a: text}\nsource: {copies: yes}",
    BASE + "columns: {a: text}\ncopies: include",
    BASE + "columns: {a: text}\nkeep: {every: 5}",
    BASE + "columns: {a: text}\nresolve: [event.of]\nkey: of.id",
    BASE + "columns: {a: text}\nresolve: {state: event.of}\nkey: state.id",
    BASE + "columns: {a: text}\nresolve: {a b: event.of}\nkey: meta.id",
    BASE + "columns: {a: text}\nresolve: {of: [event.of]}\nkey: of.id",
    BASE
    + "columns: {a: text}\nkey: n0.id\nresolve: {"
    + ", ".join(f"n{n}: event.of" for n in range(17))
    + "}",
    "projection: P\nhandlers: {A: {}}\ncolumns: {a: text}",
    "projection: " + "p" * 49 + "\nhandlers: {A: {}}\ncolumns: {a: text}",
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_folds_are_described_alike() -> None:
    for name in ("initial", "let", "handlers", "skip_cancelled"):
        assert SCHEMA["properties"][name] == FOLD_SCHEMA["properties"][name]
    for name, definition in FOLD_SCHEMA["$defs"].items():
        assert SCHEMA["$defs"][name] == definition


@pytest.mark.parametrize("source", GOOD)
def test_what_the_core_takes_passes(source: str) -> None:
    _core.Projection(source, FOLD)
    jsonschema.validate(yaml.safe_load(source), SCHEMA)


@pytest.mark.parametrize("source", BAD)
def test_what_the_core_refuses_for_its_form_does_not_pass(source: str) -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.Projection(source, FOLD)
    assert caught.value.reason == "INVALID_PROJECTION"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(source), SCHEMA)
