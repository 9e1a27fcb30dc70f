"""Importing into many streams: one append a customer, some of them under way at once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from purchases import CATEGORY, PurchaseFile, event_of

import eventfold

# Enough to keep the server busy; it puts appends that wait together into one transaction.
IN_FLIGHT = 64


@dataclass
class Imported:
    """What an import did, in purchases."""

    stored: int = 0
    stored_before: int = 0


async def import_all(
    address: str, file: PurchaseFile, on_purchases: Callable[[int], None]
) -> Imported:
    """Appends the purchases of each customer to a stream of the customer's own.

    The streams are expected to be new. Where all purchases are stored already, from a run
    before, the server knows them by their ids, says so, and stores nothing: an import that was
    broken off is finished by running it again.
    """
    imported = Imported()
    # Workers share one iterator: each takes the next customer when it is done with one.
    waiting = iter(file.customers.items())

    async def work(store: eventfold.AsyncClient) -> None:
        for customer, purchases in waiting:
            result = await store.append(
                eventfold.stream_name(CATEGORY, customer),
                [event_of(purchase, file.digest) for purchase in purchases],
                expected_version=0,
            )
            if result.duplicate:
                imported.stored_before += len(purchases)
            else:
                imported.stored += len(purchases)
            on_purchases(len(purchases))

    async with eventfold.AsyncClient(address, timeout=60) as store, asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work(store))
    return imported
