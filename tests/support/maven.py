"""Tests of the Java client, run by Maven, and what became of each of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from .locks import locked

CLIENT = Path(__file__).resolve().parents[2] / "clients/java"


@dataclass(frozen=True)
class Report:
    """What a run told.

    Attributes:
        failures: by name of each test what is wrong; empty: it passed.
        status: exit code of Maven.
        printed: what Maven printed.
    """

    failures: dict[str, str]
    status: int
    printed: str


def run_tests(environment: Mapping[str, str], reports: str, *options: str) -> Report:
    """Runs `mvn test` with these options; `reports` is the folder that it writes reports to."""
    folder = CLIENT / "target" / reports
    failures: dict[str, str] = {}
    with locked(CLIENT):
        # Reports of an earlier run would be taken for those of this one.
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run(
            ["mvn", "-q", "-B", *options, "test"],
            cwd=CLIENT,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        for file in sorted(folder.glob("TEST-*.xml")):
            failures |= read_report(file.read_text(encoding="utf-8"))
    return Report(failures, done.returncode, done.stdout + done.stderr)


def read_report(text: str) -> dict[str, str]:
    """What is wrong with each test of a report, by its class and its name; a test that was skipped
    is wrong too, since nothing here may be skipped.
    """
    failures: dict[str, str] = {}
    for case in ET.fromstring(text).iter("testcase"):
        # Of a test that is made when it runs, the name of what made it comes first.
        name = case.get("name", "").rpartition("() ")[2]
        owner = case.get("classname", "").rpartition(".")[2]
        wrong = [part for part in case if part.tag in {"failure", "error", "skipped"}]
        told = "\n".join((part.get("message") or "") + (part.text or part.tag) for part in wrong)
        failures[f"{owner}/{name}"] = told
    return failures
