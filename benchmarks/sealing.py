"""What sealing costs: `make bench-sealing`.

One server and one client. Two event types have the same data of about 200 bytes; of one of them
two fields are declared personal. Both take turns at the same work, round after round, and what
counts is the ratio of their times within a round. States are not kept: each hydration reads its
100 events.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import stores
from pages import table

import eventfold
from eventfold import ANY, Client, Event

RESULTS = Path(__file__).resolve().parent / "results" / "sealing.md"
PLAIN, SEALED = "PlainBooked", "SealedBooked"
EVENTS = 100
STREAMS = 20
# What sealing may cost at most, as a ratio.
HYDRATE_MAX = 1.3
APPEND_MAX = 1.5
_WARM_UP = 3

_RULES = {"privacy": SEALED, "personal": {"/holder": None, "/text": None}}
_FOLD = {
    "fold": "balance",
    "initial": {"balance": 0, "holder": "", "bookings": 0},
    "handlers": {
        name: {
            "balance": "state.balance + event.amount",
            "holder": "event.holder",
            "bookings": "state.bookings + 1",
        }
        for name in (PLAIN, SEALED)
    },
}


@dataclass
class Work:
    """One kind of work, and milliseconds of its calls with each event type, by round."""

    name: str
    limit: float | None
    do: Callable[[str, int], None]
    plain_ms: list[float] = field(default_factory=list)
    sealed_ms: list[float] = field(default_factory=list)

    def round(self, calls: int) -> None:
        """Does it with both types in turn, call by call, so that both see the same machine."""
        took: dict[str, list[float]] = {PLAIN: [], SEALED: []}
        for call in range(calls):
            for event_type in (PLAIN, SEALED) if call % 2 else (SEALED, PLAIN):
                began = time.perf_counter()
                self.do(event_type, call)
                took[event_type].append((time.perf_counter() - began) * 1000)
        self.plain_ms.append(statistics.median(took[PLAIN]))
        self.sealed_ms.append(statistics.median(took[SEALED]))

    @property
    def ratio(self) -> float:
        """Time with sealed fields, over that without."""
        pairs = zip(self.sealed_ms, self.plain_ms, strict=True)
        return statistics.median(sealed / plain for sealed, plain in pairs)

    @property
    def row(self) -> list[str]:
        """The line of the report."""
        plain, sealed = statistics.median(self.plain_ms), statistics.median(self.sealed_ms)
        limit = "" if self.limit is None else f"< {self.limit}"
        return [self.name, f"{plain:.2f}", f"{sealed:.2f}", f"{self.ratio:.2f}", limit]


def booked(event_type: str, number: int) -> Event:
    """An event like one of a bank account."""
    data = {
        "account": str(uuid.UUID(int=number)),
        "holder": f"Somebody with a name of {number}",
        "booking": number,
        "amount": number % 997,
        "currency": "CHF",
        "text": f"what the booking number {number} was made for",
    }
    return Event(event_type, data)


def _stream(event_type: str, number: int) -> str:
    return f"{event_type}-{number}"


def works(store: Client) -> list[Work]:
    """What is measured, on streams that are filled here."""
    for event_type in (PLAIN, SEALED):
        for stream in range(STREAMS):
            events = [booked(event_type, number) for number in range(EVENTS)]
            store.append(_stream(event_type, stream), events, expected_version=0)

    def hydrate(event_type: str, call: int) -> None:
        state = store.hydrate_stream(_stream(event_type, call % STREAMS), fold=_FOLD).state
        assert state["bookings"] == EVENTS
        assert state["holder"]

    def read(event_type: str, call: int) -> None:
        assert len(list(store.read(_stream(event_type, call % STREAMS)))) == EVENTS

    def append(events: int) -> Callable[[str, int], None]:
        def do(event_type: str, call: int) -> None:
            batch = [booked(event_type, call + number) for number in range(events)]
            store.append(f"{event_type}-a{events}x{call % STREAMS}", batch, expected_version=ANY)

        return do

    return [
        Work("hydrate 100 events", HYDRATE_MAX, hydrate),
        Work("read 100 events", None, read),
        Work("append 1 event", APPEND_MAX, append(1)),
        Work("append 100 events a call", APPEND_MAX, append(100)),
    ]


def measure(folder: Path, rounds: int, calls: int) -> list[Work]:
    """All of it, on a server of its own."""
    keys = folder / "master-keys"
    keys.write_text(f"main:{base64.b64encode(os.urandom(32)).decode()}")
    keys.chmod(0o600)
    with (
        stores.eventfold(folder, "--master-key-file", str(keys)) as server,
        eventfold.Client(server.url) as store,
    ):
        store.put_privacy_rules(_RULES)
        done = works(store)
        for number in range(rounds + 1):
            for work in done:
                work.round(calls if number else _WARM_UP)
        for work in done:
            # The first was a warm-up.
            del work.plain_ms[0], work.sealed_ms[0]
        return done


def report(done: list[Work], rounds: int, calls: int) -> str:
    """The page of results."""
    heads = ["", "plain, ms", "two fields sealed, ms", "ratio", "aim"]
    return "\n".join(
        [
            "# What sealing costs",
            "",
            "Written by `make bench-sealing`; do not edit. Two event types with the same data, of",
            "one of which two fields are sealed, in turn on one server: medians of",
            f"{rounds} rounds of {calls} calls, one in flight, and the median of the ratios within",
            f"a round. Machine: {os.cpu_count()} cores.",
            "",
            table(heads, [work.row for work in done]),
            "",
        ]
    )


def main() -> None:
    """Measures, writes the report, and fails if an aim is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks/sealing.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds that count")
    parser.add_argument("--calls", type=int, default=60, help="calls of each kind in a round")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the report")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eventfold-bench-") as name:
        # PostgreSQL's account may pass through.
        Path(name).chmod(0o711)
        done = measure(Path(name), options.rounds, options.calls)
    page = report(done, options.rounds, options.calls)
    print(page)
    options.results.write_text(page, encoding="utf-8")
    if missed := [w.name for w in done if w.limit is not None and w.ratio >= w.limit]:
        raise SystemExit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
