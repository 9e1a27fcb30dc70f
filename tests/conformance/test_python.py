"""Goal: the server does what every conformance case says, over plain gRPC.

Method: one test a case, against real server processes that are started once.
"""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml
from tests.conformance.runner import FOLDER, Case, CaseFailed, Runner, load_cases, parse_cases

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


STEP = """
subject: wrong
about: Cases that must not pass.
cases:
  - name: wrong
    steps:
      - call: EventStore.Append
        request:
          stream: "wrong-${run}"
          expected_version: {exact: 0}
          events: [{type: A, data_text: '{}'}]
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("expect: {first_version: 2}", "first_version: expected 2, got 1"),
        ("expect: {last_version: 1, positions: []}", "positions: expected 0 items, got 1"),
        ("expect: {duplicate: true}", "duplicate: expected true, got nothing"),
        ("expect: {recorded_at: $uuid}", "recorded_at: expected $uuid"),
        ("error: {reason: VERSION_CONFLICT}", "expected VERSION_CONFLICT, got an answer"),
        ("save: {x: nothing}", "the answer has no nothing to save"),
    ],
)
def test_a_case_with_a_wrong_expectation_fails(wrong: str, said: str, runner: Runner) -> None:
    (case,) = parse_cases(STEP + f"        {wrong}\n")
    with pytest.raises(CaseFailed) as failure:
        runner.run(case)
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("expect: {positions: [$positive]}", "refused: EMPTY_APPEND"),
        ("error: {reason: VERSION_CONFLICT}", "reason: expected VERSION_CONFLICT"),
        ("error: {reason: EMPTY_APPEND, facts: {limit: 1}}", "facts.limit: expected 1"),
        ("error: {reason: EMPTY_APPEND, hidden: [event]}", "'event' must not stand in the error"),
    ],
)
def test_a_case_that_expects_another_error_fails(wrong: str, said: str, runner: Runner) -> None:
    step = STEP.replace("[{type: A, data_text: '{}'}]", "[]")
    (case,) = parse_cases(step + f"        {wrong}\n")
    with pytest.raises(CaseFailed) as failure:
        runner.run(case)
    assert said in str(failure.value)


HISTORY = """
      - call: Folds.HydrateHistory
        request:
          stream: "wrong-${run}"
          fold: {source: "fold: f\\nhandlers: {B: {x: event.none}}"}
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("expect: {states: []}", "refused: FOLD_FAILED"),
        (
            "error: {reason: FOLD_FAILED, sent: {states: []}}",
            "sent.states: expected 0 items, got 1",
        ),
        ("error: {reason: FOLD_FAILED, sent: {messages: 2}}", "sent.messages: expected 2, got 1"),
    ],
)
def test_a_case_that_expects_other_messages_before_an_error_fails(
    wrong: str, said: str, runner: Runner
) -> None:
    step = STEP.replace("'{}'}", "'{}'}, {type: B, data_text: '{}'}")
    (case,) = parse_cases(f"{step}{HISTORY}        {wrong}\n")
    with pytest.raises(CaseFailed) as failure:
        runner.run(case)
    assert said in str(failure.value)


def test_an_answer_of_many_streams_is_compared_by_name(runner: Runner) -> None:
    many = """
      - call: Folds.HydrateMany
        request: {streams: ["wrong-${run}", "wrong-${run}-z"], fold: {source: "fold: f"}}
        expect: {streams: [{stream: "wrong-${run}-z"}, $any]}
"""
    (case,) = parse_cases(STEP + many)
    with pytest.raises(CaseFailed) as failure:
        runner.run(case)
    assert "streams.0.stream: expected wrong-" in str(failure.value)
