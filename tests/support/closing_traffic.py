"""Processes that append to accounts while their books are closed, and note what became of it."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import eventfold
from eventfold import ANY, Client, Event, EventfoldError


def append_until(target: str, accounts: int, seed: int, stop: Path, noted: Path) -> None:
    """Deposits into the old books of accounts until the file `stop` is there. Notes a line for each
    append: account, id, amount, and how it ended.
    """
    choose = random.Random(seed)
    with Client(target, timeout=30) as store, noted.open("w") as notes:
        while not stop.exists():
            account, amount = choose.randrange(accounts), choose.randrange(1, 100)
            event = Event("Deposited", {"amount": amount, "by": str(seed)})
            ended = _append(store, f"account-{account}", event, choose.random() < 0.5)
            notes.write(json.dumps([account, event.id, amount, ended]) + "\n")
            notes.flush()


def _append(store: Client, stream: str, event: Event, is_exact: bool) -> str:
    while True:
        try:
            expected = store.get_stream(stream).version if is_exact else ANY
            store.append(stream, [event], expected_version=expected)
        except eventfold.VersionConflict:
            continue
        except eventfold.StreamClosed as refused:
            return f"closed {refused.successor}"
        except (eventfold.OutcomeUnknown, eventfold.ConnectionFailed):
            # The same event again: it is stored once.
            time.sleep(0.05)
        except EventfoldError as error:
            return f"refused {error.reason}"
        else:
            return "stored"


def noted_in(path: Path) -> Iterator[tuple[int, str, int, str]]:
    """What a process noted."""
    for line in path.read_text().splitlines():
        account, id_, amount, ended = json.loads(line)
        yield account, id_, amount, ended


if __name__ == "__main__":
    append_until(
        sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5])
    )
