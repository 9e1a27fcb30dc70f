"""Goal: the fixtures give a fresh store in a moment, and the client works against a real server.

Method: the fixtures as users have them; every kind of call of the client once.
"""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import eventfold
from eventfold import Event
from eventfold.testing import StoreHost, StoreHostError

FOLD = """\
fold: account
initial: {balance: 0, open: false}
handlers:
  AccountOpened:
    holder: "event.holderId"
    open: true
  MoneyDeposited:
    balance: "state.balance + event.amount"
  MoneyWithdrawn:
    balance: "state.balance - event.amount"
"""


def deposited(state: dict[str, Any], event: eventfold.RecordedEvent) -> dict[str, Any]:
    return {**state, "balance": state.get("balance", 0) + event.data["amount"]}


HANDLERS: Any = {"MoneyDeposited": deposited}


def test_a_store_is_ready_in_under_a_second(eventfold_server: StoreHost) -> None:
    took = []
    for _ in range(5):
        begin = time.monotonic()
        with eventfold_server.store() as target, eventfold.Client(target) as store:
            assert list(store.read_all()) == []
            took.append(time.monotonic() - begin)
    # The quickest of a few: other work of the machine is no part of it.
    assert min(took) < 1


def test_stores_are_apart_and_dropped(eventfold_server: StoreHost) -> None:
    with eventfold_server.store() as one, eventfold_server.store() as two:
        with eventfold.Client(one) as store:
            store.append("a-1", [Event("A")], expected_version=0)
        with eventfold.Client(two) as store:
            assert store.get_stream("a-1").version == 0
    with eventfold.Client(one, timeout=1) as store, pytest.raises(eventfold.ConnectionFailed):
        store.get_stream("a-1")


def test_a_host_that_cannot_start_says_why() -> None:
    with (
        StoreHost("postgresql://nobody@127.0.0.1:1/none") as host,
        pytest.raises(StoreHostError, match="PostgreSQL"),
        host.store(),
    ):
        pass


def test_a_host_that_ended_says_so() -> None:
    host = StoreHost()
    host.close()
    host.close()
    with pytest.raises(StoreHostError, match="has ended"), host.store():
        pass


def test_the_log(store: eventfold.Client) -> None:
    events = [Event("A", {"n": n, "amount": Decimal("1.10")}, tags=["x"]) for n in range(5)]
    checked = store.check_append("a-1", events, expected_version=0)
    assert (checked.first_version, checked.last_version, checked.duplicate) == (1, 5, False)
    first = store.append("a-1", events, expected_version=0)
    again = store.append("a-1", events, expected_version=0)
    assert (again.duplicate, again.positions) == (True, first.positions)
    with pytest.raises(eventfold.VersionConflict) as caught:
        store.append("a-1", [Event("A")], expected_version=0)
    assert (caught.value.expected, caught.value.actual) == (0, 5)
    with pytest.raises(eventfold.VersionConflict) as caught:
        store.append("a-2", [Event("A")], expected_version=eventfold.EXISTS)
    assert caught.value.expected is eventfold.EXISTS
    store.append("b-1", [Event("B")], expected_version=eventfold.ANY)

    reader = store.read("a-1", from_version=2, limit=2)
    assert [event.version for event in reader] == [2, 3]
    assert not reader.end.end_reached
    backwards = [event.version for event in store.read("a-1", direction="backwards")]
    assert backwards == [5, 4, 3, 2, 1]
    whole = store.read_all()
    assert [event.position for event in whole] == [1, 2, 3, 4, 5, 6]
    store.append("b-1", [Event("B")], expected_version=1)
    rest = store.read_all(resume_token=whole.end.resume_token)
    assert [event.stream for event in rest] == ["b-1"]
    assert len(store.read_all(categories=["a"], tags=["x"]).to_list()) == 5

    event = store.get_event(events[0].id)
    assert event.data == {"n": 0, "amount": Decimal("1.10")}
    assert (event.writer, event.tags, event.version) == ("anonymous", ("x",), 1)
    assert event.occurred_at == event.recorded_at
    assert [stream.name for stream in store.list_streams(page_size=1)] == ["a-1", "b-1"]
    info = store.get_stream("a-1")
    assert (info.version, info.lifecycle) == (5, eventfold.Lifecycle.OPEN)
    with pytest.raises(eventfold.EventNotFound):
        store.get_event(Event("A").id)
    with pytest.raises(eventfold.StreamNotFound):
        store.read("never-1").to_list()
    with pytest.raises(eventfold.VersionAhead):
        store.read("a-1", from_version=7).to_list()
    with pytest.raises(eventfold.EmptyAppend):
        store.append("a-1", [], expected_version=5)


def test_aggregates(store: eventfold.Client, tmp_path: Path) -> None:
    path = tmp_path / "account.fold.yaml"
    path.write_text(FOLD)
    assert store.put_fold(str(path)).created
    assert not store.put_fold(path).created
    assert store.get_fold("account").source == FOLD
    assert [fold.name for fold in store.list_folds()] == ["account"]

    opened = Event(
        "AccountOpened", {"holderId": "u-1"}, occurred_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    )
    store.append("account-1234", [opened], expected_version=0)
    account, version = store.read_aggregate("account", "1234", {}, HANDLERS)
    assert (account, version) == ({}, 1)
    store.emit_events("account", "1234", [Event("MoneyDeposited", {"amount": Decimal("0.1")})], 1)
    store.emit_events("account", "1234", [Event("MoneyDeposited", {"amount": Decimal("0.2")})], 2)
    hydrated = store.hydrate("account", "1234", fold="account")
    assert hydrated.state == {"balance": Decimal("0.3"), "open": True, "holder": "u-1"}
    assert (hydrated.exists, hydrated.version, hydrated.events_folded) == (True, 3, 3)
    assert store.read_aggregate("account", "1234", {}, HANDLERS) == (
        {"balance": Decimal("0.3")},
        3,
    )
    early = store.hydrate("account", "1234", fold=path, version=2)
    assert early.state["balance"] == Decimal("0.1")
    then = dt.datetime(2020, 6, 1, tzinfo=dt.UTC)
    past = store.hydrate_stream("account-1234", fold="account", occurred_at=then)
    assert past.state["balance"] == 0
    never = store.hydrate("account", "new", fold="account")
    assert (never.exists, never.version, never.state) == (False, 0, {"balance": 0, "open": False})

    def withdraw(state: dict[str, Any]) -> list[Event]:
        if state["balance"] < Decimal("0.3"):
            return []
        return [Event("MoneyWithdrawn", {"amount": Decimal("0.3")})]

    done = store.retry("account", "1234", withdraw, fold="account")
    assert done is not None
    assert done.last_version == 4
    assert store.retry("account", "1234", withdraw, fold="account") is None
    with pytest.raises(eventfold.FoldNotFound):
        store.hydrate("account", "1234", fold="missing")
    with pytest.raises(eventfold.InvalidFold) as caught:
        store.put_fold("fold: x\ninitial: {}\nhandlers:\n  A:\n    n: '1 +'\n")
    assert caught.value.line


async def test_the_asynchronous_client(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:
        await store.append("a-1", [Event("A", {"n": n}) for n in range(3)], expected_version=0)
        assert [event.data["n"] async for event in store.read("a-1")] == [0, 1, 2]
        assert (await store.get_stream("a-1")).version == 3
        assert [stream.name async for stream in store.list_streams()] == ["a-1"]
