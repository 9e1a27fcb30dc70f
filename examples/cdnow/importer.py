"""Importing into many streams: one append a customer, many of them under way at once."""

from collections.abc import Callable
from dataclasses import dataclass

from purchases import CATEGORY, PurchaseFile, event_of

import eventfold


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
    appends = (
        eventfold.StreamAppend(
            eventfold.stream_name(CATEGORY, customer),
            [event_of(purchase, file.digest) for purchase in purchases],
            0,
        )
        for customer, purchases in file.customers.items()
    )
    async with eventfold.AsyncClient(address, timeout=60) as store:
        async for result in store.append_batch(appends):
            count = result.last_version - result.first_version + 1
            if result.duplicate:
                imported.stored_before += count
            else:
                imported.stored += count
            on_purchases(count)
    return imported
