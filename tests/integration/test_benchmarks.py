"""Goal: the benchmarks still run: every workload on an own server, with tiny numbers.

Method: the command behind `make bench` as a process, without the compiled load generator; what it
wrote is read back. Nothing that it started is left.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import figures
import pytest
import workloads
from candidates import BARE, EVENTFOLD

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 2_000


@pytest.mark.timeout(240)
def test_all_workloads_run_on_an_own_server(tmp_path: Path) -> None:
    results = tmp_path / "own.jsonl"
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "own", "--without-loadgen"]
    command += ["--events", str(EVENTS), "--seconds", "0.01", "--rounds", "1"]
    run = subprocess.run(
        [*command, "--results", str(results)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = figures.read(results)
    assert found.faults == []
    own = {one.workload for one in found.figures if one.candidate == EVENTFOLD}
    # Sessions are for drivers that have the choice.
    expected = {one.name for one in workloads.own(EVENTS) if one.group != "session"}
    assert own == expected
    bare = {one.workload for one in found.figures if one.candidate == BARE}
    assert bare == {name for name in expected if "kept state" not in name}
    assert {one.candidate for one in found.sizes} == {EVENTFOLD}
    assert found.sizes[0].bytes_an_event > 200
    assert "| eventfold |" in results.with_suffix(".md").read_text()
