"""Goal: what folds in the client keeps to lines of periods as the server does.

Method: a server; local folds, Python handlers and decisions that are tried again, over lines of
periods that end while they are at it; reads that break off in the middle of a line.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.closing import Books, account, deposited

import eventfold
from eventfold import AsyncClient, Event, Fold, RecordedEvent
from eventfold._cursor import Cursor
from eventfold.v1 import event_store_pb2, follow_pb2

ACCOUNT = account()
LOCAL = Fold.load(ACCOUNT)


def add(state: Any, event: RecordedEvent) -> Any:
    return {"balance": state["balance"] + event.data["amount"]}


def start(_: Any, event: RecordedEvent) -> Any:
    [carried] = [one["state"] for one in event.data["states"] if one["fold"] == "account"]
    return {"balance": carried["balance"]}


def test_local_folds_start_from_what_is_carried(books: Books) -> None:
    books.deposit(1, 2)
    books.close(ACCOUNT)
    books.deposit(3)
    found = LOCAL.apply(None, books.store.read(books.open))
    assert found.state_json == books.hydrate(ACCOUNT).state_json
    for fold, problem in ((account(factor=2), "other_digest"), (account("b"), "not_carried")):
        with pytest.raises(eventfold.StateNotCarried) as refused:
            Fold.load(fold).apply(None, books.store.read(books.open))
        assert refused.value.problem == problem
        assert refused.value.predecessor == books.name
    accepting = Fold.load(account(factor=2, accepts=[LOCAL.digest]))
    assert accepting.apply(None, books.store.read(books.open)).state["balance"] == 9


def test_local_folds_go_through_all_periods(books: Books) -> None:
    for amount in (1, 2, 3):
        books.deposit(amount)
        books.close(ACCOUNT)
    for fold in (ACCOUNT, account(factor=2), account("b")):
        through = books.hydrate(fold, follow="all")
        found = Fold.load(fold).apply(None, books.store.read(books.name, follow="all"))
        assert (found.state_json, found.version, found.events_read) == (
            through.state_json,
            through.version,
            through.events_read,
        )
    # A state goes on from before the stream, whatever that carries.
    before = books.hydrate(ACCOUNT, books.streams[1]).state
    found = Fold.load(account("b")).apply(before, books.store.read(books.streams[2]))
    assert found.state["balance"] == 6
    with pytest.raises(eventfold.InvalidValue):
        LOCAL.apply(None, [*books.store.read(books.name), *books.store.read(books.name + "@2")][1:])


def test_python_handlers_never_start_empty(books: Books) -> None:
    books.deposit(1, 2)
    books.close(ACCOUNT, opening_type="Initialized")
    books.deposit(3)
    category, id_ = books.open.split("-", 1)
    store, initial = books.store, {"balance": 0}
    with pytest.raises(eventfold.StateNotCarried) as refused:
        store.read_aggregate(category, id_, initial, {"Deposited": add})
    assert (refused.value.stream, refused.value.predecessor) == (books.open, books.name)
    with pytest.raises(eventfold.StateNotCarried):
        store.read_aggregate(category, id_, initial, {"Deposited": add, "$Opened": start})
    # More types than a read can filter by.
    many = {f"T{n}": add for n in range(101)} | {"Deposited": add}
    with pytest.raises(eventfold.StateNotCarried):
        store.read_aggregate(category, id_, initial, many)
    handlers = {"Deposited": add, "Initialized": start}
    assert store.read_aggregate(category, id_, initial, handlers) == ({"balance": 6}, 2)
    through = store.read_aggregate(category, id_, initial, {"Deposited": add}, follow="all")
    assert through == ({"balance": 6}, 2)
    old = books.name.split("-", 1)
    assert store.read_aggregate(*old, initial, {"Deposited": add}) == ({"balance": 3}, 3)
    assert store.read_aggregate(category, id_, {"balance": 3}, {"Deposited": add}, 2) == (
        {"balance": 6},
        2,
    )


@pytest.mark.parametrize("how", ["fold", "handlers", "follow"])
def test_a_decision_is_made_again_on_the_open_books(books: Books, how: str) -> None:
    books.deposit(5)
    seen = []

    def decide(state: Any) -> list[Event]:
        seen.append(state["balance"])
        if len(seen) in (1, 2):
            # Somebody closes the books, twice, while the decision is made.
            books.deposit(1)
            books.close(ACCOUNT)
        return [deposited(-state["balance"])]

    category, id_ = books.name.split("-", 1)
    more: dict[str, Any] = {
        "fold": {"fold": ACCOUNT},
        "handlers": {
            "handlers": {"Deposited": add, "$Opened": start},
            "initial": {"balance": 0},
        },
        "follow": {"handlers": {"Deposited": add}, "initial": {"balance": 0}, "follow": "all"},
    }[how]
    stored = books.store.retry(category, id_, decide, **more)
    assert stored is not None
    assert seen == [5, 6, 7]
    assert books.hydrate(ACCOUNT).state["balance"] == 0
    assert stored.first_version == 2
    books.store.close_stream(books.open, successor=None)
    with pytest.raises(eventfold.StreamClosed):
        books.store.retry(category, id_, lambda _: [deposited(1)], **more)


def test_nothing_is_decided_on_books_that_are_closed(books: Books) -> None:
    books.deposit(40)
    books.close(ACCOUNT)
    books.deposit(60)
    seen = []

    def refuse(state: Any) -> list[Event]:
        seen.append(state["balance"])
        raise ValueError("too much")

    category, id_ = books.name.split("-", 1)
    handlers: dict[str, Any] = {"Deposited": add, "$Opened": start}
    for more in ({"fold": ACCOUNT}, {"handlers": handlers, "initial": {"balance": 0}}):
        # No append would tell that the books are closed.
        with pytest.raises(ValueError, match="too much"):
            books.store.retry(category, id_, refuse, **more)
        assert books.store.retry(category, id_, lambda s: seen.append(s["balance"]) or [],
                                 **more) is None  # fmt: skip
    assert seen == [100] * 4


async def test_the_asynchronous_client_does_the_same(books: Books, closing_address: str) -> None:
    books.deposit(1)
    async with AsyncClient(closing_address) as store:
        closed = await store.close_stream(
            books.name, successor=books.name + "@1", folds=[ACCOUNT], expected_version=1
        )
        found = await store.hydrate_stream(books.name, fold=ACCOUNT, follow="open")
        assert (found.stream, found.state["balance"]) == (closed.successor, 1)
        assert len(await store.read(books.name, follow="all").to_list()) == 3


def test_a_read_that_breaks_off_goes_on_in_the_line() -> None:
    request = event_store_pb2.ReadRequest(stream="account-1", follow=follow_pb2.FOLLOW_ALL)
    cursor = Cursor(request)
    assert cursor.request() == request
    for follow, then in (
        (follow_pb2.FOLLOW_ALL, follow_pb2.FOLLOW_ALL),
        (follow_pb2.FOLLOW_OPEN, follow_pb2.FOLLOW_UNSPECIFIED),
    ):
        request = event_store_pb2.ReadRequest(stream="account-1", follow=follow)
        cursor = Cursor(request)
        message = event_store_pb2.ReadResponse()
        message.events.add(id="00000000-0000-4000-8000-000000000001", stream="account-1@1",
                           version=3, data=b"{}")  # fmt: skip
        cursor.accept(eventfold._events.event_page(message.SerializeToString(), "decimal"))
        again = cursor.request()
        assert (again.stream, again.from_version, again.follow) == ("account-1@1", 3, then)
        assert cursor.stream == "account-1@1"
