"""The part of a report that tells of subscriptions and consumer groups."""

from __future__ import annotations

from figures import Delivery, Results
from pages import digits, table


def blocks(results: Results) -> list[str]:
    """Titles, texts and tables of what was measured."""
    return [*_deliveries(results), *_consumption(results), *_stalled(results)]


def _deliveries(results: Results) -> list[str]:
    if not results.deliveries:
        return []
    text = (
        "One event is appended, and a pause of 5 to 15 ms follows. Milliseconds from the answer\n"
        "of the append until the first and until the last of the subscribers has it, and from\n"
        "the commit (which PostgreSQL notes before its flush) until the last; in brackets the\n"
        "lowest and the highest median of a round. Below 0 is before the answer. Subscribers\n"
        "are one process; CPU time is that of one append with its deliveries, in microseconds."
    )
    header = ["", "subscribers", "first p50", "first p99", "last p50", "last p99"]
    header += ["from commit p50", "from commit p99", "servers us", "PostgreSQL us", "clients us"]
    rows = [_delivery(one) for one in results.deliveries]
    return ["## From an append to subscribers", text, table(header, rows)]


def _delivery(one: Delivery) -> list[str]:
    spread = f"({digits(one.lowest_ms)} to {digits(one.highest_ms)})"
    return [
        f"through {'the ' if one.through.startswith('same') else ''}{one.through}",
        str(one.subscribers),
        digits(one.first_p50_ms),
        digits(one.first_p99_ms),
        f"{digits(one.last_p50_ms)} {spread}",
        digits(one.last_p99_ms),
        digits(one.commit_p50_ms),
        digits(one.commit_p99_ms),
        *(f"{value:,.0f}" for value in (one.server_us, one.postgres_us, one.subscribers_us)),
    ]


def _consumption(results: Results) -> list[str]:
    if not results.consumption:
        return []
    text = (
        "Events a second that the consumers of one group take and acknowledge, on a log that\n"
        "is full before they begin: median of the rounds with the lowest and the highest, and\n"
        "the CPU time of one event."
    )
    header = ["", "consumers", "events/s", "clients us", "server us", "PostgreSQL us"]
    rows = [
        [
            one.order,
            str(one.consumers),
            f"{one.rate:,.0f} ({one.rate_lowest:,.0f} to {one.rate_highest:,.0f})",
            *(f"{value:,.1f}" for value in (one.client_us, one.server_us, one.postgres_us)),
        ]
        for one in results.consumption
    ]
    return ["## Consumer groups", text, table(header, rows)]


def _stalled(results: Results) -> list[str]:
    if not results.stalled:
        return []
    text = (
        "Resident memory of the server's process before so many subscribers began and stopped\n"
        "reading, and by how much it had grown when so much was appended since, and as much\n"
        "again. `history`: they stopped after their first frame; `live`: after they had caught\n"
        "up. Each row has a server of its own, which had appended and sent as much before."
    )
    header = ["", "subscribers", "before, MiB", "grown, MiB", "each, MiB", "appended, MiB"]
    header += ["grown after twice as much, MiB"]
    rows = [
        [
            one.where,
            str(one.subscribers),
            digits(one.before_mib),
            digits(one.grown_mib),
            digits(one.grown_mib / one.subscribers),
            digits(one.appended_mib),
            digits(one.grown_twice_mib),
        ]
        for one in results.stalled
    ]
    return ["## Memory for subscribers that do not read", text, table(header, rows)]
