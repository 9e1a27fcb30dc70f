"""Goal: the Java client does what it promises.

Method: Maven runs its tests in a process of its own, with servers for them; each is reported as a
subtest.
"""

from __future__ import annotations

import re

import java_toolchain
import pytest
from tests.clients.servers import handed_out
from tests.support import toolchains
from tests.support.maven import CLIENT, run_tests

# The first build compiles the stubs.
SECONDS_MAX = 1500


@pytest.fixture(scope="session")
def toolchain() -> None:
    """Skips without Java and Maven, and says so; in CI that is an error."""
    toolchains.require("the Java client", java_toolchain.require)


@pytest.mark.timeout(SECONDS_MAX)
def test_the_java_client(toolchain: None, subtests: pytest.Subtests) -> None:
    with handed_out() as environment:
        report = run_tests(environment, "surefire-reports")
    for name, failure in report.failures.items():
        with subtests.test(msg=name):
            assert not failure, failure
    failed = any(report.failures.values())
    assert report.status == 0 or failed, report.printed
    told = {name.partition("/")[0] for name in report.failures}
    classes = {
        file.stem
        for file in (CLIENT / "src/test/java").rglob("*Test.java")
        if re.search(r"@(Test|ParameterizedTest)\b", file.read_text(encoding="utf-8"))
    }
    assert told == classes, report.printed
