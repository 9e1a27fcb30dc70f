"""Goal: a stream is closed and its successor opened whole or not at all, and told once.

Method: a server; the closing and the opening event looked at, closes repeated, and every kind of
bad input, after which the stream must be as it was.
"""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from tests.support.closing import Books, account, deposited

import eventfold
from eventfold import ANY, Client, Event, EventFlags, Lifecycle

ACCOUNT = account()


def test_both_events_say_where_the_line_goes(books: Books) -> None:
    books.deposit(10, 5)
    closed = books.close(ACCOUNT, account("other", factor=2), closing_data={"year": 2017})
    old, new = books.streams
    assert (closed.version, closed.successor, closed.duplicate) == (3, new, False)
    assert closed.opening_position == closed.position + 1
    [closing] = books.store.read(old, from_version=3)
    [opening] = books.store.read(new)
    assert (closing.type, closing.id, closing.position) == (
        "$Closed",
        closed.closing_id,
        closed.position,
    )
    assert closing.data == {"successor": new, "year": 2017}
    assert EventFlags.CLOSES in closing.flags
    assert (opening.type, opening.id, opening.version) == ("$Opened", closed.opening_id, 1)
    assert EventFlags.OPENS in opening.flags
    assert opening.data["predecessor"] == old
    states = {state["fold"]: state for state in opening.data["states"]}
    assert states["account"]["state"] == {"balance": 15, "by": {"me": 5}}
    assert states["other"]["state"]["balance"] == 30
    assert [state.fold for state in closed.states] == ["account", "other"]
    assert [state.digest for state in closed.states] == [
        states["account"]["digest"],
        states["other"]["digest"],
    ]
    before, after = books.store.get_stream(old), books.store.get_stream(new)
    assert (before.lifecycle, before.successor, before.root) == (Lifecycle.CLOSED, new, old)
    assert (after.lifecycle, after.predecessor, after.root) == (Lifecycle.OPEN, old, old)
    listed = {one.name: one for one in books.store.list_streams(prefix=books.name)}
    assert listed == {old: before, new: after}


def test_a_closed_stream_stays_readable_and_takes_nothing(books: Books) -> None:
    books.deposit(10)
    books.close(ACCOUNT)
    old, new = books.streams
    assert books.hydrate(ACCOUNT, old).state["balance"] == 10
    for expected in (2, eventfold.EXISTS, ANY):
        with pytest.raises(eventfold.StreamClosed) as refused:
            books.store.append(old, [deposited(1)], expected_version=expected)
        assert (refused.value.stream, refused.value.successor) == (old, new)


def test_a_line_has_many_periods(books: Books) -> None:
    for year in range(1, 6):
        books.deposit(year)
        books.close(ACCOUNT)
    last = books.store.get_stream(books.open)
    assert (last.root, last.predecessor) == (books.name, books.streams[-2])
    assert books.hydrate(ACCOUNT).state == {"balance": 15, "by": {"me": 5}}
    assert books.hydrate(ACCOUNT, books.streams[2], version=1).state["balance"] == 3


def test_a_stream_may_end_without_a_successor(books: Books) -> None:
    books.deposit(1)
    closed = books.store.close_stream(books.name, successor=None, closing_type="Deactivated")
    assert (closed.successor, closed.opening_id, closed.opening_position) == (None, None, 0)
    [_, closing] = books.store.read(books.name)
    assert (closing.type, closing.data) == ("Deactivated", {"successor": None})
    with pytest.raises(eventfold.StreamClosed) as refused:
        books.store.append(books.name, [deposited(1)], expected_version=ANY)
    assert refused.value.successor is None


def test_types_and_data_of_both_events_can_be_chosen(books: Books) -> None:
    books.deposit(1)
    books.close(
        ACCOUNT,
        closing_type="Deactivated",
        opening_type="Initialized",
        opening_data={"rate": Decimal("1.50")},
    )
    assert [event.type for event in books.store.read(books.streams[0])][-1] == "Deactivated"
    [opening] = books.store.read(books.open)
    assert opening.type == "Initialized"
    assert opening.data["rate"] == Decimal("1.50")
    assert b'"rate":1.50' in opening.data_json
    assert books.hydrate(ACCOUNT).state["balance"] == 1


def test_a_close_that_is_done_is_found(books: Books) -> None:
    books.deposit(1)
    ids = {"closing_id": str(uuid.uuid4()), "opening_id": str(uuid.uuid4())}
    first = books.close(ACCOUNT, **ids)
    old, new = books.streams
    head = books.store.read_all(direction="backwards", limit=1).to_list()[0].position
    by_ids = books.store.close_stream(old, successor=new, folds=[], **ids)
    by_states = books.store.close_stream(old, successor=new, folds=[ACCOUNT])
    for again in (by_ids, by_states):
        assert again.duplicate
        assert (again.position, again.opening_position) == (first.position, first.opening_position)
        assert (again.closing_id, again.opening_id) == (first.closing_id, first.opening_id)
        assert (again.version, again.states, again.recorded_at) == (
            first.version,
            first.states,
            first.recorded_at,
        )
    assert books.store.read_all(direction="backwards", limit=1).to_list()[0].position == head
    for successor, folds in ((new + "x", [ACCOUNT]), (new, []), (new, [account("b")])):
        with pytest.raises(eventfold.StreamClosed) as refused:
            books.store.close_stream(old, successor=successor, folds=folds)
        assert refused.value.successor == new
    with pytest.raises(eventfold.InvalidRequest):
        books.store.close_stream(old, successor=new, folds=[ACCOUNT] * 2)


def test_a_state_that_the_fold_deleted_is_carried_as_such(books: Books) -> None:
    books.deposit(1)
    books.store.append(books.open, [Event("Emptied", {})], expected_version=1)
    [state] = books.close(ACCOUNT).states
    assert not state.exists
    found = books.hydrate(ACCOUNT)
    assert (found.exists, found.state, found.version) == (False, None, 1)
    books.deposit(7)
    found = books.hydrate(ACCOUNT)
    assert (found.exists, found.state["balance"]) == (True, 7)


class Refused:
    """Closes that must change nothing."""

    def __init__(self, store: Client, stream: str) -> None:
        self.store = store
        self.stream = stream

    def by(
        self, error: type[eventfold.EventfoldError], **close: object
    ) -> eventfold.EventfoldError:
        """Closes, which must be refused so."""
        before = self.store.get_stream(self.stream)
        arguments = {"successor": self.stream + "@1", "folds": [ACCOUNT], **close}
        with pytest.raises(error) as refused:
            self.store.close_stream(self.stream, **arguments)  # type: ignore[arg-type]
        assert self.store.get_stream(self.stream) == before
        return refused.value


def test_what_is_wrong_closes_nothing(books: Books) -> None:
    store, stream = books.store, books.name
    with pytest.raises(eventfold.StreamNotFound):
        store.close_stream(stream, successor=stream + "@1")
    books.deposit(1, 2)
    store.append(stream + "-other", [deposited(1)], expected_version=0)
    refused = Refused(store, stream)
    conflict = refused.by(eventfold.VersionConflict, expected_version=1)
    assert (conflict.expected, conflict.actual) == (1, 2)
    exists = refused.by(eventfold.SuccessorExists, successor=stream + "-other")
    assert exists.facts == {"stream": stream, "successor": stream + "-other"}
    invalid: list[dict[str, object]] = [
        {"successor": stream},
        {"successor": "other-1"},
        {"successor": None},
        {"successor": None, "folds": [], "opening_type": "Initialized"},
        {"successor": None, "folds": [], "opening_data": {"a": 1}},
        {"folds": [ACCOUNT, ACCOUNT]},
        {"folds": [ACCOUNT] * 101},
        {"expected_version": ANY},
        {"expected_version": 0},
        {"follow": "open"},
    ]
    for close in invalid:
        refused.by(eventfold.InvalidRequest, **close)
    refused.by(eventfold.InvalidStreamName, successor="$account-1")
    refused.by(eventfold.InvalidEventType, closing_type="$Opened")
    refused.by(eventfold.InvalidEventType, opening_type="$Closed")
    refused.by(eventfold.InvalidJson, closing_data={"successor": "x"})
    refused.by(eventfold.InvalidJson, opening_data={"states": []})
    refused.by(eventfold.FoldNotFound, folds=["nobody-put-this"])
    refused.by(eventfold.InvalidFold, folds=[{"fold": "x", "handlers": {"A": {"b": "("}}}])
    failing = {"fold": "x", "handlers": {"Deposited": {"a": "event.nothing"}}}
    assert refused.by(eventfold.FoldFailed, folds=[ACCOUNT, failing]).stream == stream
    [first, _] = store.read(stream)
    reused = refused.by(eventfold.EventIdReused, closing_id=first.id)
    assert reused.event_id == first.id
    assert refused.by(eventfold.EventIdReused, opening_id=first.id).event_id == first.id
    books.close(ACCOUNT)


def test_states_that_are_too_large_together_close_nothing(books: Books) -> None:
    note = Event("Noted", {"text": "x" * 600_000})
    books.store.append(books.name, [note], expected_version=0)
    folds = [
        {"fold": name, "handlers": {"Noted": {"text": "event.text"}}} for name in ("one", "two")
    ]
    refused = Refused(books.store, books.name)
    refused.by(eventfold.EventTooLarge, folds=folds)
    books.close(folds[0])
    assert len(books.hydrate(folds[0]).state["text"]) == 600_000


def test_rules_of_chosen_types_are_kept(books: Books) -> None:
    store = books.store
    kind = f"Closed{uuid.uuid4().hex}"
    schema = {"type": "object", "required": ["year"], "properties": {"year": {"type": "integer"}}}
    store.put_schema(kind, schema)
    books.deposit(1)
    refused = Refused(store, books.name)
    refused.by(eventfold.SchemaViolation, closing_type=kind)
    refused.by(eventfold.SchemaViolation, opening_type=kind, closing_type=kind,
               closing_data={"year": 1})  # fmt: skip
    books.close(ACCOUNT, closing_type=kind, closing_data={"year": 2017})


def test_only_the_server_writes_its_types(books: Books) -> None:
    books.deposit(1)
    for type_ in ("$Closed", "$Opened"):
        with pytest.raises(eventfold.InvalidEventType):
            books.store.append(books.name, [Event(type_, {})], expected_version=ANY)
    # A mark makes an opening event, not what its data looks like.
    data = {"predecessor": "account-x", "states": [{"fold": "account", "digest": "", "state": 1}]}
    books.store.append(books.name, [Event("Opened", data)], expected_version=ANY)
    assert books.hydrate(ACCOUNT).state["balance"] == 1


def test_numbers_and_texts_are_carried_byte_for_byte(books: Books) -> None:
    fold = {"fold": "moved", "handlers": {"Noted": {"x": "event.x", "l": "[event.x, 1.50]"}}}
    event = Event("Noted", {"x": {"n": Decimal("1.10"), "t": 'é"\n', "big": 10**40}})
    books.store.append(books.name, [event], expected_version=0)
    before = books.hydrate(fold)
    books.close(fold)
    assert books.hydrate(fold).state_json == before.state_json
