"""Goal: no two withdrawals are decided on the same balance.

Method: the rules alone with `given`, without a server; the race on a real one.
"""

from __future__ import annotations

import threading
from decimal import Decimal

import bank
import pytest
from account import FOLD, Refused, deposit, open_account, withdraw

from eventfold import Client, Event
from eventfold.testing import given

OPENED = Event("AccountOpened", {"owner": "u-1"})
HUNDRED = Event("MoneyDeposited", {"amount": Decimal("100.00")})


def withdrawn(amount: str) -> Event:
    return Event("MoneyWithdrawn", {"amount": Decimal(amount)})


def test_a_withdrawal_within_the_balance() -> None:
    given([OPENED, HUNDRED], fold=FOLD).when(withdraw(Decimal("99.99"))).then([withdrawn("99.99")])


def test_the_whole_balance_and_not_a_cent_more() -> None:
    cents = [Event("MoneyDeposited", {"amount": Decimal("0.1")}) for _ in range(3)]
    given([OPENED, *cents], fold=FOLD).when(withdraw(Decimal("0.3"))).then([withdrawn("0.3")])
    given([OPENED, *cents], fold=FOLD).when(withdraw(Decimal("0.31"))).then(Refused)


@pytest.mark.parametrize("decide", [deposit(Decimal(1)), withdraw(Decimal(1))])
def test_an_account_that_is_not_open_refuses(decide: bank.Decision) -> None:
    given([], fold=FOLD).when(decide).then(Refused)
    given([OPENED, HUNDRED, Event("AccountClosed")], fold=FOLD).when(decide).then(Refused)


def test_an_amount_is_above_zero() -> None:
    given([OPENED, HUNDRED], fold=FOLD).when(withdraw(Decimal(0))).then(Refused)
    given([OPENED], fold=FOLD).when(deposit(Decimal(-1))).then(Refused)


def test_an_account_is_opened_once() -> None:
    given([], fold=FOLD).when(open_account("u-1")).then([OPENED])
    given([OPENED], fold=FOLD).when(open_account("u-2")).then([])


@pytest.mark.parametrize(
    ("amount", "succeed", "left"),
    [("30.00", 2, "40"), ("80.00", 1, "20"), ("100.01", 0, "100")],
)
def test_two_writers_race(store: Client, amount: str, succeed: int, left: str) -> None:
    bank.act(store, "1", open_account("u-1"))
    bank.act(store, "1", deposit(Decimal("100.00")))
    succeeded, decisions = bank.race(store, "1", Decimal(amount), lambda _: None)
    assert succeeded == succeed
    # One was refused for its version and decided again, unless both had nothing to append.
    assert decisions == (3 if succeed else 2)
    assert bank.balance(store, "1") == Decimal(left)
    assert store.get_stream("account-1").version == 2 + succeed


def test_many_writers_never_overdraw(store: Client) -> None:
    bank.act(store, "1", open_account("u-1"))
    bank.act(store, "1", deposit(Decimal(5)))
    results: list[bool] = []

    def take() -> None:
        try:
            store.retry("account", "1", withdraw(Decimal(1)), fold=FOLD, attempts=100)
        except Refused:
            results.append(False)
        else:
            results.append(True)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 3 + [True] * 5
    assert bank.balance(store, "1") == 0


def test_the_example_tells_what_happened(store: Client) -> None:
    told: list[str] = []
    bank.run(store, told.append)
    text = "\n".join(told)
    assert "decides again: sees a balance of 70" in text
    assert "2 of 2 succeeded after 3 decisions; the balance is 40" in text
    assert "MoneyWithdrawn" in text
