"""Goal: consumers of a group handle every event at least once, those of a stream in order, and
are told what they settled too late, whatever becomes of the line.

Method: both clients against a real server, some behind a proxy that cuts the line; what the
handlers saw is held against the log, and the progress of the group against what was acknowledged.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from typing import Any

import pytest
from tests.integration.sdk.test_append_sessions import cuts
from tests.integration.sdk.test_subscriptions import until
from tests.support.proxy import cutting

import eventfold
from eventfold import Client, Event, GroupSettings

STREAMS = 12
EACH = 40
SHORT = GroupSettings(ack_timeout=1.0, retry_initial=0.0)


def fill(store: Client, streams: int = STREAMS, each: int = EACH) -> None:
    for first in range(0, each, 10):
        for number in range(streams):
            events = [Event("T", {"n": first + n}) for n in range(10)]
            store.append(f"a-{number}", events, expected_version=first)


class Handled:
    """What handlers saw, by stream, in the order in which they were called."""

    def __init__(self) -> None:
        self.versions: dict[str, list[int]] = defaultdict(list)
        self.count = 0
        self._busy: set[str] = set()

    def enter(self, event: eventfold.RecordedEvent) -> None:
        self.versions[event.stream].append(event.version)
        self.count += 1

    def check(self, streams: int = STREAMS, each: int = EACH) -> None:
        """All were handled, and none before the one before it in its stream was."""
        assert len(self.versions) == streams
        for versions in self.versions.values():
            assert list(dict.fromkeys(versions)) == list(range(1, each + 1))


def done(store: Client, head: int = STREAMS * EACH) -> bool:
    return store.get_group("g").progress == head


def test_threads_share_a_group_over_a_line_that_is_cut(eventfold_target: str) -> None:
    handled = Handled()
    breaks: list[eventfold.Reconnect] = []
    with Client(eventfold_target) as store, cutting(eventfold_target) as proxy:
        fill(store)
        store.create_group("g", categories=["a"], settings=SHORT)
        clients = [Client(proxy.address) for _ in range(3)]
        consumers = [
            client.consume("g", under_way=20, on_reconnect=breaks.append) for client in clients
        ]

        def work(consumer: eventfold.Consumer) -> None:
            with consumer:
                for event in consumer:
                    handled.enter(event)
                    time.sleep(0.005)

        threads = [threading.Thread(target=work, args=(consumer,)) for consumer in consumers]
        for thread in threads:
            thread.start()
        with cuts(proxy):
            until(lambda: proxy.cuts >= 6)
        until(lambda: done(store))
        for consumer in consumers:
            consumer.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        for client in clients:
            client.close()
        status = store.get_group("g").status
        assert status is not None
        assert (status.under_way, status.parked, status.waiting) == (0, 0, 0)
    handled.check()
    assert breaks


async def test_tasks_share_a_group_over_a_line_that_is_cut(eventfold_target: str) -> None:
    handled = Handled()

    async def handle(delivery: eventfold.AsyncDelivery) -> None:
        handled.enter(delivery.event)
        await asyncio.sleep(0.005)

    with cutting(eventfold_target) as proxy:
        async with (
            eventfold.AsyncClient(eventfold_target) as store,
            eventfold.AsyncClient(proxy.address) as other,
        ):
            with Client(eventfold_target) as one:
                fill(one)
            await store.create_group("g", settings=SHORT)
            consumers = [other.consume("g", under_way=30) for _ in range(3)]
            runs = [
                asyncio.create_task(consumer.run(handle, concurrency=4)) for consumer in consumers
            ]
            with cuts(proxy):
                await asyncio.to_thread(until, lambda: proxy.cuts >= 6)
            async with asyncio.timeout(60):
                while (await store.get_group("g")).progress < STREAMS * EACH:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            for consumer in consumers:
                await consumer.aclose()
            await asyncio.gather(*runs)
    handled.check()


def test_handlers_run_at_once_but_those_of_a_stream(store: Client) -> None:
    fill(store, 6, 10)
    store.create_group("g")
    busy: set[str] = set()
    most = 0
    lock = threading.Lock()
    consumer = store.consume("g")

    def handle(delivery: eventfold.Delivery) -> None:
        nonlocal most
        stream = delivery.event.stream
        with lock:
            assert stream not in busy
            busy.add(stream)
            most = max(most, len(busy))
        time.sleep(0.01)
        with lock:
            busy.discard(stream)

    thread = threading.Thread(target=consumer.run, args=(handle,), kwargs={"concurrency": 4})
    thread.start()
    until(lambda: done(store, 60))
    consumer.close()
    thread.join(10)
    assert most == 4


def test_a_handler_that_fails_is_tried_again_until_its_event_is_parked(store: Client) -> None:
    fill(store, 1, 10)
    settings = GroupSettings(attempts_max=3, retry_initial=0.0, on_park="let pass")
    store.create_group("g", settings=settings)
    attempts: list[tuple[int, int]] = []
    consumer = store.consume("g", consumer="me")

    def handle(delivery: eventfold.Delivery) -> None:
        attempts.append((delivery.event.version, delivery.attempt))
        if delivery.event.version == 4:
            raise ValueError("no")

    thread = threading.Thread(target=consumer.run, args=(handle,))
    thread.start()
    until(lambda: done(store, 10))
    consumer.close()
    thread.join(10)
    assert [version for version, _ in attempts] == [1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 10]
    (parked,) = store.list_parked("g")
    assert (parked.event.version, parked.attempts) == (4, 3)
    assert (parked.cause, parked.consumer) == ("retries exhausted", "me")
    assert parked.reason.startswith("ValueError at ")
    assert store.replay_parked("g", [parked.event.position]) == 1
    with store.consume("g") as events:
        assert next(events).version == 4
        events.delivery.skip()
        events.delivery.confirm()
    assert done(store, 10)


def test_the_simple_loop_acks_retries_and_gives_back(store: Client) -> None:
    fill(store, 1, 10)
    store.create_group("g", settings=SHORT)
    with store.consume("g") as events:
        for event in events:
            if event.version == 3:
                break
    # Left without an error: given back, and no attempt was used up.
    with pytest.raises(ZeroDivisionError), store.consume("g") as events:
        _ = next(events).version / 0
    with store.consume("g") as events:
        assert next(events).version == 3
        assert events.delivery.attempt >= 2
        events.delivery.park("seen enough")
        events.delivery.confirm()
        assert store.get_group("g").progress == 3
    assert [parked.reason for parked in store.list_parked("g")] == ["seen enough"]
    assert store.purge_parked("g", all=True) == 1


def test_who_settles_late_is_told(store: Client) -> None:
    fill(store, 1, 10)
    store.create_group("g", settings=SHORT)
    told: list[tuple[eventfold.Delivery, Exception]] = []
    lost = lambda *found: told.append(found)  # noqa: E731
    # One credit, or the server would deliver the event again to where it hangs.
    with store.consume("g", under_way=1, on_lost=lost) as consumer:
        deliveries = consumer.deliveries()
        late = next(deliveries)
        # The lease runs out, and the event goes to the next who asks, which is this one.
        with store.consume("g") as other:
            again = next(other.deliveries())
            assert (again.event.version, again.attempt) == (1, 2)
            late.ack()
            with pytest.raises(eventfold.LeaseLost):
                late.confirm(10)
            again.ack()
            again.confirm(10)
    assert store.get_group("g").progress == 1


async def test_late_settlements_come_to_the_callback(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:
        await store.append("a-1", [Event("T"), Event("T")], expected_version=0)
        await store.create_group("g", settings=SHORT)
        told: list[Any] = []
        async with store.consume("g", on_lost=lambda *lost: told.append(lost)) as events:
            async for event in events:
                if not told and event.version == 1:
                    await store.reset_group("g", from_position=1)
                elif event.version == 2:
                    break
        assert [(lost.event.version, type(error)) for lost, error in told] == [
            (1, eventfold.LeaseLost)
        ]


def test_what_waits_here_is_not_lost(store: Client) -> None:
    """Forty events of as many streams, handled in three times as long as a lease lasts."""
    for number in range(40):
        store.append(f"a-{number}", [Event("T")], expected_version=0)
    store.create_group("g", settings=SHORT)
    attempts: list[int] = []
    with store.consume("g", under_way=40, on_lost=lambda *_: attempts.append(0)) as events:
        for _ in events:
            attempts.append(events.delivery.attempt)
            time.sleep(0.08)
            if len(attempts) == 40:
                break
    assert attempts == [1] * 40


@pytest.mark.parametrize("way", ["loop", "run"])
def test_closing_from_elsewhere_lets_what_is_in_hand_be_handled(store: Client, way: str) -> None:
    fill(store, 1, 10)
    store.create_group("g")
    consumer = store.consume("g")
    begun, closed = threading.Event(), threading.Event()
    handled: list[int] = []

    def handle(event: eventfold.RecordedEvent) -> None:
        begun.set()
        closed.wait(20)
        time.sleep(0.2)
        handled.append(event.version)

    def loop() -> None:
        for event in consumer:
            handle(event)

    def run() -> None:
        consumer.run(lambda delivery: handle(delivery.event))

    thread = threading.Thread(target=loop if way == "loop" else run)
    thread.start()
    assert begun.wait(20)
    threading.Timer(0.1, closed.set).start()
    consumer.close()
    thread.join(20)
    assert not thread.is_alive()
    assert handled == [1]
    group = store.get_group("g")
    assert group.progress == 1
    assert group.status is not None
    assert (group.status.under_way, group.status.waiting) == (0, 9)


async def test_closing_from_another_task(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:
        await store.append("a-1", [Event("T"), Event("T")], expected_version=0)
        await store.create_group("g")
        consumer = store.consume("g")
        closing: list[asyncio.Task[None]] = []
        async for _ in consumer:
            closing.append(asyncio.create_task(consumer.aclose()))
            await asyncio.sleep(0.2)
        await closing[0]
        assert len(closing) == 1
        assert (await store.get_group("g")).progress == 1


def test_groups_are_described(store: Client) -> None:
    fill(store, 1, 10)
    settings = GroupSettings(ack_timeout=2.5, attempts_max=4, on_park="let pass", unordered=True)
    group = store.create_group(
        "g", categories=["a"], types=["T"], settings=settings,
        from_position=3,
    )  # fmt: skip
    assert (group.name, group.categories, group.types) == ("g", ("a",), ("T",))
    assert (group.created, group.settings.ack_timeout, group.settings.unordered) == (
        True,
        2.5,
        True,
    )
    assert not store.create_group("g", categories=["a"], types=["T"], settings=settings).created
    with pytest.raises(eventfold.GroupExists):
        store.create_group("g")
    store.create_group("h", stream="a-1", from_now=True)
    assert [one.name for one in store.list_groups(page_size=1)] == ["g", "h"]
    with store.consume("g", consumer="me") as consumer:
        delivery = next(consumer.deliveries())
        assert delivery.event.version == 3
        status = store.get_group("g").status
        assert status is not None
        assert [(one.consumer, one.session) for one in status.consumers] == [
            ("me", consumer.session)
        ]
        assert status.under_way == 8
    assert store.reset_group("g", from_position=1).generation == 2
    with pytest.raises(TypeError, match="name the start"):
        store.reset_group("g")
    store.delete_group("g")
    with pytest.raises(eventfold.GroupNotFound):
        store.get_group("g")
    with pytest.raises(eventfold.GroupNotFound):
        next(store.consume("g"))
    with pytest.raises(ValueError, match="between 1 and 10,000"):
        store.consume("h", under_way=0)


def test_a_group_that_is_deleted_ends_its_consumers(store: Client) -> None:
    store.create_group("g")
    threading.Timer(0.3, lambda: store.delete_group("g")).start()
    with pytest.raises(eventfold.GroupNotFound):
        next(store.consume("g"))
