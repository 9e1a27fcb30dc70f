"""The part of a report that tells of event types."""

from __future__ import annotations

from figures import Results
from pages import digits, table


def blocks(results: Results) -> list[str]:
    """Titles, texts and tables of what was measured."""
    if not results.tried:
        return []
    text = (
        "Done once, on the store with rules. A schema or a mapping is tried on all stored events\n"
        "of its type before it is in force; event types are counted in pieces, and once."
    )
    rows = [
        [one.what, f"{one.events:,}", digits(one.seconds), f"{one.events / one.seconds:,.0f}"]
        for one in results.tried
    ]
    return ["## All stored events", text, table(["", "events", "seconds", "events/s"], rows)]
