"""Goal: a fold in this process is loaded from whatever there is, and folds as documented.

Method: one fold of an account; tests/integration/test_states_in_time.py compares with a server.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import eventfold
from eventfold import Event, Fold, RecordedEvent
from eventfold._fold import fold_document, fold_ref
from eventfold.v1 import event_store_pb2 as pb

SOURCE = """\
fold: account
initial: {balance: 0, seen: []}
handlers:
  MoneyDeposited:
    balance: "state.balance + event.amount"
    seen: "state.seen + [[meta.stream, meta.root, meta.version, meta.position, meta.tags]]"
  Closed: delete
"""


@dataclasses.dataclass
class Account:
    balance: Decimal
    seen: list[Any]


def deposited(amount: Any, **options: Any) -> Event:
    return Event("MoneyDeposited", {"amount": amount}, **options)


def recorded(version: int, amount: str = "1", stream: str = "account-1") -> RecordedEvent:
    return RecordedEvent(
        pb.RecordedEvent(
            id=f"00000000-0000-7000-8000-{version:012d}",
            stream=stream,
            type="MoneyDeposited",
            version=version,
            position=version * 10,
            data=f'{{"amount":{amount}}}'.encode(),
            metadata=b"{}",
        ).SerializeToString()
    )


@pytest.fixture
def fold() -> Fold:
    return Fold.load(SOURCE)


def test_a_fold_is_loaded_from_whatever_there_is(tmp_path: Path, fold: Fold) -> None:
    path = tmp_path / "account.fold"
    path.write_text(SOURCE)
    mapping = {
        "fold": "account",
        "initial": {"balance": 0, "seen": []},
        "handlers": {
            "MoneyDeposited": {
                "balance": "state.balance + event.amount",
                "seen": "state.seen + [[meta.stream, meta.root, meta.version, meta.position, "
                "meta.tags]]",
            },
            "Closed": "delete",
        },
    }
    for document in (path, str(path), mapping):
        assert Fold.load(document) == fold
    assert Fold(SOURCE) == fold
    assert fold.name == "account"
    assert len(fold.digest) == 64
    assert fold.event_types == ("MoneyDeposited", "Closed")
    assert fold.initial == {"balance": 0, "seen": []}
    assert fold.source == SOURCE
    assert pickle.loads(pickle.dumps(fold)) == fold
    assert len({fold, Fold(SOURCE)}) == 1
    assert repr(fold).startswith("<Fold account ")
    with pytest.raises(FileNotFoundError):
        Fold.load(tmp_path / "missing.yaml")
    with pytest.raises(eventfold.InvalidFold) as caught:
        Fold.load(SOURCE.replace(" + event.amount", " +"))
    assert caught.value.facts["line"] == "5"


def test_a_fold_stands_wherever_one_is_meant(fold: Fold) -> None:
    assert fold_ref(fold).source == SOURCE
    assert fold_document(fold) == SOURCE
    assert eventfold.testing.given([deposited(2)], fold=fold).state["balance"] == 2


def test_recorded_events(fold: Fold) -> None:
    events = [recorded(1, "0.10"), recorded(2, "0.2")]
    account = fold.apply(None, iter(events))
    assert account.state_json == (
        b'{"balance":0.3,"seen":[["account-1","account-1",1,10,[]],'
        b'["account-1","account-1",2,20,[]]]}'
    )
    assert (account.exists, account.version, account.position) == (True, 2, 20)
    assert (account.events_read, account.events_folded) == (2, 2)
    assert (account.fold_digest, account.kept_version) == (fold.digest, 0)
    rooted = fold.apply(None, events, root="account-0").state["seen"]
    assert rooted[0][1] == "account-0"


def test_going_on_from_a_state(fold: Fold) -> None:
    whole = fold.apply(None, [recorded(1), recorded(2), recorded(3)])
    begun = fold.apply(None, [recorded(1)])
    for rest in ([recorded(2), recorded(3)], iter([recorded(2), recorded(3)])):
        resumed = fold.apply(begun, rest)
        assert resumed.state_json == whole.state_json
        assert resumed.version == 3
        assert resumed.events_read == 2
    assert fold.apply(whole, []).state_json == whole.state_json
    plain = fold.apply({"balance": Decimal("1.50"), "seen": []}, [])
    assert plain.state_json == b'{"balance":1.50,"seen":[]}'
    assert fold.apply(Account(Decimal("1.5"), []), [deposited(1)]).state["balance"] == Decimal(
        "2.5"
    )


def test_new_events_are_the_next_of_the_stream(fold: Fold) -> None:
    account = fold.apply(None, [recorded(1)])
    preview = fold.apply(account, [deposited(Decimal("0.5"), tags=["b", "a"])], stream="account-1")
    assert preview.state["balance"] == Decimal("1.5")
    assert preview.state["seen"][1] == ["account-1", "account-1", 2, 0, ["a", "b"]]
    mixed = fold.apply(None, [recorded(1), deposited(1)])
    assert mixed.state["seen"][1][:3] == ["account-1", "account-1", 2]
    alone = fold.apply(None, [deposited(1)])
    assert alone.state["seen"] == [["local-1", "local-1", 1, 0, []]]


def test_when_a_new_event_occurred() -> None:
    fold = Fold("fold: f\nhandlers:\n  A: {o: meta.occurred_at, r: meta.recorded_at}\n")
    before = dt.datetime.now(dt.UTC)
    then = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    state = fold.apply(None, [Event("A", occurred_at=then)]).state
    assert state["o"] == "2026-01-01T00:00:00Z"
    assert before <= dt.datetime.fromisoformat(state["r"]) <= dt.datetime.now(dt.UTC)


def test_deleted_and_without_events(fold: Fold) -> None:
    empty = fold.apply(None, [])
    assert (empty.exists, empty.version, empty.state) == (False, 0, fold.initial)
    assert fold.apply(empty, [deposited(1)]).version == 1
    closed = fold.apply(None, [deposited(1), Event("Closed")])
    assert (closed.exists, closed.version, closed.state) == (False, 2, None)
    again = fold.apply(closed, [deposited(5)])
    assert (again.exists, again.version, again.state["balance"]) == (True, 3, 5)


def test_into_a_class(fold: Fold) -> None:
    account = fold.apply(None, [recorded(1, "0.10")], into=Account)
    assert account.state == Account(Decimal("0.10"), [["account-1", "account-1", 1, 10, []]])
    floats = fold.apply(None, [recorded(1, "0.10")], numbers="float")
    assert isinstance(floats.state["balance"], float)


def test_what_is_refused(fold: Fold) -> None:
    with pytest.raises(eventfold.InvalidValue, match="several streams"):
        fold.apply(None, [recorded(1), recorded(2, stream="account-2")])
    with pytest.raises(eventfold.InvalidValue, match="several streams"):
        fold.apply(None, [recorded(1)], stream="account-2")
    with pytest.raises(eventfold.InvalidValue, match="version 1 comes after 1"):
        fold.apply(None, [recorded(1), recorded(1)])
    with pytest.raises(eventfold.InvalidValue, match="comes after 2"):
        fold.apply(fold.apply(None, [recorded(2)]), [recorded(1)])
    with pytest.raises(eventfold.InvalidValue, match="JSON"):
        fold.apply({"x": float("nan")}, [])
    wrong: Any = "MoneyDeposited"
    with pytest.raises(TypeError, match="not str"):
        fold.apply(None, [wrong])
    with pytest.raises(eventfold.FoldFailed) as caught:
        fold.apply(None, [recorded(1), recorded(2, '"x"')])
    assert (caught.value.stream, caught.value.version) == ("account-1", 2)
    assert caught.value.facts["handler"] == "MoneyDeposited"


def test_absent_values_are_folded_as_the_server_does() -> None:
    fold = Fold.load(
        "{fold: f, handlers: {MoneyDeposited: {sum: 'event.amount', all: '[event.amount]'}, "
        "Seen: {copy: state.sum, gone: 'erased(state.sum)'}}}"
    )
    event = pb.RecordedEvent.FromString(recorded(1, "null").__reduce__()[1][0])
    event.erased_paths.append("/amount")
    gone = RecordedEvent(event.SerializeToString())
    assert (gone.data, gone.erased_paths, gone.withheld_paths) == (
        {"amount": None},
        ("/amount",),
        (),
    )
    assert gone != recorded(1, "null")
    state = fold.apply(None, [gone])
    assert state.state == {"sum": None, "all": [None]}
    assert (state.erased_paths, state.withheld_paths) == (("/sum", "/all/0"), ())
    # What goes on from the state has the absence, and not null.
    after = fold.apply(state, [Event("Seen", {})])
    assert after.state == {"sum": None, "all": [None], "copy": None, "gone": True}
    assert after.erased_paths == ("/sum", "/all/0", "/copy")
    event.withheld_paths.extend(event.erased_paths)
    del event.erased_paths[:]
    withheld = fold.apply(None, [RecordedEvent(event.SerializeToString()), Event("Seen", {})])
    assert withheld.state["gone"] is False
    assert withheld.withheld_paths == ("/sum", "/all/0", "/copy")


def test_many_threads_share_a_fold(fold: Fold) -> None:
    events = [recorded(version) for version in range(1, 200)]
    with ThreadPoolExecutor(4) as pool:
        found = {one.state_json for one in pool.map(lambda _: fold.apply(None, events), range(40))}
    assert len(found) == 1
