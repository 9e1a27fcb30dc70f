"""Goal: a fold never starts empty in silence on a stream that goes on from another one.

Method: lines of periods with folds that were carried, carried in another version, or not at all,
and every reader that folds, on the server and in the client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.closing import Books, account, deposited

import eventfold
from eventfold import ANY, Event, Fold

ACCOUNT = account()
DOUBLE = account(factor=2)
OTHER = account("other")
ONLY_OPENED = {
    "fold": "account",
    "initial": {"opened": 0},
    "handlers": {"$Opened": {"opened": "state.opened + size(event.states)"}},
}


def line(books: Books, *amounts: int, folds: tuple[Any, ...] = (ACCOUNT,)) -> Books:
    """A period with one deposit for each amount; the last one is open."""
    for amount in amounts[:-1]:
        books.deposit(amount)
        books.close(*folds)
    books.deposit(amounts[-1])
    return books


def watched(books: Books, stream: str, fold: Any) -> Any:
    with books.store.watch(stream, fold=fold) as watch:
        return next(iter(watch)).state


def many(books: Books, stream: str, fold: Any) -> Any:
    return books.store.hydrate_many([books.name, stream], fold=fold)[stream].state


def checked(books: Books, stream: str, fold: Any) -> Any:
    """As the others, but a check tells no state."""
    report = books.store.check_fold(fold, books.category)
    assert report.streams == len(books.streams)
    for failed, error in report.failures:
        if failed == stream:
            raise error
    return books.hydrate(fold, stream).state


READERS: dict[str, Callable[[Books, str, Any], Any]] = {
    "hydrate": lambda books, stream, fold: books.hydrate(fold, stream).state,
    "version": lambda books, stream, fold: books.hydrate(fold, stream, version=2).state,
    "position": lambda books, stream, fold: (
        books.hydrate(
            fold, stream, position=books.store.read(stream, from_version=2).to_list()[0].position
        ).state
    ),
    "recorded_at": lambda books, stream, fold: (
        books.hydrate(
            fold,
            stream,
            recorded_at=books.store.read(stream, from_version=2).to_list()[0].recorded_at,
        ).state
    ),
    "occurred_at": lambda books, stream, fold: (
        books.hydrate(
            fold,
            stream,
            occurred_at=books.store.read(stream, from_version=2).to_list()[0].recorded_at,
        ).state
    ),
    "many": many,
    "history": lambda books, stream, fold: [
        one.state for one in books.store.hydrate_history(*stream.split("-", 1), fold=fold)
    ][1],
    "history from": lambda books, stream, fold: (
        next(
            iter(books.store.hydrate_history(*stream.split("-", 1), fold=fold, from_version=2))
        ).state
    ),
    "watch": watched,
    "check": checked,
}


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest) -> Callable[[Books, str, Any], Any]:
    return READERS[request.param]


def test_a_carried_state_is_started_from(books: Books, read: Callable[..., Any]) -> None:
    line(books, 1, 2, 3)
    state = read(books, books.open, ACCOUNT)
    assert state["balance"] == 6


def test_another_version_of_the_fold_inherits(books: Books, read: Callable[..., Any]) -> None:
    line(books, 1, 2, 3)
    assert read(books, books.open, DOUBLE)["balance"] == 12
    assert read(books, books.streams[1], DOUBLE)["balance"] == 6


def test_a_fold_that_was_not_carried_is_refused(books: Books, read: Callable[..., Any]) -> None:
    line(books, 1, 2, 3)
    with pytest.raises(eventfold.StateNotCarried) as refused:
        read(books, books.open, OTHER)
    assert refused.value.facts == {
        "stream": books.open,
        "fold": "other",
        "problem": "not_carried",
        "predecessor": books.streams[-2],
    }
    assert read(books, books.name, OTHER)["balance"] == 1


def test_a_handler_takes_the_opening_event_as_any_other(
    books: Books, read: Callable[..., Any]
) -> None:
    line(books, 1, 2, 3)
    assert read(books, books.open, ONLY_OPENED) == {"opened": 1}


@pytest.mark.parametrize("at_the_end", ["delete", {"balance": "-1"}])
def test_what_ends_a_period_is_not_inherited(
    books: Books, read: Callable[..., Any], at_the_end: Any
) -> None:
    """As it is not carried, it makes no difference which of both happened."""

    def ending(factor: int) -> dict[str, Any]:
        fold = account(factor=factor)
        return fold | {"handlers": fold["handlers"] | {"Ended": at_the_end}}

    for amount in (1, 2):
        books.deposit(amount)
        books.close(ending(1), closing_type="Ended")
    books.deposit(3)
    for factor in (1, 2):
        assert read(books, books.open, ending(factor))["balance"] == 6 * factor
        ended = books.hydrate(ending(factor), books.streams[1])
        assert ended.exists == (at_the_end != "delete")
    # All periods as one stream have all of these events.
    through = books.hydrate(ending(2), follow="all")
    assert through.state["balance"] == (6 if at_the_end == "delete" else 5)


def test_a_period_that_the_fold_opened_itself_is_inherited_alone(
    books: Books, read: Callable[..., Any]
) -> None:
    """A handler for its opening event has brought forward what was before."""

    def opening(factor: int) -> dict[str, Any]:
        fold = account(factor=factor)
        brought = {"balance": "state.balance + event.brought"}
        return fold | {"handlers": fold["handlers"] | {"Initialized": brought}}

    books.deposit(1)
    books.close(opening(1), opening_type="Initialized", opening_data={"brought": 50})
    books.deposit(2)
    books.close(opening(1))
    books.deposit(3)
    for factor in (1, 2):
        assert books.hydrate(opening(factor), books.streams[1]).state["balance"] == 50 + 2 * factor
        assert read(books, books.open, opening(factor))["balance"] == 50 + 5 * factor


def test_explanations_begin_before_the_opening_event(books: Books) -> None:
    line(books, 1, 2, 3)
    category, id_ = books.open.split("-", 1)
    for fold, factor in ((ACCOUNT, 1), (DOUBLE, 2)):
        assert books.hydrate(fold, version=0).state["balance"] == 0
        explained = books.store.explain(category, id_, fold=fold)
        assert [(one.changes[0].before, one.changes[0].after) for one in explained] == [
            (0, 3 * factor),
            (3 * factor, 6 * factor),
        ]
    for first in (1, 2):
        with pytest.raises(eventfold.StateNotCarried):
            list(books.store.explain(category, id_, fold=OTHER, from_version=first))


def test_an_accepted_version_is_started_from(books: Books) -> None:
    line(books, 1, 2, 3)
    accepting = account(factor=2, accepts=[Fold.load(ACCOUNT).digest])
    assert Fold.load(accepting).digest == Fold.load(DOUBLE).digest
    # What the older one came to, and this one from there.
    assert books.hydrate(accepting).state["balance"] == 3 + 6
    assert books.hydrate(DOUBLE).state["balance"] == 12
    assert books.hydrate(account(factor=2, accepts=["0" * 64])).state["balance"] == 12


@pytest.mark.parametrize("accepts", ["x", ["x"], [1], ["A" * 64], ["0" * 64] * 101])
def test_what_is_accepted_is_a_list_of_digests(accepts: Any) -> None:
    with pytest.raises(eventfold.InvalidFold):
        Fold.load(account(accepts=accepts))
    Fold.load(account(accepts=["0" * 64] * 100))


def test_many_streams_inherit_along_their_lines(books: Books) -> None:
    """Whatever order they are asked for in, and whatever stands between."""
    line(books, *range(1, 13))
    other = Books(books.store, books.name + "-other")
    line(other, *range(1, 13))
    streams = [one for pair in zip(books.streams, other.streams[::-1], strict=True) for one in pair]
    found = books.store.hydrate_many(streams, fold=DOUBLE)
    for of_line in (books.streams, other.streams):
        balances = [found[stream].state["balance"] for stream in of_line]
        assert balances == [number * (number + 1) for number in range(1, 13)]
    checked = books.store.check_fold(DOUBLE, books.category)
    assert (checked.streams, checked.failed_streams) == (24, 0)


def test_an_inherited_state_is_kept(books: Books) -> None:
    name = f"kept-{books.name}"
    books.store.put_fold(account(name))
    for _ in range(3):
        books.deposit(1)
        books.close(name)
    books.store.put_fold(account(name, factor=2))
    books.deposit(5)
    first = books.hydrate(name)
    again = books.hydrate(name)
    assert first.state_json == again.state_json
    assert (first.kept_version, again.kept_version) == (0, 2)
    assert again.state["balance"] == 16
    # From here on the new version is carried.
    books.close(name)
    assert books.hydrate(name).state["balance"] == 16


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_cancelled_is_skipped_behind_what_was_carried_or_inherited(
    books: Books, factor: int
) -> None:
    fold = account(factor=factor, skip_cancelled=True)
    cancel = {"reason": "wrong", "expected_version": eventfold.EXISTS}
    books.deposit(1, 2)
    books.store.compensate(books.open, books.store.read(books.open).to_list()[0], **cancel)
    books.close(account(skip_cancelled=True))
    books.deposit(10)
    books.deposit(20)
    books.store.compensate(books.open, books.store.read(books.open).to_list()[1], **cancel)
    books.deposit(100)
    balances = [factor * balance for balance in (2, 12, 32, 22, 122)]
    category, id_ = books.open.split("-", 1)
    for first in range(1, 6):
        found = books.store.hydrate_history(category, id_, fold=fold, from_version=first)
        assert [one.state["balance"] for one in found] == balances[first - 1 :]
        explained = books.store.explain(category, id_, fold=fold, from_version=first)
        changes = [
            (change.before, change.after)
            for one in explained
            for change in one.changes
            if change.path == "balance"
        ]
        assert changes == list(zip([0, *balances], balances, strict=False))[first - 1 :]
    for event, balance in zip(books.store.read(books.open), balances, strict=True):
        ats: tuple[dict[str, Any], ...] = (
            {"version": event.version},
            {"position": event.position},
            {"position": event.position, "follow": "open"},
            {"position": event.position, "follow": "all"},
            {"recorded_at": event.recorded_at},
        )
        for at in ats:
            assert books.hydrate(fold, **at).state["balance"] == balance
    for read in READERS.values():
        read(books, books.open, fold)
    with books.store.watch(books.open, fold=fold) as watch:
        states = iter(watch)
        assert next(states).state["balance"] == balances[-1]
        last = books.store.read(books.open).to_list()[-1]
        books.store.compensate(books.open, last, **cancel)
        found = next(states)
        assert (found.version, found.state["balance"]) == (6, balances[3])


def test_a_kept_state_of_another_name_is_none_to_start_from(books: Books) -> None:
    names = [f"{kind}-{books.name}" for kind in ("carried", "not")]
    for name in names:
        books.store.put_fold(account(name, keep={"every": 1}))
    line(books, 1, 2, folds=(names[0],))
    assert [books.hydrate(names[0]).kept_version for _ in range(2)] == [0, 2]
    for read in READERS.values():
        with pytest.raises(eventfold.StateNotCarried):
            read(books, books.open, names[1])


@pytest.mark.parametrize("factor", [1, 2])
def test_a_watch_that_waits_for_the_stream(books: Books, factor: int) -> None:
    name = f"watched-{books.name}"
    of_root: dict[str, Any] = {"Deposited": {"balance": f"state.balance + {factor} * event.amount",
                                             "root": "meta.root"}}  # fmt: skip
    fold = {"fold": name, "initial": {"balance": 0}, "handlers": of_root, "keep": {"every": 1}}
    books.store.put_fold(fold)
    older = fold | {"handlers": {"Deposited": {"balance": "state.balance + event.amount"}}}
    books.deposit(1)
    with books.store.watch(f"{books.name}@1", fold=name) as watch:
        states = iter(watch)
        assert next(states).version == 0
        # The state of another version is inherited, by whoever knows the stream only now.
        books.close(name if factor == 1 else older)
        for version in (1, 2, 3):
            found = next(states)
            assert (found.version, found.state) == (
                version,
                {"balance": version * factor, "root": books.name},
            )
            books.deposit(1)
    assert books.hydrate(name, version=3).state == found.state


def test_following_all_periods_passes_over_what_no_handler_takes(books: Books) -> None:
    line(books, 1, 2, 3)
    for named in books.streams:
        for fold, balance in ((ACCOUNT, 6), (DOUBLE, 12), (OTHER, 6)):
            found = books.hydrate(fold, named, follow="all")
            assert (found.state["balance"], found.stream, found.version) == (
                balance,
                books.open,
                2,
            )
            assert (found.events_read, found.events_folded) == (7, 3)
    found = books.hydrate(ONLY_OPENED, follow="all")
    assert found.state == {"opened": 2}
    # Nobody takes the state that came of it for one that was carried.
    with pytest.raises(eventfold.StateNotCarried):
        books.hydrate(OTHER)


def test_following_to_the_open_period(books: Books) -> None:
    line(books, 1, 2, 3)
    for named in books.streams:
        found = books.hydrate(ACCOUNT, named, follow="open")
        assert (found.stream, found.state["balance"], found.version) == (books.open, 6, 2)
    books.store.append(found.stream, [deposited(1)], expected_version=found.version)
    # The stream that had begun by then.
    last = books.store.read(books.streams[1]).to_list()[-1]
    past = books.hydrate(ACCOUNT, follow="open", position=last.position)
    assert (past.stream, past.version, past.state["balance"]) == (books.streams[1], 3, 3)
    past = books.hydrate(OTHER, follow="all", recorded_at=last.recorded_at)
    assert (past.stream, past.state["balance"]) == (books.streams[1], 3)
    books.store.close_stream(books.open, successor=None)
    ended = books.hydrate(ACCOUNT, books.name, follow="open")
    assert (ended.stream, ended.version, ended.state["balance"]) == (books.open, 4, 7)
    with pytest.raises(eventfold.InvalidRequest):
        books.hydrate(ACCOUNT, follow="open", version=1)


def test_a_line_that_never_began(books: Books) -> None:
    for follow in ("open", "all"):
        found = books.hydrate(ACCOUNT, follow=follow)
        assert (found.exists, found.version, found.stream) == (False, 0, books.name)
        with pytest.raises(eventfold.StreamNotFound):
            books.store.read(books.name, follow=follow).to_list()


def test_events_that_occurred_before_the_stream_was_opened(books: Books) -> None:
    books.deposit(1)
    [first] = books.store.read(books.name)
    books.close(ACCOUNT)
    late = Event("Deposited", {"amount": 5, "by": "me"}, occurred_at=first.occurred_at)
    books.store.append(books.open, [late], expected_version=1)
    with pytest.raises(eventfold.StateNotCarried) as refused:
        books.hydrate(ACCOUNT, occurred_at=first.occurred_at)
    assert refused.value.problem == "opening_left_out"
    through = books.hydrate(ACCOUNT, follow="all", occurred_at=first.occurred_at)
    assert through.state["balance"] == 6
    alone = books.hydrate(ACCOUNT, books.name, occurred_at=first.occurred_at)
    assert alone.state["balance"] == 1


def test_a_close_folds_through_all_periods_on_request(books: Books) -> None:
    line(books, 1, 2)
    with pytest.raises(eventfold.StateNotCarried):
        books.store.close_stream(books.open, successor=books.name + "@9", folds=[OTHER])
    assert books.store.get_stream(books.open).version == 2
    books.close(OTHER, DOUBLE, follow="all")
    assert books.hydrate(OTHER).state["balance"] == 3
    assert books.hydrate(DOUBLE).state["balance"] == 6


def test_reads_follow_the_line(books: Books) -> None:
    line(books, 1, 2, 3)
    one, two, three = books.streams
    expected = [(stream, version) for stream in (one, two) for version in (1, 2, 3)][:2]
    expected += [(two, 1), (two, 2), (two, 3), (three, 1), (three, 2)]

    def places(**read: Any) -> list[tuple[str, int]]:
        reader = books.store.read(read.pop("stream", two), **read)
        found = [(event.stream, event.version) for event in reader]
        assert reader.end.stream == (found[-1][0] if found else reader.end.stream)
        return found

    assert places(follow="open") == [(three, 1), (three, 2)]
    assert places(follow="all") == expected
    assert places(follow="all", direction="backwards") == expected[::-1]
    assert places(follow="all", from_version=2) == expected[3:]
    assert places(follow="all", direction="backwards", from_version=2) == expected[3::-1]
    assert places(follow="all", types=["Deposited"]) == [(one, 1), (two, 2), (three, 2)]
    for limit in range(1, 9):
        reader = books.store.read(one, follow="all", limit=limit)
        assert len(reader.to_list()) == min(limit, 7)
        assert reader.end.end_reached == (limit >= 7)
    for read in ({"follow": "open", "from_version": 1}, {"follow": "all", "to_version": 1}):
        with pytest.raises(eventfold.InvalidRequest):
            books.store.read(one, **read).to_list()  # type: ignore[arg-type]


def test_appends_follow_only_where_nothing_was_decided(books: Books) -> None:
    line(books, 1, 2, 3)
    event = deposited(4)
    for expected in (0, 2, eventfold.EXISTS):
        with pytest.raises(eventfold.InvalidRequest):
            books.store.append(books.name, [event], expected_version=expected, follow=True)
    stored = books.store.append(books.name, [event], expected_version=ANY, follow=True)
    assert (stored.stream, stored.last_version, stored.duplicate) == (books.open, 3, False)
    # The same events are found wherever the line has got to.
    books.close(ACCOUNT)
    again = books.store.append(books.name, [event], expected_version=ANY, follow=True)
    assert (again.stream, again.positions, again.duplicate) == (
        books.streams[-2],
        stored.positions,
        True,
    )
    plain = books.store.append(books.open, [deposited(1)], expected_version=ANY, follow=True)
    assert plain.stream == books.open
    books.store.close_stream(books.open, successor=None)
    with pytest.raises(eventfold.StreamClosed):
        books.store.append(books.name, [deposited(1)], expected_version=ANY, follow=True)


def test_events_of_two_periods_are_no_append(books: Books) -> None:
    old, new = deposited(1), deposited(2)
    books.store.append(books.open, [old], expected_version=0)
    books.close(ACCOUNT)
    books.store.append(books.open, [new], expected_version=1)
    for stream in books.streams:
        for events in ([old, new], [new, old]):
            with pytest.raises(eventfold.EventIdReused) as refused:
                books.store.append(stream, events, expected_version=ANY, follow=True)
            assert refused.value.problem == "other_stream"
    assert [books.store.get_stream(one).version for one in books.streams] == [2, 2]


def test_a_projection_by_root_folds_all_periods_into_one_row(books: Books) -> None:
    name = f"by_root_{books.category}"
    document = {
        "projection": name,
        "source": {"categories": [books.category]},
        "key": "meta.root",
        "initial": {"balance": 0},
        "handlers": {
            "Deposited": {"balance": "state.balance + event.amount"},
            # To every key but the root, an opening event is one like any other.
            "$Closed": {"closed": "meta.version"},
        },
        "columns": {"balance": "bigint", "closed": "bigint"},
    }
    line(books, 1, 2, 3)
    books.store.put_projection(document)
    books.store.wait_projection(name)
    rows = {row.key: row for row in books.store.query_projection(name)}
    assert (rows[books.name].columns["balance"], rows[books.name].columns["closed"]) == (6, 3)
    books.store.drop_projection(name)
