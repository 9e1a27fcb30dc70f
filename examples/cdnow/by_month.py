"""Real purchases, copied from a stream a customer into a stream a month, and cut over while others
go on to buy.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from demo import import_purchases, server, totals
from purchases import CATEGORY, PurchaseFile, Totals, load, sums

import eventfold

TRANSFORM = Path(__file__).with_name("by_month.transform.yaml")
MONTHS = "month"
BUYERS = 4
WAIT_S = 600.0
# What each purchase that comes meanwhile is.
LATE_CDS, LATE_DOLLARS = 1, Decimal("9.99")


@dataclass
class Buyers:
    """Customers who buy until their streams are closed."""

    address: str
    customers: list[str]
    stored: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    faults: list[BaseException] = field(default_factory=list)

    def start(self) -> list[threading.Thread]:
        """All of them, each with a share of the customers."""
        threads = [
            threading.Thread(target=self._buy, args=(self.customers[number::BUYERS],))
            for number in range(min(BUYERS, len(self.customers)))
        ]
        for thread in threads:
            thread.start()
        return threads

    def _buy(self, customers: list[str]) -> None:
        data = {"date": "1998-07-01", "quantity": LATE_CDS, "amount": LATE_DOLLARS}
        left = list(customers)
        try:
            with eventfold.Client(self.address) as store:
                while left:
                    for customer in list(left):
                        stream = eventfold.stream_name(CATEGORY, customer)
                        event = eventfold.Event("CdsPurchased", data)
                        try:
                            store.append(stream, [event], expected_version=eventfold.ANY)
                        except eventfold.StreamClosed:
                            left.remove(customer)
                            self.refused += 1
                        else:
                            self.stored[customer] += 1
        except BaseException as fault:  # noqa: BLE001 - told where the threads are joined
            self.faults.append(fault)


def totals_by_month(store: eventfold.Client) -> Totals:
    """Reads every copy, and adds them up exactly."""
    cds = purchases = 0
    dollars = Decimal(0)
    customers = set()
    for stream in store.list_streams(category=MONTHS):
        for event in store.read(stream.name):
            assert stream.name.endswith(event.data["date"][:7]), stream.name
            purchases += 1
            cds += event.data["quantity"]
            dollars += event.data["amount"]
            customers.add(event.data["customer"])
    return Totals(purchases, len(customers), cds, dollars)


def copy(store: eventfold.Client) -> eventfold.TransformInfo:
    """Starts the transform, and waits until all is copied and compared."""
    begin = time.monotonic()
    started = store.start_transform(TRANSFORM)
    found = store.wait_transform(started.transform_id, timeout=WAIT_S)
    if found.state != "verified":
        raise SystemExit(f"the transform is {found.state}: {found.failure}")
    seconds = time.monotonic() - begin
    print(
        f"Copied and compared {found.verification.events:,} purchases of {found.sources:,} "
        f"streams into {found.targets:,} in {seconds:.1f} s."
    )
    return found


def cut_over(store: eventfold.Client, transform_id: str, buyers: Buyers) -> eventfold.TransformInfo:
    """Cuts over while customers buy."""
    threads = buyers.start()
    begin = time.monotonic()
    store.cut_over(transform_id)
    done = store.wait_transform(transform_id, timeout=WAIT_S)
    seconds = time.monotonic() - begin
    for thread in threads:
        thread.join()
    if buyers.faults or done.state != "done":
        raise SystemExit(f"the cut-over is {done.state}: {done.failure or buyers.faults}")
    print(
        f"Cut over in {seconds:.1f} s under load: {buyers.stored.total():,} "
        f"purchases came meanwhile, {buyers.refused:,} streams refused one; nobody was held up "
        f"for longer than {done.held_ms} ms."
    )
    return done


def run(data_dir: Path, file: PurchaseFile, expected: Totals) -> bool:
    """All of it on a server of its own; whether all totals are exact."""
    with server(data_dir) as address, eventfold.Client(address, timeout=30) as store:
        import_purchases(address, file)
        found = copy(store)
        buyers = Buyers(address, list(file.customers))
        done = cut_over(store, found.transform_id, buyers)
        late = buyers.stored.total()
        wanted = Totals(
            expected.purchases + late,
            expected.streams,
            expected.cds + late * LATE_CDS,
            expected.dollars + late * LATE_DOLLARS,
        )
        old, new = totals(store), totals_by_month(store)
    matches = wanted == old == new and done.events_written == wanted.purchases
    print(f"\nBy customer: {old}\nBy month:    {new}")
    print("Exactly what was bought." if matches else f"BUT {wanted} WERE BOUGHT.")
    return matches


def main() -> int:
    """Returns the exit code: 0 if the totals match."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--customers", type=int, metavar="N", help="only the first N customers of the file"
    )
    options = parser.parse_args()
    file = load()
    if options.customers is not None:
        file = file.first(options.customers)
    expected = sums(one for purchases in file.customers.values() for one in purchases)
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="eventfold-by-month-"))
        # PostgreSQL refuses to run as root, and then runs as a user who must come in here.
        Path(name).chmod(0o711)
        return 0 if run(Path(name), file, expected) else 1


if __name__ == "__main__":
    sys.exit(main())
