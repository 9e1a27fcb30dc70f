"""Goal: `given().when().then()` passes what is right, and explains what is not.

Method: decisions on an account, with Python handlers and with a fold document.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eventfold import Event, RecordedEvent, VersionConflict
from eventfold.testing import given

OPENED = Event("AccountOpened", {"owner": "u-1"})


class NotEnough(Exception):
    pass


def deposited(amount: Any) -> Event:
    return Event("MoneyDeposited", {"amount": amount})


def withdraw(amount: Any) -> Any:
    def decide(state: dict[str, Any]) -> list[Event]:
        if state["balance"] < amount:
            raise NotEnough(f"{state['balance']} is less than {amount}")
        return [Event("MoneyWithdrawn", {"amount": amount, "by": {"owner": state["owner"]}})]

    return decide


def opened(state: dict[str, Any], event: RecordedEvent) -> dict[str, Any]:
    return {**state, "owner": event.data["owner"], "balance": Decimal(0)}


def add(state: dict[str, Any], event: RecordedEvent) -> dict[str, Any]:
    state["balance"] += event.data["amount"]
    return state


HANDLERS: Any = {"AccountOpened": opened, "MoneyDeposited": add}
FOLD = {
    "fold": "account",
    "initial": {"balance": 0},
    "handlers": {
        "AccountOpened": {"owner": "event.owner"},
        "MoneyDeposited": {"balance": "state.balance + event.amount"},
    },
}


def test_the_events_that_were_expected() -> None:
    account = given([OPENED, deposited(Decimal("10.50")), Event("Unknown")], handlers=HANDLERS)
    assert account.version == 3
    assert account.state == {"owner": "u-1", "balance": Decimal("10.50")}
    wanted = Event("MoneyWithdrawn", {"by": {"owner": "u-1"}, "amount": Decimal("7.0")})
    account.when(withdraw(7)).then([wanted])
    account.when(withdraw(7)).then(wanted)


def test_the_error_that_was_expected() -> None:
    outcome = given([OPENED, deposited(5)], handlers=HANDLERS).when(withdraw(7))
    outcome.then(NotEnough)
    outcome.then(NotEnough("5 is less than 7"))
    with pytest.raises(AssertionError, match="expected to raise NotEnough"):
        outcome.then(NotEnough("another text"))
    with pytest.raises(AssertionError, match="expected to raise VersionConflict") as caught:
        outcome.then(VersionConflict)
    assert isinstance(caught.value.__cause__, NotEnough)


def test_nothing() -> None:
    given(handlers={}).when(lambda _: []).then()
    given(handlers={}, initial=7).when(lambda state: [Event("A", {"n": state})]).then(
        [Event("A", {"n": 7})]
    )


def test_a_difference_is_shown_line_by_line() -> None:
    outcome = given([OPENED, deposited(10)], handlers=HANDLERS).when(withdraw(7))
    with pytest.raises(AssertionError) as caught:
        outcome.then([Event("MoneyWithdrawn", {"amount": 8, "by": {"owner": "u-1"}})])
    text = str(caught.value)
    assert "- expected, + returned" in text
    assert "-     data: {'amount': 8, 'by': {'owner': 'u-1'}}" in text
    assert "+     data: {'amount': 7, 'by': {'owner': 'u-1'}}" in text
    with pytest.raises(AssertionError, match="returned 1 events, 2 were expected"):
        outcome.then([OPENED, OPENED])


def test_an_error_where_events_were_expected_is_the_cause() -> None:
    outcome = given([OPENED], handlers=HANDLERS).when(withdraw(7))
    with pytest.raises(AssertionError, match="raised NotEnough") as caught:
        outcome.then([])
    assert isinstance(caught.value.__cause__, NotEnough)


def test_events_where_an_error_was_expected_are_shown() -> None:
    outcome = given([OPENED, deposited(10)], handlers=HANDLERS).when(withdraw(7))
    with pytest.raises(AssertionError, match="MoneyWithdrawn"):
        outcome.then(NotEnough)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Event("A"), Event("B")),
        (Event("A", {"x": 1}), Event("A", {"x": True})),
        (Event("A", {"x": [1]}), Event("A", {"x": [1, 2]})),
        (Event("A", tags=["x"]), Event("A")),
        (Event("A", metadata={"m": 1}), Event("A")),
        (Event("A", occurred_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), Event("A")),
    ],
)
def test_what_differs(wanted: Event, found: Event) -> None:
    outcome = given(handlers={}).when(lambda _: [found])
    with pytest.raises(AssertionError):
        outcome.then([wanted])


def test_what_does_not_differ() -> None:
    found = Event(
        "A", {"x": 1.50, "y": None}, tags=["b", "a", "b"], occurred_at=dt.datetime.now(dt.UTC)
    )
    wanted = Event("A", {"y": None, "x": Decimal("1.5")}, tags=["a", "b"])
    given(handlers={}).when(lambda _: [found]).then([wanted])


def test_a_decision_cannot_change_the_state() -> None:
    account = given([OPENED], handlers=HANDLERS)

    def decide(state: dict[str, Any]) -> list[Event]:
        state.clear()
        return []

    account.when(decide).then()
    assert account.state["owner"] == "u-1"


def test_misuse() -> None:
    with pytest.raises(TypeError, match="either"):
        given()
    with pytest.raises(TypeError, match="either"):
        given(fold={}, handlers={})

    async def decide(_: Any) -> list[Event]:
        return []

    wrong: Any = decide
    with pytest.raises(TypeError, match="coroutine"):
        given(handlers={}).when(wrong)
    nothing: Any = lambda _: None  # noqa: E731
    with pytest.raises(TypeError, match="must return events"):
        given(handlers={}).when(nothing)


def test_a_generator_may_decide() -> None:
    def decide(_: Any) -> Any:
        yield Event("A")
        raise NotEnough

    given(handlers={}).when(decide).then(NotEnough)


def test_a_name_is_no_fold_without_a_server() -> None:
    with pytest.raises(TypeError, match="account"):
        given(fold="account")


def test_with_a_fold_document(tmp_path: Path) -> None:
    path = tmp_path / "account.fold.yaml"
    path.write_text(
        "fold: account\ninitial: {balance: 0}\nhandlers:\n"
        "  AccountOpened:\n    owner: event.owner\n"
        "  MoneyDeposited:\n    balance: state.balance + event.amount\n"
    )
    for fold in (FOLD, path, str(path)):
        account = given([OPENED, deposited(Decimal("0.1")), deposited(Decimal("0.2"))], fold=fold)
        assert account.state == {"owner": "u-1", "balance": Decimal("0.3")}
        account.when(withdraw(1)).then(NotEnough)


def test_the_errors_of_a_fold_are_those_of_the_server() -> None:
    from eventfold import FoldFailed, InvalidFold

    with pytest.raises(InvalidFold):
        given(fold={"fold": "x", "initial": {}, "handlers": {"A": {"n": "1 +"}}})
    with pytest.raises(FoldFailed) as caught:
        given(
            [Event("A")],
            fold={"fold": "x", "initial": {}, "handlers": {"A": {"n": "event.missing"}}},
            stream="x-7",
        )
    assert (caught.value.stream, caught.value.version) == ("x-7", 1)
