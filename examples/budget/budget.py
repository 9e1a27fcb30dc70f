"""A ledger and a budget planner, which refer to one another instead of copying.

make run                                      # in another terminal
.venv/bin/python examples/budget/budget.py    # --server HOST:PORT for another one
"""

import argparse
import os
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import ledger
import planner

import eventfold

FOLDER = Path(__file__).parent
PROJECTIONS = ("purposes", "transactions")


def prepare(store: eventfold.Client) -> None:
    """Puts what there is to know, and what the store shall see to."""
    planner.demand(store)
    for name in PROJECTIONS:
        store.put_projection(FOLDER / f"{name}.projection.yaml")
        store.wait_projection(name)


def purposes(store: eventfold.Client, position: int = 0) -> dict[str, Decimal]:
    """What was spent for what, as of a position at least."""
    rows = store.query_projection("purposes", at_least_position=position)
    return {row.key: row.columns["sum"] for row in rows}


def transactions(store: eventfold.Client, position: int = 0) -> list[str]:
    """All transactions, with what for and by whom; in the order of their texts."""
    rows = store.query_projection("transactions", order=["text"], at_least_position=position)
    lines = []
    for row in rows:
        shown = row.columns
        purpose = shown["purpose"] or "nothing"
        lines.append(
            f"{shown['text']}, {shown['amount']}, for {purpose}, created by {shown['created_by']}"
        )
    return lines


def run(store: eventfold.Client, say: Callable[[str], None]) -> None:
    """Books, tags, changes its mind, and asks."""
    prepare(store)
    ada = ledger.register(store, "Ada")
    bo = ledger.register(store, "Bo")
    rent = ledger.book(store, ada, Decimal("900.10"), "Rent for May")
    market = ledger.book(store, bo, Decimal("54.35"), "Market hall")
    ledger.book(store, bo, Decimal("12.00"), "Newspaper")

    planner.tag(store, rent.id, "housing")
    position = planner.tag(store, market.id, "housing")
    say(f"Purposes: {told(purposes(store, position))}")
    # The event of the change says neither which purpose nor how much.
    position = planner.tag(store, market.id, "food")
    say(f"Purposes: {told(purposes(store, position))}")
    for line in transactions(store, position):
        say(f"  {line}")

    # Both ends are found: what a transaction was tagged with, of the transaction alone.
    referrers = [event.type for event in store.get_referrers(market)]
    say(f"The market hall is named by {', '.join(referrers)}")

    # What was never booked is for nothing: the store looks, not the planner.
    try:
        planner.tag(store, str(uuid.uuid4()), "travel")
    except eventfold.ReferenceNotFound as error:
        say(f"A tag for what was never booked is refused: {error.problem}")


def told(sums: dict[str, Decimal]) -> str:
    """The sums as a line."""
    return ", ".join(f"{purpose} {total}" for purpose, total in sums.items())


def main() -> None:
    """Runs on a server that is there."""
    parser = argparse.ArgumentParser(description="Books transactions, and says what they were for.")
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
