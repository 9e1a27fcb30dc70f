"""The part of a report that tells of projections."""

from __future__ import annotations

from figures import Asked, Rebuilt, Results, Visible
from pages import digits, factor, table


def blocks(results: Results) -> list[str]:
    """Titles, texts and tables of what was measured."""
    return [*_rebuilt(results), *_visible(results), *_asked(results)]


def _rebuilt(results: Results) -> list[str]:
    if not results.rebuilt:
        return []
    text = (
        "Events a second until a table has the whole log: median of the rounds, in turn, with\n"
        "the lowest and the highest; CPU time of one event. Both tables were equal byte for\n"
        "byte. The last column is the ratio of the medians in the same run."
    )
    header = ["", "by", "rows", "events", "events/s", "Python us", "servers us", "PostgreSQL us"]
    header += ["ratio"]
    rows = [_rebuild(one, results.rebuilt) for one in results.rebuilt]
    return ["## Rebuilds", text, table(header, rows)]


def _rebuild(one: Rebuilt, every: list[Rebuilt]) -> list[str]:
    others = [
        other
        for other in every
        if (other.document, other.during) == (one.document, one.during) and other is not one
    ]
    # Of the one that is ours: the Python program has no time of a server.
    ratio = factor(one.rate / others[0].rate) if others and one.server_us else ""
    return [
        one.document if one.during == "quiet" else f"{one.document}, {one.during}",
        one.candidate,
        f"{one.rows:,}" if one.rows else "",
        f"{one.events:,}",
        f"{one.rate:,.0f} ({one.rate_lowest:,.0f} to {one.rate_highest:,.0f})",
        *(digits(value) for value in (one.client_us, one.server_us, one.postgres_us)),
        ratio,
    ]


def _visible(results: Results) -> list[str]:
    if not results.visible:
        return []
    text = (
        "One event is appended, then a query that waits for its position; a pause of 5 to 15 ms\n"
        "follows. Milliseconds until the query has returned the row, from the answer of the\n"
        "append and from its call; in brackets the lowest and the highest median of a round."
    )
    header = ["asked through", "appends", "p50", "p99", "from the call p50", "from the call p99"]
    return ["## From an append to its row", text, table(header, map(_seen, results.visible))]


def _seen(one: Visible) -> list[str]:
    return [
        one.through,
        f"{one.appends:,}",
        f"{digits(one.p50_ms)} ({digits(one.lowest_ms)} to {digits(one.highest_ms)})",
        *(digits(value) for value in (one.p99_ms, one.whole_p50_ms, one.whole_p99_ms)),
    ]


def _asked(results: Results) -> list[str]:
    if not results.asked:
        return []
    text = (
        "Milliseconds of one query of one caller, by gRPC in Python; in brackets the lowest and\n"
        "the highest median of a round. Those during a rebuild have two callers, and two writers\n"
        "of 10 events an append beside them."
    )
    header = ["", "queries", "p50", "p99"]
    return ["## Queries", text, table(header, map(_question, results.asked))]


def _question(one: Asked) -> list[str]:
    spread = f"({digits(one.lowest_ms)} to {digits(one.highest_ms)})"
    return [one.kind, f"{one.queries:,}", f"{digits(one.p50_ms)} {spread}", digits(one.p99_ms)]
