"""Tests that another program ran, reported as subtests of pytest."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable

import pytest


def read_events(lines: str) -> tuple[dict[str, str], defaultdict[str, str]]:
    """How each test ended, and what it printed, from lines as `go test -json` writes them; what the
    build and the package printed goes by the name of no test."""
    outcomes: dict[str, str] = {}
    said: defaultdict[str, str] = defaultdict(str)
    for line in lines.splitlines():
        event = json.loads(line)
        name = event.get("Test", "")
        if "Output" in event:
            said[name] += event["Output"]
        elif name and event["Action"] in {"pass", "fail", "skip"}:
            outcomes[name] = event["Action"]
    # A test that holds others says no more than these do.
    holders = {name.rpartition("/")[0] for name in outcomes}
    while inner := {name.rpartition("/")[0] for name in holders} - holders:
        holders |= inner
    return {name: how for name, how in outcomes.items() if name not in holders}, said


def report(
    subtests: pytest.Subtests,
    done: subprocess.CompletedProcess[str],
    wanted: Iterable[str] = (),
) -> dict[str, str]:
    """Reports each test that a program ran; it has to tell of all that are wanted.

    Returns how each ended.
    """
    outcomes, said = read_events(done.stdout)
    for name, outcome in outcomes.items():
        with subtests.test(msg=name):
            assert outcome == "pass", said[name]
    told = said[""] + done.stderr
    assert outcomes, told
    assert done.returncode == 0 or set(outcomes.values()) != {"pass"}, told
    missing = set(wanted) - outcomes.keys()
    assert not missing, f"the tests do not tell of {sorted(missing)}: {told}"
    return outcomes


def of_cases(outcomes: dict[str, str], prefix: str) -> dict[str, str]:
    """How conformance cases ended, by their ids, when their tests are named so."""
    return {
        name.removeprefix(prefix): how for name, how in outcomes.items() if name.startswith(prefix)
    }
