"""Goal: figures are what the rounds say, and a file of results is read as it was written.

Method: rounds with known numbers; a file written and read.
"""

from __future__ import annotations

from pathlib import Path

import figures
import pytest
from figures import Round, Size


def round_of(operations: int, elapsed_s: float, latencies_us: list[int]) -> Round:
    return Round(operations, elapsed_s, latencies_us, 0.002, 0.004, 0.006)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert figures.percentile(range(1, 101), share) == expected


def test_a_percentile_of_one_value_is_this_value() -> None:
    assert figures.percentile([7], 0.999) == 7


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        figures.percentile([], 0.5)


def test_a_figure_sums_rounds_up() -> None:
    rounds = [
        round_of(2, 1.0, [1_000, 3_000]),
        round_of(6, 1.0, [2_000] * 6),
        round_of(2, 2.0, [9_000, 4_000]),
    ]
    one = figures.figure("append", "ours", 10, rounds)
    assert (one.rate, one.rate_lowest, one.rate_highest) == (2.0, 1.0, 6.0)
    assert one.events_a_second == 20.0
    assert one.ms == 500.0
    # Sorted: 1, six times 2, 3, 4, 9.
    assert (one.p50_ms, one.p99_ms, one.p999_ms) == (2.0, 9.0, 9.0)
    assert (one.operations, one.rounds) == (10, 3)
    assert one.client_us == pytest.approx(600)
    assert one.server_us == pytest.approx(1_200)
    assert one.postgres_us == pytest.approx(1_800)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.jsonl"
    writer = figures.Writer(path, {"command": "own"})
    one = figures.figure("append", "ours", 1, [round_of(1, 1.0, [5])])
    writer.write("figure", one)
    writer.write("size", Size("ours", 1_000, 2.0, 612.5))
    figures.Writer.going_on(path).write("step", {"events": 1_000})
    writer.write("fault", {"workload": "read", "candidate": "theirs", "why": "gone"})
    found = figures.read(path)
    assert found.head == {"command": "own"}
    assert found.find("append", "ours") is not None
    assert found.find("append", "theirs") is None
    assert found.figures[0].rate == 1.0
    assert found.sizes == [Size("ours", 1_000, 2.0, 612.5)]
    assert found.steps == [1_000]
    assert found.faults[0]["why"] == "gone"


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    figures.Writer(path, {"run": 1}).write("step", {"events": 1})
    figures.Writer(path, {"run": 2})
    assert figures.read(path).steps == []
