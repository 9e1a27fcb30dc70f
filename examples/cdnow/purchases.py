"""The purchases of the file, and the events that they become."""

import datetime as dt
import gzip
import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import eventfold

FILE = Path(__file__).with_name("CDNOW_master.txt.gz")
CATEGORY = "customer"
# Namespace of the ids. Fixed for ever: another value would import every purchase again.
NAMESPACE = uuid.UUID("3d0f3a0e-5c53-5f5a-8f3e-9a6f1f4f2c11")


@dataclass(frozen=True)
class Purchase:
    """A line of the file."""

    line: int
    customer: str
    date: dt.date
    quantity: int
    amount: Decimal


@dataclass(frozen=True)
class PurchaseFile:
    """The purchases of each customer in the order of the file, and the digest of the file."""

    digest: str
    customers: dict[str, list[Purchase]]

    def first(self, customers: int) -> "PurchaseFile":
        """The same with so many of its customers."""
        kept = list(self.customers.items())[:customers]
        return PurchaseFile(self.digest, dict(kept))


@dataclass(frozen=True)
class Totals:
    """What all purchases come to."""

    purchases: int
    streams: int
    cds: int
    dollars: Decimal

    def __str__(self) -> str:
        return (
            f"{self.purchases:,} purchases, {self.streams:,} streams, {self.cds:,} CDs, "
            f"{self.dollars:,} dollars"
        )


# From a sum of the file that has nothing to do with this code.
WHOLE_FILE = Totals(69_659, 23_570, 167_881, Decimal("2500315.63"))


def load(path: Path = FILE) -> PurchaseFile:
    """Reads the file; amounts go from text to Decimal, never through float."""
    content = gzip.decompress(path.read_bytes())
    customers: dict[str, list[Purchase]] = defaultdict(list)
    for number, line in enumerate(content.decode("ascii").splitlines(), 1):
        if number == 1:
            continue  # the names of the columns
        customer, date, quantity, amount = line.split()
        day = dt.datetime.strptime(date, "%Y%m%d").replace(tzinfo=dt.UTC).date()
        customers[customer].append(Purchase(number, customer, day, int(quantity), Decimal(amount)))
    return PurchaseFile(hashlib.sha256(content).hexdigest(), dict(customers))


def event_of(purchase: Purchase, file_digest: str) -> eventfold.Event:
    """The event of a purchase: the same line of the same file always has the same id."""
    return eventfold.Event(
        "CdsPurchased",
        {
            "date": purchase.date,
            "quantity": purchase.quantity,
            "amount": purchase.amount,
        },
        id=uuid.uuid5(NAMESPACE, f"{file_digest}:{purchase.line}"),
        occurred_at=dt.datetime.combine(purchase.date, dt.time.min, dt.UTC),
    )


def sums(purchases: Iterable[Purchase]) -> Totals:
    """The totals of the file itself, to compare with those of the store."""
    found = list(purchases)
    return Totals(
        len(found),
        len({purchase.customer for purchase in found}),
        sum(purchase.quantity for purchase in found),
        sum((purchase.amount for purchase in found), Decimal(0)),
    )
