"""Goal: a type checker helps users: it infers what comes back, and refuses likely mistakes.

Method: mypy over one program; each line that must be refused says with which code.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_type

import eventfold
from eventfold import Event, Handlers, RecordedEvent
from eventfold.testing import given


@dataclass
class Account:
    balance: Decimal = Decimal(0)


def deposited(account: Account, event: RecordedEvent) -> Account:
    return Account(account.balance + event.data["amount"])


def decide(account: Account) -> list[Event]:
    return [Event("Checked", {"balance": account.balance})]


handlers: Handlers[Account] = {"MoneyDeposited": deposited}


def sync(store: eventfold.Client) -> None:
    store.append("a-1", [Event("A", {"x": 1})], expected_version=eventfold.EXISTS)
    many_appends = [("a-1", [Event("A")], 0), eventfold.StreamAppend("a-2", [Event("A")], 7)]
    results = store.append_many(many_appends, checks={"a-3": eventfold.EXISTS})
    assert_type(results, tuple[eventfold.AppendResult, ...])
    for result in store.append_batch(many_appends):
        assert_type(result, eventfold.AppendResult)
    for outcome in store.append_batch(many_appends, return_errors=True):
        assert_type(outcome, eventfold.AppendResult | eventfold.EventfoldError)
    store.append_many([("a-1", [Event("A")])])  # refused: list-item
    state, version = store.read_aggregate("a", "1", Account(), handlers)
    assert_type(state, Account)
    assert_type(version, int)
    assert_type(store.retry("a", "1", decide, handlers=handlers), eventfold.AppendResult | None)
    for event in store.read("a-1"):
        assert_type(event, RecordedEvent)
    assert_type(Event("A").id, str)
    try:
        store.emit_events("a", "1", [Event("A")], version)
    except eventfold.VersionConflict as conflict:
        assert_type(conflict.actual, int)
    hydrated = store.hydrate("a", "1", fold="a", into=Account)
    assert_type(hydrated.state, Account)
    assert_type(store.hydrate("a", "1", fold="a"), eventfold.Hydrated)
    many = store.hydrate_many(["a-1"], fold="a", into=Account)
    assert_type(many["a-1"].state.balance, Decimal)
    for past in store.hydrate_history("a", "1", fold="a", into=Account):
        assert_type(past.state, Account)
    for explained in store.explain("a", "1", fold="a"):
        assert_type(explained.changes, tuple[eventfold.StateChange, ...])
    fold = eventfold.Fold.load("a.yaml")
    assert_type(fold.apply(hydrated, [Event("A")], into=Account).state, Account)
    plain: eventfold.Hydrated = fold.apply(None, store.read("a-1"))
    store.put_fold(fold)
    for row in store.query_projection("p", "n > 1", order=["-n"], into=Account):
        assert_type(row.columns.balance, Decimal)
    page = store.query_projection_page("p", into=Account)
    assert_type(page.rows[0].columns, Account)
    plain_row: eventfold.ProjectionRow = store.query_projection_page("p").rows[0]
    assert_type(store.try_projection({}, into=Account).rows[0].columns, Account)
    assert_type(store.wait_projection("p"), eventfold.Generation)
    with store.watch("a-1", fold="a", into=Account) as states:
        for now in states:
            assert_type(now.state, Account)
    given([Event("A")], handlers=handlers).when(decide).then(eventfold.VersionConflict)

    store.put_projection({}, switch="now")  # refused: arg-type
    store.query_projection("p", into=Account())  # refused: call-overload
    store.append("a-1", [Event("A")])  # refused: call-arg
    store.append("a-1", [Event("A")], expected_version="0")  # refused: arg-type
    store.append("a-1", ["A"], expected_version=0)  # refused: list-item
    store.hydrate("a", "1")  # refused: call-overload
    store.hydrate("a", "1", fold="a", into=Account())  # refused: call-overload
    store.read("a-1", direction="up")  # refused: arg-type
    store.read_aggregate("a", "1", 7, handlers)  # refused: arg-type
    Event("A", 7)  # refused: arg-type
    eventfold.Client("x", numbers="exact")  # refused: arg-type


async def asynchronous(store: eventfold.AsyncClient) -> None:
    assert_type(await store.read("a-1").to_list(), list[RecordedEvent])
    async for stream in store.list_streams():
        assert_type(stream, eventfold.StreamInfo)

    async for result in store.append_batch([("a-1", [Event("A")], 0)]):
        assert_type(result, eventfold.AppendResult)

    async def slowly(account: Account) -> list[Event]:
        return decide(account)

    await store.retry("a", "1", slowly, fold="a")
    assert_type((await store.hydrate("a", "1", fold="a", into=Account)).state, Account)
    async for past in store.hydrate_history("a", "1", fold="a", into=Account):
        assert_type(past.state, Account)
    async for row in store.query_projection("p", into=Account):
        assert_type(row.columns, Account)
    assert_type((await store.query_projection_page("p", into=Account)).rows[0].columns, Account)
    async for now in store.watch("a-1", fold="a", into=Account):
        assert_type(now.state, Account)
    store.append("a-1", [Event("A")], expected_version=0)  # refused: unused-coroutine
"""


@pytest.mark.timeout(180)
def test_what_mypy_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MYPYPATH", "python")
    said, _, _ = api.run(["--strict", "--hide-error-context", str(path)])
    error = re.compile(r"program\.py:(\d+): error: .*\[([a-z-]+)\]$", re.MULTILINE)
    found = {(int(line), code) for line, code in error.findall(said)}
    wanted = {
        (number, line.rpartition("# refused: ")[2])
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if "# refused: " in line
    }
    assert found == wanted, said
