"""What an account decides: from its state to events, or a refusal. Needs no store to be tested."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from eventfold import Event

FOLD = Path(__file__).with_name("account.fold.yaml")
CATEGORY = "account"

Decision = Callable[[Any], list[Event]]


class Refused(Exception):
    """The rules of the bank forbid it."""


def open_account(owner: str) -> Decision:
    """Opens the account; one that is open stays as it is."""

    def decide(state: Any) -> list[Event]:
        return [] if state["open"] else [Event("AccountOpened", {"owner": owner})]

    return decide


def deposit(amount: Decimal) -> Decision:
    """Puts money in."""

    def decide(state: Any) -> list[Event]:
        _check(state, amount)
        return [Event("MoneyDeposited", {"amount": amount})]

    return decide


def withdraw(amount: Decimal) -> Decision:
    """Takes money out, if the balance allows it."""

    def decide(state: Any) -> list[Event]:
        _check(state, amount)
        if amount > state["balance"]:
            raise Refused(f"the balance is {state['balance']}, which is less than {amount}")
        return [Event("MoneyWithdrawn", {"amount": amount})]

    return decide


def _check(state: Any, amount: Decimal) -> None:
    if not state["open"]:
        raise Refused("the account is not open")
    if amount <= 0:
        raise Refused(f"an amount is above 0, not {amount}")
