"""Accounts whose books are closed."""

from __future__ import annotations

from typing import Any

import eventfold
from eventfold import Client, Event

KINDS = ("Deposited", "Withdrawn", "Emptied")


def account(name: str = "account", *, factor: int = 1, **more: Any) -> dict[str, Any]:
    """A fold of an account; another factor is another version of it."""
    return {
        "fold": name,
        "initial": {"balance": 0, "by": {}},
        "handlers": {
            "Deposited": {
                "balance": f"state.balance + event.amount * {factor}",
                "by[event.by]": "event.amount",
            },
            "Withdrawn": {"balance": f"state.balance - event.amount * {factor}"},
            "Emptied": "delete",
        },
        **more,
    }


def deposited(amount: int, by: str = "me") -> Event:
    """Money that came in."""
    return Event("Deposited", {"amount": amount, "by": by})


class Books:
    """A line of periods."""

    def __init__(self, store: Client, name: str) -> None:
        self.store = store
        self.name = name
        # The streams, in order.
        self.streams = [name]

    @property
    def category(self) -> str:
        """The category of all its streams."""
        return self.name.partition("-")[0]

    @property
    def open(self) -> str:
        """The stream that takes events."""
        return self.streams[-1]

    def deposit(self, *amounts: int) -> None:
        """Deposits into the open stream."""
        events = [deposited(amount) for amount in amounts]
        self.store.append(self.open, events, expected_version=eventfold.ANY)

    def close(self, *folds: Any, **more: Any) -> eventfold.ClosedStream:
        """Closes the open stream and begins the next one."""
        successor = f"{self.name}@{len(self.streams)}"
        closed = self.store.close_stream(self.open, successor=successor, folds=folds, **more)
        self.streams.append(successor)
        return closed

    def hydrate(self, fold: Any, stream: str | None = None, **more: Any) -> eventfold.Hydrated:
        """The state of the open stream, or of another one."""
        return self.store.hydrate_stream(stream or self.open, fold=fold, **more)
