"""What a transform came to, as its row keeps it: JSON of counts, examples, failures and states."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    TRANSFORM_EXAMPLE_BYTES_MAX,
    TRANSFORM_EXAMPLE_COPIES_MAX,
    TRANSFORM_EXAMPLES_MAX,
    TRANSFORM_FAILURES_MAX,
)
from eventfold_server.storage.stored_errors import restored, stored

# Of a `TransformCount`, as the core and the proto have them.
COUNTED = (
    "read", "written", "renamed", "split", "dropped", "dropped_cancellations", "deleted"
)  # fmt: skip


class Counts:
    """Events by type, and what became of them: for each type the numbers of `COUNTED`."""

    def __init__(self, kept: dict[str, list[int]] | None = None) -> None:
        self._of = kept or {}

    @classmethod
    def restored(cls, text: str) -> Self:
        """As the row keeps it."""
        return cls(json.loads(text))

    def with_more(self, found: Iterable[_core.TransformCount]) -> "Counts":
        """These and more of them."""
        summed = dict(self._of)
        for one in found:
            before = summed.get(one.event_type, [0] * len(COUNTED))
            summed[one.event_type] = [
                number + getattr(one, name) for number, name in zip(before, COUNTED, strict=True)
            ]
        return Counts(summed)

    def rows(self) -> list[tuple[str, list[int]]]:
        """All of them, in byte order of types."""
        return sorted(self._of.items())

    def total(self, name: str) -> int:
        """One number of all types together."""
        index = COUNTED.index(name)
        return sum(numbers[index] for numbers in self._of.values())

    def kept(self) -> dict[str, list[int]]:
        """As JSON has it."""
        return self._of

    def text(self) -> str:
        """As the row keeps it."""
        return json.dumps(self._of)


@dataclass(frozen=True)
class Example:
    """What the document makes of one event."""

    stream: str
    version: int
    event_id: str
    type: str
    # JSON; empty: it is too long, or was deleted.
    data: str
    # Stream, type, and data of its copies.
    copies: list[list[str]]


@dataclass
class Trial:
    """What trying a document on the events that are there came to."""

    to: int = 0
    counts: Counts = field(default_factory=Counts)
    examples: list[Example] = field(default_factory=list)
    failures: list[Refusal] = field(default_factory=list)
    failures_count: int = 0

    @classmethod
    def restored(cls, text: str) -> Self:
        """As the row keeps it; `{}`: nothing was tried."""
        kept: dict[str, Any] = json.loads(text)
        if not kept:
            return cls()
        return cls(
            kept["to"],
            Counts(kept["counts"]),
            [Example(**one) for one in kept["examples"]],
            [restored(json.dumps(one)) for one in kept["failures"]],
            kept["failures_count"],
        )

    def fail(self, failure: Refusal) -> None:
        """Notes a failure."""
        self.failures_count += 1
        if len(self.failures) < TRANSFORM_FAILURES_MAX:
            self.failures.append(failure)

    def show(self, example: _core.TransformExample) -> None:
        """Notes an example, if it is the first of its type."""
        known = {one.type for one in self.examples}
        if example.event_type in known or len(known) == TRANSFORM_EXAMPLES_MAX:
            return
        copies = [[stream, type_, _short(data)] for stream, type_, _, data, _, _ in example.copies]
        self.examples.append(
            Example(
                example.stream,
                example.version,
                example.event_id,
                example.event_type,
                _short(example.data),
                copies[:TRANSFORM_EXAMPLE_COPIES_MAX],
            )
        )

    def text(self) -> str:
        """As the row keeps it."""
        return json.dumps(
            {
                "to": self.to,
                "counts": self.counts.kept(),
                "examples": [vars(one) for one in self.examples],
                "failures": [json.loads(stored(one)) for one in self.failures],
                "failures_count": self.failures_count,
            }
        )


@dataclass
class States:
    """What comparing states came to."""

    compared: int = 0
    differing: int = 0
    # The first sources of those that differ.
    streams: list[str] = field(default_factory=list)

    @classmethod
    def restored(cls, text: str | None) -> Self:
        """As the row keeps it; None: none were compared."""
        return cls() if text is None else cls(**json.loads(text))

    def text(self) -> str:
        """As the row keeps it."""
        return json.dumps(vars(self))


def _short(data: bytes) -> str:
    """Data, if it is short. The core refuses NUL in it, which PostgreSQL could not keep."""
    return data.decode() if len(data) <= TRANSFORM_EXAMPLE_BYTES_MAX else ""
