"""Goal: appends that share sessions lose and double nothing, whatever becomes of the connection.

Method: both clients against a real server behind a proxy that cuts the line at random moments; then
the log is held against what was acknowledged.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from tests.support.proxy import Proxy, cutting

import eventfold
from eventfold import ANY, Event, StreamAppend

STREAMS = 40
ROUNDS = 12


@contextmanager
def cuts(proxy: Proxy) -> Iterator[None]:
    """Cuts the line at random moments, a few times a second."""
    over = threading.Event()

    def work() -> None:
        chance = random.Random(3)
        while not over.wait(chance.uniform(0.1, 0.4)):
            proxy.cut()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def check(target: str, acknowledged: dict[str, list[tuple[int, str]]]) -> None:
    """Every acknowledged event is stored once, at the version that was said, and nothing else."""
    with eventfold.Client(target) as store:
        stored: dict[str, list[tuple[int, str]]] = {}
        for event in store.read_all():
            stored.setdefault(event.stream, []).append((event.version, event.id))
    assert stored == {name: sorted(events) for name, events in acknowledged.items()}


async def test_tasks_of_the_asynchronous_client(eventfold_target: str) -> None:
    acknowledged: dict[str, list[tuple[int, str]]] = {}

    async def write(store: eventfold.AsyncClient, stream: str) -> None:
        for version in range(ROUNDS):
            event = Event("A", {"n": version})
            while True:
                try:
                    result = await store.append(stream, [event], expected_version=version)
                except (eventfold.ConnectionFailed, eventfold.OutcomeUnknown):
                    continue
                break
            acknowledged.setdefault(stream, []).append((result.last_version, event.id))

    with cutting(eventfold_target) as proxy, cuts(proxy):
        async with eventfold.AsyncClient(proxy.address, timeout=30) as store:
            while proxy.cuts < 5:
                begin = len(acknowledged)
                await asyncio.gather(
                    *(write(store, f"a-{n}") for n in range(begin, begin + STREAMS))
                )
    check(eventfold_target, acknowledged)


def test_threads_of_the_synchronous_client(eventfold_target: str) -> None:
    acknowledged: dict[str, list[tuple[int, str]]] = {}

    def write(stream: str) -> None:
        for version in range(ROUNDS):
            event = Event("A", {"n": version})
            while True:
                try:
                    result = store.append(stream, [event], expected_version=version)
                except (eventfold.ConnectionFailed, eventfold.OutcomeUnknown):
                    continue
                break
            acknowledged.setdefault(stream, []).append((result.last_version, event.id))

    with (
        cutting(eventfold_target) as proxy,
        cuts(proxy),
        eventfold.Client(proxy.address, timeout=30) as store,
        ThreadPoolExecutor(16) as pool,
    ):
        while proxy.cuts < 5:
            begin = len(acknowledged)
            list(pool.map(write, [f"a-{n}" for n in range(begin, begin + STREAMS)]))
    check(eventfold_target, acknowledged)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_bulk_load(eventfold_target: str, kind: str) -> None:
    appends = [StreamAppend(f"a-{n % 300}", [Event("A", {"n": n})], n // 300) for n in range(3_000)]
    results: dict[int, eventfold.AppendResult] = {}

    async def load(waiting: list[int]) -> None:
        chosen = [appends[n] for n in waiting]
        if kind == "async":
            async with eventfold.AsyncClient(proxy.address, timeout=30) as store:
                answers = [one async for one in store.append_batch(chosen, return_errors=True)]
        else:
            with eventfold.Client(proxy.address, timeout=30) as client:
                batch = client.append_batch(chosen, return_errors=True)
                answers = await asyncio.to_thread(lambda: list(batch))
        for n, answer in zip(waiting, answers, strict=True):
            if isinstance(answer, eventfold.AppendResult):
                results[n] = answer
            else:
                # The second: one before it in the stream was not made.
                assert isinstance(answer, eventfold.ConnectionFailed | eventfold.VersionConflict)

    with cutting(eventfold_target) as proxy, cuts(proxy):
        while len(results) < len(appends):
            await load([n for n in range(len(appends)) if n not in results])
    acknowledged: dict[str, list[tuple[int, str]]] = {}
    for n, result in results.items():
        stream, events, _ = appends[n]
        acknowledged.setdefault(stream, []).append((result.last_version, next(iter(events)).id))
    check(eventfold_target, acknowledged)


async def test_many_at_once_without_cuts(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:
        calls = (store.append("a-1", [Event("A")], expected_version=ANY) for _ in range(500))
        results = await asyncio.gather(*calls)
        assert sorted(result.last_version for result in results) == list(range(1, 501))
        assert store._appends._sessions
        refused = await asyncio.gather(
            *(store.append("a-1", [Event("A")], expected_version=n) for n in range(100)),
            return_exceptions=True,
        )
    assert {type(error) for error in refused} == {eventfold.VersionConflict}
    assert {error.actual for error in refused if isinstance(error, eventfold.VersionConflict)} == {
        500
    }


async def test_appends_to_several_streams(eventfold_target: str) -> None:
    async with eventfold.AsyncClient(eventfold_target) as store:
        await store.append("customer-1", [Event("A")], expected_version=0)
        transfer = [
            StreamAppend("account-1", [Event("Withdrawn"), Event("Noted")], 0),
            StreamAppend("account-2", [Event("Deposited")], 0),
        ]
        first, second = await store.append_many(transfer, checks={"customer-1": 1})
        assert (first.last_version, second.last_version) == (2, 1)
        assert first.positions + second.positions == (2, 3, 4)
        again = await store.append_many(transfer, checks={"customer-1": 1})
        assert [result.duplicate for result in again] == [True, True]
        with pytest.raises(eventfold.ChecksFailed) as caught:
            await store.append_many(
                [("account-1", [Event("A")], 2), ("account-2", [Event("A")], 7)],
                checks={"customer-1": 3, "customer-2": eventfold.EXISTS},
            )
    found = [
        (one.stream, one.actual_version, one.append_index, one.check_index)
        for one in caught.value.failed
    ]
    assert found == [
        ("account-2", 1, 1, None),
        ("customer-1", 1, None, 0),
        ("customer-2", 0, None, 1),
    ]
    assert {type(one.error) for one in caught.value.failed} == {eventfold.VersionConflict}
