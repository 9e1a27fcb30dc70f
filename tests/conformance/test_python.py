"""Goal: the server does what every conformance case says, over plain gRPC.

Method: one test a case, against real server processes that are started once.
"""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml
from tests.conformance.expand import CaseError
from tests.conformance.runner import (
    FOLDER,
    Case,
    CaseFailed,
    Runner,
    load_cases,
    load_wrong_cases,
    parse_cases,
)

# A store of its own takes the start of a server, on top of the steps.
pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case.id)
def test_case(case: Case, runner: Runner) -> None:
    runner.run(case)


def test_the_example_of_the_documentation(runner: Runner) -> None:
    text = (FOLDER.parents[1] / "docs/conformance.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(subject:.*?)```", text, re.DOTALL)
    jsonschema.validate(
        yaml.safe_load(example), json.loads((FOLDER / "case.schema.json").read_text())
    )
    (case,) = parse_cases(example)
    runner.run(case)


@pytest.mark.parametrize("case", load_wrong_cases(), ids=lambda case: case.name)
def test_a_wrong_case_fails(case: Case, runner: Runner) -> None:
    with pytest.raises((CaseFailed, CaseError)) as failure:
        runner.run(case)
    assert case.fails in str(failure.value)
