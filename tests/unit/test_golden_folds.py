"""Goal: the golden cases are fresh, and folds in the process of the client come to their bytes.

Method: write the cases anew and compare; run each through `Fold.apply`.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.golden import cases, write


def test_the_cases_are_fresh() -> None:
    found = {file.name: file.read_text(encoding="utf-8") for file in cases.files()}
    assert found == write.rendered(), "python -m tests.golden.write"


def test_there_are_cases_of_all_kinds() -> None:
    reasons = {case["expect"].get("reason") for case in cases.load()}
    assert reasons >= {
        None, "INVALID_FOLD", "FOLD_FAILED", "NUMBER_RANGE", "STATE_NOT_JSON", "STATE_TOO_LARGE",
        "EVALUATION_LIMIT", "EXPRESSION_TOO_DEEP", "EVENT_CORRUPT",
    }  # fmt: skip


@pytest.mark.parametrize("case", cases.load(), ids=lambda case: case["name"])
def test_folds_of_the_sdk(case: dict[str, Any]) -> None:
    assert cases.outcome(case) == case["expect"]
