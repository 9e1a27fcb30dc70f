"""Goal: a watch shows the state of every version once, in order, whatever becomes of the line.

Method: both clients against a real server, behind a proxy that cuts the line, while a thread
appends; what was seen is held against the events.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.sdk.test_append_sessions import cuts
from tests.integration.sdk.test_subscriptions import WAIT_SECONDS, until
from tests.support.proxy import cutting
from tests.unit.sdk.conftest import Driver
from tests.unit.sdk.conftest import driver as driver  # noqa: PLC0414 - a fixture

import eventfold
from eventfold import ANY, Client, Event

FOLD = {"fold": "sum", "initial": {"sum": 0}, "handlers": {"A": {"sum": "state.sum + event.n"}}}


@dataclasses.dataclass
class Sum:
    sum: int


@contextlib.contextmanager
def writing(target: str) -> Iterator[None]:
    """Appends one event after the other to `a-1`, and others beside it."""
    over = threading.Event()

    def work() -> None:
        with Client(target) as store:
            n = 0
            while not over.wait(0.002):
                n += 1
                store.append("a-1", [Event("A", {"n": n})], expected_version=ANY)
                store.append("b-1", [Event("A", {"n": n})], expected_version=ANY)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def check(seen: list[Any], target: str) -> None:
    """Every version from 0 to the head, with its state and its event."""
    with Client(target) as store:
        events = list(store.read("a-1"))
    assert [one.version for one in seen] == list(range(len(events) + 1))
    assert [one.state.sum for one in seen] == [n * (n + 1) // 2 for n in range(len(seen))]
    assert [one.event_id for one in seen[1:]] == [event.id for event in events]
    assert (seen[0].exists, seen[1].exists) == (False, True)


def test_cuts_of_the_line_are_not_seen_by_a_thread(eventfold_target: str) -> None:
    seen: list[Any] = []
    breaks: list[eventfold.Reconnect] = []
    with cutting(eventfold_target) as proxy, Client(proxy.address) as store:
        watch = store.watch("a-1", fold=FOLD, into=Sum, on_reconnect=breaks.append)
        thread = threading.Thread(target=lambda: seen.extend(watch))
        thread.start()
        until(lambda: len(seen) == 1)
        with writing(eventfold_target), cuts(proxy):
            until(lambda: proxy.cuts >= 15 and len(seen) > 200)
        with Client(eventfold_target) as direct:
            head = direct.get_stream("a-1").version
        until(lambda: watch.version == head)
        watch.close()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()
    check(seen, eventfold_target)
    assert len(breaks) >= 5


async def test_cuts_of_the_line_are_not_seen_by_a_task(eventfold_target: str) -> None:
    seen: list[Any] = []
    breaks: list[eventfold.Reconnect] = []
    with cutting(eventfold_target) as proxy:
        async with eventfold.AsyncClient(proxy.address) as store:
            watch = store.watch("a-1", fold=FOLD, into=Sum, on_reconnect=breaks.append)

            async def follow() -> None:
                async for state in watch:
                    seen.append(state)

            task = asyncio.create_task(follow())
            await asyncio.to_thread(until, lambda: len(seen) == 1)
            with writing(eventfold_target), cuts(proxy):
                await asyncio.to_thread(until, lambda: proxy.cuts >= 15 and len(seen) > 200)
            with Client(eventfold_target) as direct:
                head = direct.get_stream("a-1").version
            await asyncio.to_thread(until, lambda: watch.version == head)
            await watch.aclose()
            await asyncio.wait_for(task, WAIT_SECONDS)
    check(seen, eventfold_target)
    assert len(breaks) >= 5


async def test_starts_and_errors(driver: Driver, eventfold_target: str) -> None:
    store = driver.client(eventfold_target)
    for n in range(1, 6):
        await driver.result(store.append("a-1", [Event("A", {"n": n})], expected_version=n - 1))

    async def first(count: int, **options: Any) -> list[tuple[int, Any]]:
        watch = store.watch("a-1", fold=FOLD, **options)
        try:
            if driver.kind == "async":
                found = [await anext(watch) for _ in range(count)]
            else:
                found = await asyncio.to_thread(lambda: [next(watch) for _ in range(count)])
        finally:
            await driver.result(watch.aclose() if driver.kind == "async" else watch.close())
        return [(one.version, one.state["sum"]) for one in found]

    assert await first(1) == [(5, 15)]
    assert await first(3, from_version=3) == [(3, 6), (4, 10), (5, 15)]
    with pytest.raises(eventfold.VersionAhead):
        await first(1, from_version=7)
    with pytest.raises(eventfold.FoldNotFound):
        await driver.items(store.watch("a-1", fold="none"))
    with pytest.raises(eventfold.InvalidStreamName):
        await driver.items(store.watch("a", fold=FOLD))
    await driver.result(store.append("a-1", [Event("A", {"n": "text"})], expected_version=5))
    with pytest.raises(eventfold.FoldFailed):
        await first(1, from_version=6)
