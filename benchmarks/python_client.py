"""What the Python client costs, one call at a time: `python_client.py ADDRESS SECONDS`.

Prints one JSON object, as the benchmark programs of the other clients do.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import eventfold

FOLD = Path(__file__).resolve().parents[1] / "examples/bank/account.fold.yaml"
FIGURES = 5
WARM_UP_SHARE = 0.2
STREAM_EVENTS = 100
# The data of an event has about 200 bytes.
NOTE = "x" * 170


def deposit() -> eventfold.Event:
    """An event of about 200 bytes."""
    return eventfold.Event("MoneyDeposited", {"amount": 1, "note": NOTE})


def measured(seconds: float, call: Callable[[], None]) -> list[float]:
    """Seconds of each call, after warming up."""
    took: list[float] = []
    now = began = time.perf_counter()
    while now < began + seconds:
        call()
        after = time.perf_counter()
        if now >= began + seconds * WARM_UP_SHARE:
            took.append(after - now)
        now = after
    return took


def median_ms(took: list[float]) -> float:
    """The median in milliseconds."""
    return round(statistics.median(took) * 1000, 3)


class Appends:
    """Appends one event after the other, so many to a stream."""

    def __init__(self, store: eventfold.Client) -> None:
        self._store = store
        self._stream, self._version = "", STREAM_EVENTS

    def __call__(self) -> None:
        """Appends an event."""
        if self._version == STREAM_EVENTS:
            self._stream, self._version = f"bench-{uuid.uuid4()}", 0
        self._store.append(self._stream, [deposit()], expected_version=self._version)
        self._version += 1


def figures(store: eventfold.Client, seconds: float) -> dict[str, float | str]:
    """All figures of this client."""
    share = seconds / FIGURES
    took = measured(share, Appends(store))
    found: dict[str, float | str] = {"client": "python", "append_per_s": len(took) / sum(took)}
    for count in (100, 1_000):
        account = str(uuid.uuid4())
        stream = f"bench-{account}"
        store.append(stream, [deposit() for _ in range(count)], expected_version=0)

        def read(stream: str = stream, count: int = count) -> None:
            # What a program does with events is to look at their data.
            assert sum(event.data["amount"] for event in store.read(stream)) == count

        def hydrate(account: str = account, count: int = count) -> None:
            assert store.hydrate("bench", account, fold=FOLD).state["balance"] == count

        found[f"read_{count}_ms"] = median_ms(measured(share, read))
        found[f"hydrate_{count}_ms"] = median_ms(measured(share, hydrate))
    return found


def main() -> None:
    """Measures on a server that runs."""
    with eventfold.Client(sys.argv[1]) as store:
        print(json.dumps(figures(store, float(sys.argv[2]))))


if __name__ == "__main__":
    main()
