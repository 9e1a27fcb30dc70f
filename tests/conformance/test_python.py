"""Goal: the server does what every conformance case says, over plain gRPC and through the SDK.

Method: one test a case and transport, against real server processes that are started once.
"""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml
from tests.conformance.conftest import Note
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


CASES = load_cases()


@pytest.mark.parametrize(
    ("transport", "case"),
    [
        pytest.param(transport, case, id=f"{transport}-{case.id}")
        for transport in ("stubs", "sync", "async")
        for case in CASES
        if case.is_for(transport)
    ],
)
def test_case(transport: str, case: Case, runners: dict[str, Runner], note: Note) -> None:
    note(f"python-{transport}", {case.id: "fail"})
    runners[transport].run(case)
    note(f"python-{transport}", {case.id: "pass"})


def test_few_cases_are_beyond_the_sdk() -> None:
    left_out = {case.subject for case in CASES if not case.is_for("sync")}
    # Headers that are no token of ours, and the trace context, which the SDK does not send.
    assert left_out == {"identity", "append", "append_many"}


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
