"""Goal: ids are UUIDs of version 7 that increase strictly within a process.

Method: a clock that stands still, jumps back, and a counter at its end; several threads.
"""

from __future__ import annotations

import os
import threading
import time
import uuid

from eventfold._uuid7 import Uuid7Source, uuid7


def test_the_layout_is_that_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid7()
    after = time.time_ns() // 1_000_000
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert before <= value.int >> 80 <= after + 1


def test_ids_increase_while_the_clock_stands_still_or_goes_back() -> None:
    times = iter([5_000_000, 5_000_000, 5_000_000, 4_000_000, 6_000_000])
    source = Uuid7Source(clock_ns=lambda: next(times))
    made = [source() for _ in range(5)]
    assert made == sorted(set(made))
    assert [value.int >> 80 for value in made] == [5, 5, 5, 5, 6]


def test_a_full_counter_goes_on_in_the_next_millisecond() -> None:
    source = Uuid7Source(clock_ns=lambda: 5_000_000, random_bytes=lambda n: b"\xff" * n)
    source()
    source._counter = (1 << 42) - 1
    made = source()
    assert made.int >> 80 == 6


def test_threads_never_get_the_same_id() -> None:
    made: list[uuid.UUID] = []

    def work() -> None:
        mine = [uuid7() for _ in range(2_000)]
        assert mine == sorted(mine)
        made.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_a_forked_child_makes_other_ids() -> None:
    source = Uuid7Source(clock_ns=lambda: 5_000_000, random_bytes=os.urandom)
    source()
    source.reset()
    assert source._millis == -1
