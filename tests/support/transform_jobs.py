"""Stores of purchases, documents that copy them, and what must come of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import eventfold
from eventfold import Client, Event, TransformInfo

SOON_S = 60.0

BY_MONTH = """
transform: by-month
source: {category: %(source)s}
into: [%(target)s]
stream: "'%(target)s-' + event.month"
events:
  Ignored: drop
  Purchased: {type: PurchaseMade, data: {customer: "meta.stream"}}
"""
RENAMED = """
transform: renamed
source: {category: %(source)s}
into: [%(target)s]
stream: "'%(target)s-' + meta.stream_id"
others: keep
"""


def by_month(source: str, target: str) -> str:
    """Purchases of customers into a stream for each month."""
    return BY_MONTH % {"source": source, "target": target}


def renamed(source: str, target: str, more: str = "") -> str:
    """Each stream into one of another category."""
    return RENAMED % {"source": source, "target": target} + more


def purchase(customer: int, number: int) -> Event:
    """The same for the same numbers."""
    month = f"2026-{1 + (customer * 7 + number) % 12:02}"
    return Event("Purchased", {"month": month, "cents": 100 * number + customer})


def fill(store: Client, category: str, customers: int, purchases: int) -> None:
    """Purchases of customers, who take turns."""
    for number in range(purchases):
        for customer in range(customers):
            events = [purchase(customer, number), Event("Ignored", {"n": number})]
            store.append(f"{category}-{customer}", events, expected_version=eventfold.ANY)


def until(
    store: Client,
    transform_id: str,
    condition: Callable[[TransformInfo], object],
    seconds: float = SOON_S,
) -> TransformInfo:
    """The transform as soon as it is as wanted."""
    ends = time.monotonic() + seconds
    while True:
        found = store.get_transform(transform_id)
        if condition(found):
            return found
        assert time.monotonic() < ends, found
        time.sleep(0.02)


def totals(store: Client, category: str) -> dict[str, int]:
    """Cents by month of all purchases in a category, whatever they are called there."""
    found: dict[str, int] = defaultdict(int)
    for stream in store.list_streams(category=category):
        for event in store.read(stream.name):
            if event.type in ("Purchased", "PurchaseMade"):
                found[event.data["month"]] += event.data["cents"]
    return dict(found)


def check_copies(store: Client, source: str, target: str) -> int:
    """All purchases of the one category are in the other, each once, by month and in order of
    position, with the time at which they occurred; their number.
    """
    return check_copied_into(store, source, store, target)


def check_copied_into(store: Client, source: str, other: Client, target: str) -> int:
    """The same of a category of another store."""
    wanted: dict[str, list[tuple[int, tuple[str, object, object]]]] = defaultdict(list)
    for stream in store.list_streams(category=source):
        for event in store.read(stream.name):
            if event.type == "Purchased":
                facts = (event.id, event.occurred_at, event.tags)
                wanted[f"{target}-{event.data['month']}"].append((event.position, facts))
    found: dict[str, list[tuple[str | None, object, object]]] = {}
    for stream in other.list_streams(category=target):
        events = list(other.read(stream.name))
        assert {event.type for event in events} == {"PurchaseMade"}
        found[stream.name] = [
            (event.copied_from, event.occurred_at, event.tags) for event in events
        ]
    assert found == {name: [facts for _, facts in sorted(all_, key=lambda one: one[0])]
                     for name, all_ in wanted.items()}  # fmt: skip
    return sum(map(len, found.values()))
