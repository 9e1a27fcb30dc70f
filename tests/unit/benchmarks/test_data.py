"""Goal: every store is filled with the same log, whole streams in order, interleaved.

Method: lay logs of several sizes out, and replay them.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import data
import pytest
from processes import Watched, pages_written


@pytest.mark.parametrize("events", [2_000, 25_000, 250_000])
def test_a_log_has_whole_streams_in_order(events: int) -> None:
    versions: Counter[str] = Counter()
    for run in data.layout(events):
        assert versions[run.stream] == run.first
        versions[run.stream] += run.count
    measured = {data.stream_of(length): length for length in data.lengths_within(events)}
    fillers = {data.filler(n): data.FILLER_LENGTH for n in range(data.fillers_within(events))}
    assert versions == measured | fillers
    assert versions.total() == events


def test_streams_are_interleaved() -> None:
    places = [
        place for place, run in enumerate(data.layout(25_000)) if run.stream == data.stream_of(1000)
    ]
    gaps = [after - before for before, after in itertools.pairwise(places)]
    # 2,500 runs, a hundred of them of this stream.
    assert len(places) == 100
    assert max(gaps) < 60
    assert min(gaps) > 1


def test_the_log_is_the_same_for_drivers_in_other_languages() -> None:
    command = [sys.executable, data.__file__, "2000"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == [f"{one.stream} {one.first} {one.count}" for one in data.layout(2_000)]


def test_an_event_has_about_two_hundred_bytes() -> None:
    assert 180 <= len(json.dumps(data.event_data(99_999), separators=(",", ":"))) <= 220


def test_ids_are_of_version_7_and_in_order() -> None:
    ids = [data.uuid7() for _ in range(100)]
    assert {one.version for one in ids} == {7}
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)


def test_pages_of_zeros_are_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    file.write_bytes(bytes(3 << 20) + b"x" + bytes(8191) + b"y")
    assert pages_written(file) == 2 * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cpu_time_of_a_tree_of_processes_grows() -> None:
    watched = Watched([os.getpid()])
    before = watched.cpu_seconds()["server"]
    sum(number * number for number in range(3_000_000))
    assert watched.cpu_seconds()["server"] > before
