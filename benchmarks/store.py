"""A server of the benchmark's own, and the data that it is measured on."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import eventfold
from eventfold import Event

LENGTHS = (100, 1_000, 10_000, 100_000)
APPEND_EVENTS = 1_000

ACCOUNT_FOLD = {
    "fold": "account",
    "initial": {"balance": 0, "deposits": 0, "open": False, "limit": 0},
    "handlers": {
        "AccountOpened": {"owner": "event.holder", "open": True},
        "MoneyDeposited": {
            "balance": "state.balance + event.amount",
            "deposits": "state.deposits + 1",
        },
        "MoneyWithdrawn": {"balance": "state.balance - event.amount"},
        "LimitSet": {"limit": "event.limit"},
        "AccountClosed": {"open": False},
    },
}


# The same, of which no state is kept: every hydration reads the stream from its first event.
COLD_FOLD = {**ACCOUNT_FOLD, "fold": "cold", "keep": "off"}


@dataclass(frozen=True)
class Store:
    """A running server."""

    address: str
    # URL of its PostgreSQL, for baselines that go without a server.
    database_url: str
    # Process that was started; its children are PostgreSQL and the workers, if there are several.
    pid: int


@contextlib.contextmanager
def running() -> Iterator[Store]:
    """Yields a server with the streams of LENGTHS in it, `account-<length>`."""
    with serving() as store:
        _load(store)
        yield store


@contextlib.contextmanager
def serving(*options: str) -> Iterator[Store]:
    """Yields a server with an empty store; the options are those of `eventfold serve`."""
    with tempfile.TemporaryDirectory(prefix="eventfold-bench-") as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "data"
        command = [sys.executable, "-m", "eventfold", "serve", "--json", "--log-level", "warning"]
        command += ["--listen", "127.0.0.1:0", "--data-dir", str(data), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            address = json.loads(process.stdout.readline())["address"]
            url = (data / "postgres.url").read_text().strip()
            yield Store(address, url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def event(number: int) -> Event:
    """An event of about 200 bytes of JSON; the wanted field stands in the middle."""
    data = {
        "account": "8f6c1f0e-5d0b-4a57-9e0b-6a6f1f6d2c11",
        "booking": number,
        "currency": "EUR",
        "amount": 10 + number % 7,
        "text": "salary of the month, transferred by the employer",
        "reference": f"RF-{number:012d}",
    }
    return Event("MoneyDeposited" if number % 3 else "MoneyWithdrawn", data)


def _load(store: Store) -> None:
    with eventfold.Client(store.address, timeout=60) as client:
        client.put_fold(ACCOUNT_FOLD)
        client.put_fold(COLD_FOLD)
        # Interleaved, as streams of a living store are.
        written = dict.fromkeys(LENGTHS, 0)
        while any(written[length] < length for length in LENGTHS):
            for length in LENGTHS:
                missing = length - written[length]
                if not missing:
                    continue
                size = min(APPEND_EVENTS, missing)
                first = written[length]
                events = [event(first + n) for n in range(size)]
                client.append(f"account-{length}", events, expected_version=first)
                written[length] += size
