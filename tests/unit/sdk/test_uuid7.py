"""Goal: ids are UUIDs of version 7 that increase strictly within a process.

Method: the clock as it is, several threads, and a forked child. What a clock that stands still or
jumps back does is tested in the core.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid

from eventfold._core import uuid7

FORK = """
import os
from eventfold._core import uuid7
made = [uuid7() for _ in range(10)]
out, into = os.pipe()
if os.fork() == 0:
    os.write(into, " ".join(uuid7() for _ in range(100)).encode())
    os._exit(0)
os.wait()
mine = {uuid7() for _ in range(100)} | set(made)
theirs = set(os.read(out, 100_000).decode().split())
assert len(theirs) == 100
assert not mine & theirs
"""


def test_the_layout_is_that_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    text = uuid7()
    after = time.time_ns() // 1_000_000
    value = uuid.UUID(text)
    assert str(value) == text
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert before <= value.int >> 80 <= after + 1


def test_threads_never_get_the_same_id() -> None:
    made: list[str] = []

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
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)
