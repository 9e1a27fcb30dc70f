"""Goal: what a consumer has is settled once and in batches, its leases are kept while it waits here
and not while a handler hangs, and whoever settled late is told.

Method: a desk by a clock of the test's own, and the server's part played by hand; at the end random
sessions against a count of credits.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from eventfold import ConnectionFailed, LeaseLost
from eventfold._desk import Desk, Item, Lost, State, fault_of
from eventfold._events import event_page
from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold.v1 import event_store_pb2 as store_pb

ACK, RETRY, PARK, SKIP, EXTEND = (
    pb.SETTLE_ACTION_ACK,
    pb.SETTLE_ACTION_RETRY,
    pb.SETTLE_ACTION_PARK,
    pb.SETTLE_ACTION_SKIP,
    pb.SETTLE_ACTION_EXTEND,
)


class Table:
    """A desk, its clock, and what the server sees."""

    def __init__(self, most: int = 8, **settings: Any) -> None:
        self.now = 100.0
        self.desk = Desk("g", "me", most, clock=lambda: self.now)
        first = self.desk.next_message()
        assert first is not None
        assert (first.start.group, first.start.consumer, first.credits) == ("g", "me", most)
        self.credits = most
        started = pb.ConsumeStarted(session=5, settings=pb.GroupSettings(**settings))
        started.settings.ack_timeout.seconds = 30
        self.server(pb.ConsumeResponse(started=started))

    def server(self, message: pb.ConsumeResponse) -> None:
        self.desk.receive(event_page(message.SerializeToString(), "decimal"))

    def deliver(self, *positions: int, stream: str = "a-1", lease: int = 7) -> None:
        self.credits -= len(positions)
        assert self.credits >= 0
        self.server(
            pb.ConsumeResponse(
                events=[store_pb.RecordedEvent(stream=stream, position=p) for p in positions],
                leases=[lease] * len(positions),
                attempts=[1] * len(positions),
            )
        )

    def take(self) -> Item:
        item = self.desk.next()
        assert isinstance(item, Item)
        assert self.desk.begin(item)
        return item

    def sent(self, after: float = 0.0) -> list[tuple[int, list[int]]]:
        """Action and positions of what goes out now."""
        self.now += after
        self.desk.wait_s()
        message = self.desk.next_message()
        if message is None:
            return []
        self.credits += message.credits
        self.numbers = [one.number for one in message.settlements]
        for one in message.settlements:
            assert len(one.leases) == len(one.positions)
        return [(one.action, list(one.positions)) for one in message.settlements]

    def answer(self, number: int, reason: str = "", code: int = 10, *refused: int) -> None:
        answer = pb.SettleAnswer(number=number, refused_positions=refused)
        if reason:
            info = error_details_pb2.ErrorInfo(reason=reason, domain="eventfold")
            detail = any_pb2.Any()
            detail.Pack(info)
            answer.refused.CopyFrom(status_pb2.Status(code=code, message="no", details=[detail]))
        else:
            answer.settled.SetInParent()
        self.server(pb.ConsumeResponse(answers=[answer]))


def test_acks_go_together_after_a_moment_or_when_the_consumer_waits() -> None:
    table = Table(most=100)
    table.deliver(*range(1, 7))
    for _ in range(4):
        table.desk.settle(table.take(), ACK)
    assert table.sent() == []
    assert table.desk.wait_s() == pytest.approx(0.01)
    assert table.sent(after=0.02) == [(ACK, [1, 2, 3, 4])]
    assert table.credits == 98
    for _ in range(2):
        table.desk.settle(table.take(), ACK)
    assert table.desk.next() is None
    assert table.sent() == [(ACK, [5, 6])]
    assert (table.credits, table.desk.session) == (100, 5)


def test_other_settlements_go_at_once() -> None:
    for action in (RETRY, PARK, SKIP):
        table = Table()
        table.deliver(1)
        table.desk.settle(item := table.take(), action, "why", 2.5 if action == RETRY else None)
        assert table.sent() == [(action, [1])]
        table.answer(table.numbers[0])
        assert item.state is State.SETTLED
        with pytest.raises(RuntimeError, match="settled already"):
            table.desk.settle(item, ACK)


@pytest.mark.parametrize(
    ("action", "settings", "is_dropped"),
    [
        (RETRY, {}, True),
        (PARK, {"on_park": pb.ON_PARK_HOLD_BACK}, True),
        (PARK, {"on_park": pb.ON_PARK_LET_PASS}, False),
        (RETRY, {"unordered": True}, False),
        (SKIP, {}, False),
    ],
)
def test_the_rest_of_a_stream_goes_back_with_one(
    action: int, settings: dict[str, Any], is_dropped: bool
) -> None:
    table = Table(**settings)
    table.deliver(1, 3)
    table.deliver(2, stream="b-1", lease=8)
    table.desk.settle(table.take(), action)
    assert table.sent() == [(action, [1])]
    assert table.credits == (7 if is_dropped else 6)
    rest = [table.take().event.position for _ in range(1 if is_dropped else 2)]
    assert rest == ([2] if is_dropped else [3, 2])


def test_late_settlements_are_told() -> None:
    table = Table()
    table.deliver(1, 2, 3)
    first, second, third = (table.take() for _ in range(3))
    for item in (first, second, third):
        table.desk.settle(item, ACK)
    assert table.sent(after=1) == [(ACK, [1, 2, 3])]
    table.answer(table.numbers[0], "LEASE_LOST", 10, 2)
    assert (first.state, second.state, third.state) == (State.SETTLED, State.LOST, State.SETTLED)
    lost = table.desk.next()
    assert isinstance(lost, Lost)
    assert (lost.item, type(lost.error)) == (second, LeaseLost)
    assert table.desk.next() is None


def test_what_the_storage_refused_is_sent_again() -> None:
    table = Table()
    table.deliver(1)
    table.desk.settle(item := table.take(), ACK)
    assert table.sent(after=1) == [(ACK, [1])]
    granted = table.credits
    table.answer(table.numbers[0], "STORAGE_UNAVAILABLE", 14)
    assert table.sent() == []
    assert 0 < (table.desk.wait_s() or 0) < 1
    assert table.sent(after=1) == [(ACK, [1])]
    table.answer(table.numbers[0])
    assert item.state is State.SETTLED
    # It was granted once.
    assert table.credits == granted


def test_leases_of_what_waits_here_are_kept() -> None:
    table = Table()
    table.deliver(1, 2)
    table.deliver(3, stream="b-1", lease=8)
    table.take()
    assert table.sent(after=9) == []
    # That of the event in hand is the handler's, and the second waits for it.
    assert table.sent(after=2) == [(EXTEND, [3])]
    assert table.sent(after=9) == []
    assert table.sent(after=2) == [(EXTEND, [3])]


def test_a_handler_that_hangs_keeps_nothing() -> None:
    table = Table()
    table.deliver(1)
    table.deliver(3, stream="b-1", lease=8)
    table.take()
    assert table.sent(after=31) == []
    assert table.sent(after=31) == []


def test_a_handler_that_hangs_keeps_nothing_that_comes_again_either() -> None:
    """The server may deliver the same events here again when their lease has run out."""
    table = Table()
    table.deliver(1, 3)
    held = table.take()
    assert table.sent(after=31) == []
    table.deliver(1, 3, lease=9)
    assert table.sent(after=11) == []
    assert table.sent(after=11) == []
    table.desk.settle(held, ACK)
    assert (ACK, [1]) in table.sent(after=11)
    assert table.sent(after=11) == [(EXTEND, [1, 3])]


def test_an_old_delivery_has_its_full_time_when_it_is_begun() -> None:
    table = Table()
    table.deliver(1)
    table.now += 9
    table.take()
    assert table.sent() == []
    table = Table()
    table.deliver(1)
    table.now += 11
    table.take()
    assert table.sent() == [(EXTEND, [1])]


def test_a_refused_extension_takes_what_waits_away_silently() -> None:
    table = Table()
    table.deliver(3)
    assert table.sent(after=11) == [(EXTEND, [3])]
    table.answer(table.numbers[0], "LEASE_LOST", 10, 3)
    assert table.desk.next() is None
    assert table.sent() == []
    assert table.credits == 8


def test_a_broken_session_loses_all() -> None:
    table = Table()
    table.deliver(1, 2, 3, 4)
    sent, unsent, held = (table.take() for _ in range(3))
    table.desk.settle(sent, ACK)
    assert table.sent(after=1)
    table.desk.settle(unsent, ACK)
    table.desk.fail()
    assert (type(sent.error), type(unsent.error)) == (ConnectionFailed, LeaseLost)
    assert (held.state, held.is_open) == (State.LOST, False)
    # Settling is no error then: it is told.
    table.desk.settle(held, ACK)
    told = [table.desk.next() for _ in range(2)]
    assert {lost.item for lost in told if isinstance(lost, Lost)} == {sent, unsent}
    assert table.desk.next() is None


def test_the_last_settlements_are_sent_and_no_more_credits() -> None:
    table = Table()
    table.deliver(1, 2)
    table.desk.settle(table.take(), ACK)
    table.desk.close()
    assert not table.desk.is_finished
    assert table.desk.next() is None
    before = table.credits
    assert table.sent() == [(ACK, [1])]
    assert (table.credits, table.desk.is_finished) == (before, True)


def test_a_server_that_answers_nothing_is_stuck() -> None:
    table = Table()
    table.deliver(1)
    table.desk.settle(table.take(), ACK)
    assert table.sent(after=1)
    assert not table.desk.is_stuck
    table.now += 31
    assert table.desk.is_stuck


def test_a_reason_names_the_place_and_not_the_text() -> None:
    def handler() -> None:
        raise ValueError("someone@example.com")

    with pytest.raises(ValueError, match="someone") as raised:
        handler()
    assert fault_of(raised.value).startswith(f"ValueError at {__file__}:")
    assert "someone" not in fault_of(raised.value)


@pytest.mark.parametrize("seed", range(20))
def test_credits_are_neither_lost_nor_made(seed: int) -> None:
    """Whatever is done, what is granted and what is under way add up to the credits."""
    chance = random.Random(seed)
    table = Table(most=12)
    position, lease = 0, 0
    held: list[Item] = []
    for _ in range(400):
        table.now += chance.choice([0, 0.005, 0.02, 4])
        step = chance.randrange(5)
        if step == 0 and table.credits:
            lease += 1
            count = chance.randint(1, table.credits)
            table.deliver(
                *range(position + 1, position + 1 + count), stream=f"a-{lease}", lease=lease
            )
            position += count
        elif step == 1:
            found = table.desk.next()
            if isinstance(found, Item) and table.desk.begin(found):
                held.append(found)
        elif step == 2 and held:
            item = held.pop(chance.randrange(len(held)))
            if item.is_open:
                table.desk.settle(item, chance.choice([ACK, ACK, RETRY, PARK, SKIP]))
        elif step == 3:
            table.numbers = []
            table.sent()
            for number in table.numbers:
                table.answer(number)
        under_way = len(table.desk._open)
        assert table.credits + under_way + table.desk._credits_due == 12
