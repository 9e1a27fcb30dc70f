"""Goal: the server does what every conformance case says, over the Go stubs too.

Method: `go test` runs all cases in a process of its own, on the servers of this session; each of
its tests is reported as a subtest.
"""

from __future__ import annotations

import json
import subprocess

import go_toolchain
import pytest
from tests.conformance.conftest import Note
from tests.conformance.runner import FOLDER, load_cases
from tests.conformance.servers import Servers, handed_out
from tests.support import toolchains
from tests.support.outcomes import of_cases, read_events, report

# The first build compiles gRPC; a fresh store takes the start of a server.
SECONDS_MAX = 1200


@pytest.fixture(scope="session")
def toolchain() -> None:
    """Skips without Go, and says so; in CI that is an error."""
    toolchains.require("the Go runner", go_toolchain.require)


@pytest.mark.timeout(SECONDS_MAX + 60)
def test_the_go_runner(
    toolchain: None, servers: Servers, subtests: pytest.Subtests, note: Note
) -> None:
    # Style is the business of `make lint`.
    command = ["go", "test", "-json", "-count=1", "-vet=off", f"-timeout={SECONDS_MAX}s", "./..."]
    with handed_out(servers) as environment:
        done = subprocess.run(
            command, cwd=FOLDER / "go", env=environment, capture_output=True, text=True, check=False
        )
    outcomes = report(subtests, done, {f"TestCases/{case.id}" for case in load_cases()})
    note("go", of_cases(outcomes, "TestCases/"))


def test_every_outcome_is_read() -> None:
    lines = [
        {"Action": "start", "Package": "p"},
        {"Action": "output", "Package": "p", "Test": "T/a/b", "Output": "wrong\n"},
        {"Action": "fail", "Package": "p", "Test": "T/a/b"},
        {"Action": "skip", "Package": "p", "Test": "T/a/c"},
        {"Action": "fail", "Package": "p", "Test": "T/a"},
        {"Action": "fail", "Package": "p", "Test": "T"},
        {"Action": "pass", "Package": "p", "Test": "U"},
        {"Action": "output", "Package": "p", "Output": "FAIL\n"},
    ]
    outcomes, said = read_events("\n".join(map(json.dumps, lines)))
    assert outcomes == {"T/a/b": "fail", "T/a/c": "skip", "U": "pass"}
    assert (said["T/a/b"], said[""]) == ("wrong\n", "FAIL\n")
