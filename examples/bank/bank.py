"""Two writers withdraw at once: one is refused by the version, and decides again.

make run                                  # in another terminal
.venv/bin/python examples/bank/bank.py    # --server HOST:PORT for another one
"""

import argparse
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from account import CATEGORY, FOLD, Decision, Refused, deposit, open_account, withdraw

import eventfold

RACE_S = 30


def act(store: eventfold.Client, account: str, decide: Decision) -> None:
    """Reads the account, decides, and appends; again from the start if it has moved."""
    store.retry(CATEGORY, account, decide, fold=FOLD)


def balance(store: eventfold.Client, account: str) -> Decimal:
    """The balance as it is now: folded from the events, on the spot."""
    state = store.hydrate(CATEGORY, account, fold=FOLD).state
    return Decimal(state["balance"])


class Told:
    """A decision that tells each time what it sees, and meets the other one the first time."""

    def __init__(
        self, name: str, decide: Decision, meeting: threading.Barrier, say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._decide = decide
        self._meeting = meeting
        self._say = say
        self.calls = 0

    def __call__(self, state: Any) -> list[eventfold.Event]:
        """Decides; the first time only when both have read the same state."""
        self.calls += 1
        again = " decides again:" if self.calls > 1 else ""
        self._say(f"  {self._name}{again} sees a balance of {state['balance']}")
        if self.calls == 1:
            self._meeting.wait(RACE_S)
        return self._decide(state)


def race(
    store: eventfold.Client, account: str, amount: Decimal, say: Callable[[str], None]
) -> tuple[int, int]:
    """Ada and Bo withdraw at the same time, on the same state.

    Returns how many withdrawals succeeded, and how many decisions that took.
    """
    meeting = threading.Barrier(2)
    decisions = [Told(name, withdraw(amount), meeting, say) for name in ("Ada", "Bo")]

    def take(name: str, decide: Told) -> bool:
        try:
            act(store, account, decide)
        except Refused as error:
            say(f"  {name} gets nothing: {error}")
            return False
        say(f"  {name} has {amount}")
        return True

    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(take, ("Ada", "Bo"), decisions))
    return sum(taken), sum(decision.calls for decision in decisions)


def run(store: eventfold.Client, say: Callable[[str], None]) -> None:
    """The life of an account, on a stream of its own."""
    account = str(uuid.uuid4())
    act(store, account, open_account("u-1"))
    act(store, account, deposit(Decimal("100.00")))
    say(f"{CATEGORY}-{account} is open, with {balance(store, account)}")
    for amount in (Decimal("30.00"), Decimal("25.50")):
        say(f"Both withdraw {amount}:")
        succeeded, decisions = race(store, account, amount, say)
        say(
            f"  {succeeded} of 2 succeeded after {decisions} decisions; "
            f"the balance is {balance(store, account)}"
        )
    say("What happened, as it will always be told:")
    for event in store.read(eventfold.stream_name(CATEGORY, account)):
        say(f"  {event.version}  {event.type:<14}  {event.data_json.decode()}")


def main() -> None:
    """Runs on a server that is there."""
    parser = argparse.ArgumentParser(description="Two writers race for one account.")
    parser.add_argument(
        "--server",
        default=os.environ.get("EVENTFOLD_SERVER", "127.0.0.1:4141"),
        help="address, default %(default)s",
    )
    options = parser.parse_args()
    with eventfold.Client(options.server) as store:
        run(store, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
