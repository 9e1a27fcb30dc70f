"""Goal: the server does what every conformance case says, over the channel of the Java client too.

Method: Maven runs all cases in a process of its own, on the servers of this session; each of its
tests is reported as a subtest.
"""

from __future__ import annotations

import java_toolchain
import pytest
from tests.conformance.conftest import Note
from tests.conformance.runner import load_cases, load_wrong_cases
from tests.conformance.servers import Servers, handed_out
from tests.support import toolchains
from tests.support.maven import read_report, run_tests

# The first build compiles the stubs; a fresh store takes the start of a server.
SECONDS_MAX = 1500


@pytest.fixture(scope="session")
def toolchain() -> None:
    """Skips without Java and Maven, and says so; in CI that is an error."""
    toolchains.require("the Java runner", java_toolchain.require)


@pytest.mark.timeout(SECONDS_MAX)
def test_the_java_runner(
    toolchain: None, servers: Servers, subtests: pytest.Subtests, note: Note
) -> None:
    with handed_out(servers) as environment:
        report = run_tests(environment, "conformance-reports", "-Pconformance")
    for name, failure in report.failures.items():
        with subtests.test(msg=name):
            assert not failure, failure
    ids = {f"ConformanceTest/{case.id}": case.id for case in load_cases()}
    note(
        "java",
        {
            ids[name]: "fail" if failure else "pass"
            for name, failure in report.failures.items()
            if name in ids
        },
    )
    failed = any(report.failures.values())
    assert report.status == 0 or failed, report.printed
    wanted = {f"ConformanceTest/{case.id}" for case in (*load_cases(), *load_wrong_cases())}
    missing = wanted - report.failures.keys()
    assert not missing, f"Maven did not tell of {sorted(missing)}: {report.printed}"


def test_every_outcome_is_read() -> None:
    report = """<testsuite>
      <testcase name="cases() a/b" classname="p.T"><failure message="no">at T</failure></testcase>
      <testcase name="cases() a/c" classname="p.T"><error>broken</error></testcase>
      <testcase name="plain" classname="p.T"><skipped/></testcase>
      <testcase name="good" classname="p.U"><system-out>said</system-out></testcase>
    </testsuite>"""
    assert read_report(report) == {
        "T/a/b": "noat T",
        "T/a/c": "broken",
        "T/plain": "skipped",
        "U/good": "",
    }
