"""The ledger: it books transactions, and knows nothing of budgets.

`transaction-<id>` is the stream of a transaction, `author-<id>` that of somebody who books.
"""

import datetime as dt
import uuid
from decimal import Decimal

from eventfold import Client, Event, RecordedEvent, References


def register(store: Client, name: str) -> Event:
    """Registers an author; the event is what others refer to."""
    registered = Event("AuthorRegistered", {"name": name})
    store.append(f"author-{uuid.uuid4()}", [registered], expected_version=0)
    return registered


def book(store: Client, author: Event, amount: Decimal, text: str) -> Event:
    """Books a transaction. Who did it is the id of an event: the name is said in one place."""
    booked = Event(
        "TransactionBooked",
        {
            "amount": amount,
            "text": text,
            "bookedOn": dt.datetime.now(dt.UTC).date(),
            "createdBy": author.id,
        },
        refs=References([author]),
    )
    store.append(f"transaction-{uuid.uuid4()}", [booked], expected_version=0)
    return booked


def transactions(store: Client) -> list[RecordedEvent]:
    """All that was booked, in order: what a budget planner is offered."""
    return list(store.read_all(categories=["transaction"], types=["TransactionBooked"]))
