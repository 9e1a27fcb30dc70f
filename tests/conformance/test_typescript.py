"""Goal: the server does what every conformance case says, through the TypeScript client too.

Method: `node --test` runs all cases in a process of its own, on the servers of this session; each
of its tests is reported as a subtest.
"""

from __future__ import annotations

import pytest
from tests.conformance.conftest import Note
from tests.conformance.runner import FOLDER, load_cases
from tests.conformance.servers import Servers, handed_out
from tests.support import node
from tests.support.outcomes import of_cases, report

# A fresh store takes the start of a server.
SECONDS_MAX = 1500


@pytest.fixture(scope="session")
def built() -> None:
    """Builds the client and the runner."""
    node.require()
    node.build(node.CLIENT, "tsconfig.json")
    node.build(FOLDER / "typescript", "tsconfig.json")


@pytest.mark.timeout(SECONDS_MAX)
def test_the_typescript_runner(
    built: None, servers: Servers, subtests: pytest.Subtests, note: Note
) -> None:
    with handed_out(servers) as environment:
        done = node.run_tests(FOLDER / "typescript", "build", environment)
    outcomes = report(subtests, done, {f"cases: cases/{case.id}" for case in load_cases()})
    note("typescript", of_cases(outcomes, "cases: cases/"))
