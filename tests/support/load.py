"""Whether a server has time for others: small calls that are timed, and the CPU time it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import eventfold


@contextmanager
def pings(address: str) -> Iterator[list[float]]:
    """Makes a small call again and again meanwhile; its seconds."""
    took: list[float] = []
    done = threading.Event()

    def run() -> None:
        with eventfold.Client(address, timeout=30) as store:
            store.append("ping-1", [eventfold.Event("T", {})], expected_version=eventfold.ANY)
            while not done.is_set():
                began = time.perf_counter()
                store.get_stream("ping-1")
                took.append(time.perf_counter() - began)
                done.wait(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join(timeout=30)


def cpu_seconds_in(pid: int, seconds: float) -> float:
    """CPU time that the process takes in the next seconds."""

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    before = used()
    time.sleep(seconds)
    return used() - before
