"""Goal: the core says of random values under random schemas what an independent validator says.

Method: hypothesis against Python's `jsonschema`; numbers are those that doubles hold exactly, since
that library computes with doubles.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st
from tests.support.json_schema_suite import DRAFTS

from eventfold import _core

NAMES = st.sampled_from(["a", "b", "ab", "é", "a/b", ""])
NUMBERS = st.integers(-4, 4) | st.sampled_from([0.5, 1.0, 1.5, -2.25])
SCALARS = st.none() | st.booleans() | NUMBERS | NAMES
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
TYPES = st.sampled_from(["null", "boolean", "number", "integer", "string", "array", "object"])
SIZES = st.integers(0, 3)

RULES: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "minimum": NUMBERS,
    "exclusiveMaximum": NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 0.5, 0.25]),
    "minLength": SIZES,
    "maxLength": SIZES,
    "pattern": st.sampled_from(["a", "^a", "b$", "^$", "^(a|b)+$", "^(?!a)"]),
    "minItems": SIZES,
    "maxItems": SIZES,
    "uniqueItems": st.booleans(),
    "minProperties": SIZES,
    "maxProperties": SIZES,
    "required": st.lists(NAMES, max_size=2, unique=True),
}


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=3)
    patterns = st.dictionaries(st.sampled_from(["a", "^b", "é$"]), inner, max_size=2)
    keywords = {
        **RULES,
        "properties": named,
        "patternProperties": patterns,
        "additionalProperties": inner,
        "propertyNames": inner,
        "items": inner,
        "contains": inner,
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
    }
    return st.fixed_dictionaries({}, optional=keywords)


SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional=RULES), nested, max_leaves=6
)


@given(draft=st.sampled_from(sorted(DRAFTS.values())), schema=SCHEMAS, value=VALUES)
def test_random_values_fit_as_an_independent_validator_says(
    draft: str, schema: Any, value: Any
) -> None:
    whole = {"$schema": draft, "allOf": [schema]}
    validator = jsonschema.validators.validator_for(whole)(whole)
    found = _core.Schema(json.dumps(whole), [], False).violations_of_any(json.dumps(value).encode())
    assert (not found) == validator.is_valid(value), [one.message for one in found]
