"""Markdown of the reports: numbers, tables, lines of bounded width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def digits(value: float) -> str:
    """Three digits, or a whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def factor(value: float) -> str:
    """How many times as fast."""
    return f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; the first column is text, the others are numbers."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def wrapped(lines: Iterable[str], width: int = 98) -> Iterable[str]:
    """The same lines, none wider than that unless by one word."""
    for line in lines:
        row = ""
        for word in line.split(" "):
            if row and len(row) + 1 + len(word) > width:
                yield row
                row = word
            else:
                row = f"{row} {word}" if row else word
        yield row
