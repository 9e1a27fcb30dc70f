"""Goal: the TypeScript client does what its README says, whatever the server does.

Method: `node --test` runs its tests in a process of its own, which asks for servers and harms them;
each of its tests is reported as a subtest.
"""

from __future__ import annotations

import pytest
from tests.clients.servers import handed_out
from tests.support import node
from tests.support.outcomes import report

SECONDS_MAX = 1500


@pytest.fixture(scope="session")
def built() -> None:
    """Builds the client, and its tests against what is built."""
    node.require()
    node.build(node.CLIENT, "tsconfig.json", "tsconfig.tests.json")


@pytest.mark.timeout(SECONDS_MAX)
def test_the_typescript_client(built: None, subtests: pytest.Subtests) -> None:
    with handed_out() as environment:
        done = node.run_tests(node.CLIENT, "build/tests", environment)
    report(subtests, done)
