"""Goal: the Go client does what its README says, on servers that are killed, cut and wrong.

Method: `go test` runs its suite in a process of its own, on servers that it may do any harm; each
of its tests is reported as a subtest.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import go_toolchain
import pytest
from tests.clients.servers import handed_out
from tests.support import toolchains
from tests.support.outcomes import report

CLIENT = Path(__file__).resolve().parents[2] / "clients/go"
# The first build compiles gRPC; servers are killed and started again.
SECONDS_MAX = 1500


@pytest.fixture(scope="session")
def toolchain() -> None:
    """Skips without Go, and says so; in CI that is an error."""
    toolchains.require("the Go client", go_toolchain.require)


@pytest.mark.timeout(SECONDS_MAX + 60)
def test_the_go_client(toolchain: None, subtests: pytest.Subtests) -> None:
    # Style is the business of `make lint`.
    command = ["go", "test", "-json", "-count=1", "-vet=off", f"-timeout={SECONDS_MAX}s", "./..."]
    with handed_out() as environment:
        done = subprocess.run(
            command, cwd=CLIENT, env=environment, capture_output=True, text=True, check=False
        )
    report(subtests, done, {"TestSubscriptionThroughKill"})
