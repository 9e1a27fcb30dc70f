"""What an append expects of its stream."""

import enum
from typing import Literal, TypeAlias


class Expect(enum.Enum):
    """Expectations that are no exact version."""

    EXISTS = "exists"
    ANY = "any"

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"eventfold.{self.name}"


EXISTS: Literal[Expect.EXISTS] = Expect.EXISTS
"""The stream has at least one event."""

ANY: Literal[Expect.ANY] = Expect.ANY
"""The stream may be at any version: for facts that depend on no decision."""

ExpectedVersion: TypeAlias = int | Expect
"""An exact version (0: the stream has no event yet), `EXISTS` or `ANY`."""


def expected_from_fact(text: str | None) -> ExpectedVersion:
    """Reads the fact `expected` of VERSION_CONFLICT."""
    if text in ("exists", "any"):
        return Expect(text)
    return int(text) if text and text.isdecimal() else 0
