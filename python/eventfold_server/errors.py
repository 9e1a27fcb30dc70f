"""The one way in which the server refuses: a reason of the catalogue with its facts."""

from typing import Any, Self


class Refusal(Exception):
    """A call is refused; becomes a gRPC status at the edge (`status.py`).

    `reason` is a name of `ErrorReason` without its prefix. Facts are what the catalogue names for
    the reason; they never hold payload values. Facts that are None are left out.
    """

    def __init__(self, reason: str, message: str, **facts: object) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.facts = {name: str(fact) for name, fact in facts.items() if fact is not None}

    @classmethod
    def of_core(cls, error: Any) -> Self:
        """The refusal that a `CoreError` of the Rust core stands for."""
        refusal = cls(error.reason, error.message)
        refusal.facts = dict(error.facts)
        return refusal
