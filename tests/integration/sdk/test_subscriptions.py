"""Goal: a loop over a subscription sees every event once, in order, whatever becomes of the line,
however slow it is, and wherever it is stopped and begun again.

Method: both clients against a real server, some behind a proxy that cuts the line, while threads
append; what the loop saw is held against the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.integration.sdk.test_append_sessions import cuts
from tests.support.proxy import cutting

import eventfold
from eventfold import ANY, Client, Event, FrameKind, Place

WAIT_SECONDS = 90.0


@contextlib.contextmanager
def writing(target: str, threads: int = 3) -> Iterator[Callable[[], None]]:
    """Appends meanwhile; what it yields ends it, and waits for the last append."""
    over = threading.Event()

    def work(number: int) -> None:
        with Client(target) as store:
            step = 0
            while not over.wait(0.002):
                stream = f"{'ab'[step % 2]}-{number}"
                events = [Event("AB"[step % 2], {"n": step, "text": "x" * 50})] * 1
                store.append(stream, events, expected_version=ANY)
                step += 1

    pool = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in pool:
        thread.start()

    def end() -> None:
        over.set()
        for thread in pool:
            thread.join()

    try:
        yield end
    finally:
        end()


def stored(target: str, **options: Any) -> list[tuple[int, str]]:
    with Client(target) as store:
        return [(event.position, event.id) for event in store.read_all(**options)]


def fill(store: Client, count: int) -> None:
    for first in range(0, count, 500):
        events = [Event("T", {"n": n}) for n in range(first, min(count, first + 500))]
        store.append(f"a-{first // 500}", events, expected_version=ANY)


def following(target: str, seen: list[tuple[int, str]], **options: Any) -> Any:
    """A thread that follows into a list, and the subscription to be closed."""
    store = Client(target)
    subscription = store.subscribe(**options)

    def work() -> None:
        for event in subscription:
            seen.append((event.position, event.id))

    thread = threading.Thread(target=work)
    thread.start()
    return store, subscription, thread


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)


def test_cuts_of_the_line_are_not_seen_by_a_thread(eventfold_target: str) -> None:
    seen: list[tuple[int, str]] = []
    breaks: list[eventfold.Reconnect] = []
    with cutting(eventfold_target) as proxy:
        store, subscription, thread = following(proxy.address, seen, on_reconnect=breaks.append)
        with writing(eventfold_target) as end_writing, cuts(proxy):
            until(lambda: proxy.cuts >= 15 and len(seen) > 300)
        end_writing()
        log = stored(eventfold_target)
        until(lambda: len(seen) >= len(log))
        subscription.close()
        thread.join(WAIT_SECONDS)
        store.close()
    assert seen == log
    assert len(breaks) >= 5
    assert {type(one.error) for one in breaks} == {eventfold.ConnectionFailed}


async def test_cuts_of_the_line_are_not_seen_by_a_task(eventfold_target: str) -> None:
    seen: list[tuple[int, str]] = []
    breaks: list[eventfold.Reconnect] = []

    async def follow(store: eventfold.AsyncClient) -> None:
        async for event in store.subscribe(categories=["a"], on_reconnect=breaks.append):
            seen.append((event.position, event.id))

    with cutting(eventfold_target) as proxy:
        async with eventfold.AsyncClient(proxy.address) as store:
            task = asyncio.create_task(follow(store))
            with writing(eventfold_target) as end_writing, cuts(proxy):
                await asyncio.to_thread(until, lambda: proxy.cuts >= 15 and len(seen) > 300)
            await asyncio.to_thread(end_writing)
            log = stored(eventfold_target, categories=["a"])
            await asyncio.to_thread(until, lambda: len(seen) >= len(log))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert seen == log
    assert len(breaks) >= 5


@pytest.mark.parametrize("whole", [False, True], ids=["events", "frames"])
def test_a_consumer_that_stops_anywhere_goes_on_from_its_place(
    eventfold_target: str, whole: bool
) -> None:
    """As a process that is killed: what it keeps is the place, and each time all else is new."""
    seen: list[tuple[int, str]] = []
    place = Place()
    chance = random.Random(5)
    with Client(eventfold_target) as store:
        fill(store, 5_000)
    with writing(eventfold_target, 1) as end_writing:
        for _ in range(60):
            with (
                Client(eventfold_target) as store,
                store.subscribe(where="int(event.n) % 3 == 0", place=place) as subscription,
            ):
                most = chance.choice([0, 1, 7, 200, 1_000])
                if whole:
                    for frame in subscription.frames():
                        seen += [(event.position, event.id) for event in frame]
                        place = subscription.place
                        if len(frame) >= most or frame.kind is FrameKind.CAUGHT_UP:
                            break
                elif most:
                    for count, event in enumerate(subscription, 1):
                        seen.append((event.position, event.id))
                        place = subscription.place
                        if count == most or subscription.position >= 5_000:
                            break
        end_writing()
    with Client(eventfold_target) as store:
        log = [(event.position, event.id) for event in store.read_all() if event.data["n"] % 3 == 0]
    assert len(seen) > 1_000
    assert seen == log[: len(seen)]


def test_a_token_alone_repeats_at_most_the_frame_under_way(eventfold_target: str) -> None:
    with Client(eventfold_target) as store:
        fill(store, 2_000)
        with store.subscribe() as subscription:
            for event in subscription:
                if event.position == 300:
                    break
            assert subscription.position == 300
            token = subscription.resume_token
        with store.subscribe(resume_token=token) as subscription:
            assert next(subscription).position <= 301
        with store.subscribe() as subscription:
            frames = subscription.frames()
            frame = next(frames)
        with store.subscribe(resume_token=frame.resume_token) as subscription:
            expected = [FrameKind.CAUGHT_UP] if frame.position == 2_000 else [FrameKind.EVENTS]
            assert next(subscription.frames()).kind in expected


def test_every_start(store: Client) -> None:
    for n in range(4):
        store.append("a-1", [Event("T", {"n": n})], expected_version=n)
        store.append("b-1", [Event("U", {"n": n})], expected_version=n)
    recorded = store.get_event(next(iter(store.read("a-1", from_version=3))).id).recorded_at

    def first(stream: str | None = None, **options: Any) -> tuple[str, int]:
        with store.subscribe(stream, **options) as subscription:
            event = next(subscription)
            return event.stream, event.version

    assert first() == ("a-1", 1)
    assert first("b-1") == ("b-1", 1)
    assert first("b-1", from_version=4) == ("b-1", 4)
    assert first(from_position=4) == ("b-1", 2)
    assert first("b-1", from_position=4) == ("b-1", 2)
    assert first(from_recorded_at=recorded) == ("a-1", 3)
    assert first(categories=["b"], types=["U"], where="event.n == 2") == ("b-1", 3)
    assert first(place=Place(4)) == ("a-1", 3)
    with store.subscribe(from_now=True) as subscription:
        frames = subscription.frames()
        assert next(frames).kind is FrameKind.CAUGHT_UP
        assert (subscription.position, subscription.head, subscription.is_caught_up) == (8, 8, True)
        store.append("a-1", [Event("T", {"n": 4})], expected_version=4)
        assert [event.version for event in next(frames)] == [5]
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    with store.subscribe(from_recorded_at=later) as subscription:
        assert next(subscription.frames()).kind is FrameKind.CAUGHT_UP


def test_errors_that_no_retry_mends(store: Client, eventfold_target: str) -> None:
    store.append("a-1", [Event("T", {"n": 0}), Event("T", {"n": "x"})], expected_version=0)

    def error(**options: Any) -> Exception:
        with pytest.raises(eventfold.EventfoldError) as raised:
            next(store.subscribe(**options))
        return raised.value

    assert isinstance(error(from_position=9), eventfold.PositionAhead)
    assert isinstance(error(where="event."), eventfold.InvalidExpression)
    assert isinstance(error(resume_token=b"x"), eventfold.InvalidResumeToken)
    subscription = store.subscribe(where="event.n + 1 > 0")
    assert next(subscription).position == 1
    with pytest.raises(eventfold.FilterFailed) as raised:
        next(subscription)
    assert raised.value.position == 2
    with pytest.raises(TypeError, match="one start, not from_position and from_now"):
        store.subscribe(from_position=1, from_now=True)


def test_a_place_on_another_log_is_refused(store: Client) -> None:
    fill(store, 20)
    other = "00000000-0000-7000-8000-000000000000"
    token = b""
    with store.subscribe() as subscription:
        token = next(subscription.frames()).resume_token
    for place in (Place(10, b"", 0, other), Place(20, token, 20, other)):
        with (
            pytest.raises(eventfold.StoreIncarnationChanged) as raised,
            store.subscribe(place=place, types=["None"]) as subscription,
        ):
            for _ in subscription.frames():
                pass
        assert raised.value.common_position == place.token_position


def test_a_place_whose_event_the_filter_hides_is_proven(store: Client) -> None:
    fill(store, 20)
    store.append("b-1", [Event("U")], expected_version=0)
    tenth = next(iter(store.read_all(from_position=10)))
    with store.subscribe(types=["U"], place=Place(10, b"", 0, tenth.id)) as subscription:
        assert next(subscription).position == 21


def test_a_slow_loop_gets_all(eventfold_target: str) -> None:
    """It falls behind the tail of the server, and gets pages."""
    seen: list[tuple[int, str]] = []
    log: list[tuple[int, str]] = []
    with (
        Client(eventfold_target) as store,
        store.subscribe() as subscription,
        writing(eventfold_target) as end_writing,
    ):
        for event in subscription:
            seen.append((event.position, event.id))
            if len(seen) < 40:
                time.sleep(0.05)
            elif len(seen) == 40:
                end_writing()
                log = stored(eventfold_target)
            if len(seen) == len(log):
                break
    assert seen == log


@pytest.mark.parametrize("is_blocked", [True, False])
def test_closing_from_another_thread_ends_the_loop(store: Client, is_blocked: bool) -> None:
    fill(store, 100)
    subscription = store.subscribe()
    reached = threading.Event()
    counts: list[int] = []

    def work() -> None:
        count = 0
        for _ in subscription:
            count += 1
            if not is_blocked and count == 10:
                reached.set()
                closed.wait(WAIT_SECONDS)
            elif count == 100:
                reached.set()
        counts.append(count)

    closed = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert reached.wait(WAIT_SECONDS)
    if is_blocked:
        time.sleep(0.2)
    subscription.close()
    subscription.close()
    closed.set()
    thread.join(WAIT_SECONDS)
    assert counts == [100 if is_blocked else 10]


async def test_closing_from_another_task_ends_the_loop(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:
        await store.append("a-1", [Event("T")], expected_version=0)
        subscription = store.subscribe()
        asyncio.get_running_loop().call_later(
            0.3, lambda: tasks.append(asyncio.ensure_future(subscription.aclose()))
        )
        tasks: list[Any] = []
        async with asyncio.timeout(WAIT_SECONDS):
            assert [event.position async for event in subscription] == [1]
        await tasks[0]


async def test_a_task_that_is_cancelled_is_cancelled(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:

        async def work() -> None:
            async for _ in store.subscribe():
                pass

        task = asyncio.create_task(work())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await work()


def test_nobody_there_at_first_is_an_error(eventfold_target: str) -> None:
    began = time.monotonic()
    with Client("127.0.0.1:1") as store, pytest.raises(eventfold.ConnectionFailed):
        next(store.subscribe(timeout=0.5))
    assert time.monotonic() - began < 30


def test_reads_wait_for_a_position(store: Client, eventfold_target: str) -> None:
    store.append("a-1", [Event("T")], expected_version=0)
    threading.Timer(0.3, lambda: store.append("a-1", [Event("T")], expected_version=1)).start()
    assert len(store.read("a-1", at_least_position=2).to_list()) == 2
    assert len(store.read_all(at_least_position=2).to_list()) == 2
    fold = {"fold": "f", "initial": {}, "handlers": {}}
    assert store.hydrate("a", "1", fold=fold, at_least_position=2).version == 2
    assert store.hydrate_many(["a-1"], fold=fold, at_least_position=2)["a-1"].version == 2
    assert store.read_aggregate("a", "1", 0, {}, at_least_position=2) == (0, 2)
    with pytest.raises(eventfold.DeadlineExceeded) as raised:
        store.hydrate("a", "1", fold=fold, at_least_position=9, timeout=0.5)
    # Whose clock was first says whose error it is.
    assert raised.value.requested in (9, None)
