"""Goal: every case that the official test suite of JSON Schema requires of the drafts passes.

Method: the suite's own files, their other documents given as resources by the `$id` that the core
misses, which is how `PutSchema` finds those that a schema refers to.
"""

from __future__ import annotations

import json

import pytest
from tests.support.json_schema_suite import DRAFTS, Group, groups, remote

from eventfold import _core

_NUL = "events hold no NUL, and neither do schemas"
_OWN_DRAFT = "a schema of another dialect than the three is refused"

# By draft: what cannot pass, and why.
CANNOT_PASS = {
    "draft7": {"const: nul characters in strings": _NUL, "enum: nul characters in strings": _NUL},
    "draft2019-09": {
        "const: nul characters in strings": _NUL,
        "enum: nul characters in strings": _NUL,
        "vocabulary: schema that uses custom metaschema with with no validation vocabulary": (
            _OWN_DRAFT
        ),
        "vocabulary: ignore unrecognized optional vocabulary": _OWN_DRAFT,
    },
}
CANNOT_PASS["draft2020-12"] = CANNOT_PASS["draft2019-09"]


def compile_schema(schema: object) -> _core.Schema:
    resources: dict[str, str] = {}
    while True:
        try:
            return _core.Schema(json.dumps(schema), sorted(resources.items()), False)
        except _core.CoreError as error:
            missing = error.facts.get("reference", "").partition("#")[0]
            found = remote(missing)
            if found is None or missing in resources:
                raise
            resources[missing] = found


def failures(group: Group) -> list[str]:
    try:
        schema = compile_schema(group.schema)
    except _core.CoreError as error:
        return [f"{group.name}: {error}"]
    failed = []
    for test in group.tests:
        valid = not schema.violations_of_any(json.dumps(test["data"]).encode())
        if valid != test["valid"]:
            failed.append(f"{group.name}: {test['description']}")
    return failed


@pytest.mark.parametrize("draft", DRAFTS)
def test_all_required_cases_pass(draft: str) -> None:
    expected = set(CANNOT_PASS[draft])
    failed: list[str] = []
    cannot = set()
    cases = 0
    for group in groups(draft):
        cases += len(group.tests)
        found = failures(group)
        if group.name in expected:
            cannot |= {group.name} if found else set()
        else:
            failed += found
    assert cases > 900, "the suite has no fewer"
    assert failed == []
    assert cannot == expected, "a case passes that is said not to"
