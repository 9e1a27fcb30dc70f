"""Appends for the three documents: bursts of random events, some of which fail to be folded."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import eventfold
from eventfold import Event

SHOPS = 12
CARTS = 150
APPEND_EVENTS_MAX = 12
# Events that cannot be folded, of a thousand of shops.
BROKEN = 3
# A call that a fault broke is left: what is in the log counts, and that is read afterwards.
CALL_S = 3.0
PAUSE_S = 0.05


def events_at_random(
    pick: random.Random, broken: int = BROKEN
) -> Iterator[tuple[str, list[Event]]]:
    """Streams, and what is appended to each, without an end."""
    while True:
        count = pick.randint(1, APPEND_EVENTS_MAX)
        if pick.random() < 0.5:
            shop = pick.randrange(SHOPS)
            category = "shop" if pick.random() < 0.1 else "sale"
            # Several streams of sales feed one shop.
            stream = f"{category}-{shop}.{pick.randrange(3)}"
            yield stream, [_of_shop(pick, f"s{shop}", broken) for _ in range(count)]
        else:
            yield f"cart-{pick.randrange(CARTS)}", [_of_cart(pick) for _ in range(count)]


def _of_shop(pick: random.Random, shop: str, broken: int) -> Event:
    amount = Decimal(pick.randrange(1, 100_00)) / 100
    drawn = pick.randrange(1000)
    if drawn < broken:
        return Event("Sold", {"shop": shop})
    if drawn < 100:
        return Event("Noticed", {"shop": shop, "loud": drawn < 50, "text": f"note {drawn}'\n"})
    if drawn < 110:
        return Event("Closed", {"shop": shop})
    if drawn < 300:
        return Event("Returned", {"shop": shop, "amount": amount * 4})
    if drawn < 350:
        return Event("Ignored", {"shop": shop})
    data = {"shop": shop, "amount": amount}
    return Event("Sold", data | {"closing": True} if drawn < 400 else data)


def _of_cart(pick: random.Random) -> Event:
    if pick.randrange(30) == 0:
        return Event("Discarded")
    return Event("Added", {"article": f"a{pick.randrange(20)}", "quantity": pick.randrange(9)})


def fill(address: str, seed: int, events: int, broken: int = BROKEN, padding: int = 0) -> None:
    """Appends so many events by calls with many streams, each with so many bytes more."""
    pick = random.Random(seed)
    appends = events_at_random(pick, broken)

    def bounded() -> Iterator[eventfold.StreamAppend]:
        left = events
        while left > 0:
            stream, batch = next(appends)
            left -= len(batch)
            padded = [Event(one.type, one.data | {"padding": "x" * padding}) for one in batch]
            yield eventfold.StreamAppend(stream, padded if padding else batch, eventfold.ANY)

    with eventfold.Client(address, timeout=30) as store:
        for _ in store.append_batch(bounded()):
            pass


def write_until(
    addresses: Callable[[], str],
    seed: int,
    stop: threading.Event,
    pauses_s: Sequence[float] = (0.0, 0.02),
    broken: int = BROKEN,
) -> None:
    """Appends to servers that may be gone at any time, until it is stopped."""
    pick = random.Random(seed)
    appends = events_at_random(pick, broken)
    while not stop.is_set():
        try:
            with eventfold.Client(addresses(), timeout=CALL_S) as store:
                while not stop.wait(pick.uniform(*pauses_s)):
                    stream, batch = next(appends)
                    store.append(stream, batch, expected_version=eventfold.ANY)
        except eventfold.EventfoldError:
            time.sleep(PAUSE_S)
