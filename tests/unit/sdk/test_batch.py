"""Goal: a bulk load gives its results in order, holds little, and has a clear rule for errors.

Method: both clients against a server in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.unit.sdk.appending import AppendServer, Broken, serving

import eventfold
from eventfold import ANY, Event, StreamAppend


@pytest.fixture
def appends() -> Iterator[AppendServer]:
    with serving() as server:
        yield server


async def taken(driver: Any, results: Any) -> tuple[list[Any], Exception | None]:
    """What came before the load ended, and what ended it."""
    found: list[Any] = []
    try:
        if driver.kind == "async":
            async for result in results:
                found.append(result)
        else:
            found.extend(results)
    except Exception as error:  # noqa: BLE001 - handed to the test
        return found, error
    return found, None


async def test_results_come_in_order(driver: Any, appends: AppendServer) -> None:
    client = driver.client(appends.target)
    load = [StreamAppend(f"a-{n % 50}", [Event("A")], n // 50) for n in range(500)]
    results, error = await taken(driver, client.append_batch(load))
    assert error is None
    assert [result.last_version for result in results] == [n // 50 + 1 for n in range(500)]
    assert appends.alone == 0


async def test_the_first_error_is_raised_in_its_place(driver: Any, appends: AppendServer) -> None:
    pulled = []

    def load() -> Iterator[Any]:
        for n in range(1_000):
            pulled.append(n)
            yield f"a-{n}", [Event("A")], 7 if n == 20 else 0

    client = driver.client(appends.target)
    results, error = await taken(driver, client.append_batch(load(), in_flight=10))
    assert len(results) == 20
    assert isinstance(error, eventfold.VersionConflict)
    # Those under way are made, and no more.
    assert 21 <= len(pulled) <= 32
    assert sum(map(len, appends.streams.values())) in (len(pulled) - 1, len(pulled) - 2)


async def test_errors_stand_in_the_place_of_results(driver: Any, appends: AppendServer) -> None:
    client = driver.client(appends.target)
    too_large = [Event("A", {"text": "x" * 1_000_000})] * 9
    load = [
        ("a-0", [Event("A")], 0),
        ("a-1", [Event("A")], 3),
        ("a-2", too_large, 0),
        ("a-3", [Event("A")], 0),
    ]
    results, error = await taken(driver, client.append_batch(load, return_errors=True))
    assert error is None
    assert [type(result) for result in results] == [
        eventfold.AppendResult,
        eventfold.VersionConflict,
        eventfold.AppendTooLarge,
        eventfold.AppendResult,
    ]


async def test_no_more_is_pulled_than_there_is_room_for(driver: Any, appends: AppendServer) -> None:
    held = threading.Event()
    appends.before = lambda _: held.wait(10)
    pulled = []

    def load() -> Iterator[Any]:
        for n in range(100):
            pulled.append(n)
            if n == 6:
                held.set()
            yield f"a-{n}", [Event("A")], 0

    client = driver.client(appends.target)
    found = []
    results = client.append_batch(load(), in_flight=5)
    assert pulled == []
    threading.Timer(0.3, held.set).start()
    if driver.kind == "async":
        async for result in results:
            found.append((result.last_version, len(pulled)))
    else:
        for result in results:
            found.append((result.last_version, len(pulled)))
    assert all(count <= n + 6 for n, (_, count) in enumerate(found))
    assert len(found) == 100


async def test_bytes_are_bounded_too(
    driver: Any, appends: AppendServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"eventfold._{driver.kind}.batch._BYTES_MAX", 10_000)
    pulled = []

    def load() -> Iterator[Any]:
        for n in range(30):
            pulled.append(n)
            yield f"a-{n}", [Event("A", {"text": "x" * 4_000})], 0

    client = driver.client(appends.target)
    count = 0
    results = client.append_batch(load())
    if driver.kind == "async":
        async for _ in results:
            count += 1
            assert len(pulled) <= count + 2
    else:
        for _ in results:
            count += 1
            assert len(pulled) <= count + 2
    assert count == 30


async def test_appends_to_one_stream_keep_their_order(driver: Any, appends: AppendServer) -> None:
    """Also when sessions break: a repetition never overtakes."""
    broken = iter(range(1_000))

    def every_ninth(_: Any) -> None:
        if next(broken) % 9 == 0:
            raise Broken

    appends.before = appends.after = every_ninth
    client = driver.client(appends.target, timeout=30)
    load = [StreamAppend(f"a-{n % 3}", [Event("A", {"n": n})], ANY) for n in range(120)]
    results, error = await taken(driver, client.append_batch(load))
    assert error is None
    assert [result.last_version for result in results] == [n // 3 + 1 for n in range(120)]
    for number in range(3):
        ids = [next(iter(append.events)).id for append in load[number::3]]
        assert appends.streams[f"a-{number}"] == ids


async def test_what_the_iterable_raises_passes_through(driver: Any, appends: AppendServer) -> None:
    def load() -> Iterator[Any]:
        yield "a-1", [Event("A")], 0
        raise LookupError("gone")

    client = driver.client(appends.target)
    results, error = await taken(driver, client.append_batch(load()))
    assert (results, type(error)) == ([], LookupError)
    assert len(appends.streams["a-1"]) == 1
    _, error = await taken(driver, client.append_batch([("a-2", Event("A"), 0)]))
    assert isinstance(error, TypeError)
    _, error = await taken(driver, client.append_batch([], in_flight=0))
    assert isinstance(error, ValueError)


async def test_leaving_early_waits_for_what_is_under_way(
    driver: Any, appends: AppendServer
) -> None:
    appends.before = lambda _: time.sleep(0.005)
    client = driver.client(appends.target)
    results = client.append_batch(((f"a-{n}", [Event("A")], 0) for n in range(100)), in_flight=8)
    if driver.kind == "async":
        async for _ in results:
            break
        await results.aclose()
    else:
        for _ in results:
            break
        results.close()
    assert 8 <= len(appends.streams) <= 10


async def test_appends_may_come_asynchronously(appends: AppendServer) -> None:
    async def load() -> AsyncIterator[StreamAppend]:
        for n in range(20):
            yield StreamAppend(f"a-{n}", [Event("A")], 0)

    async with eventfold.AsyncClient(appends.target) as client:
        results = [result async for result in client.append_batch(load())]
    assert [result.last_version for result in results] == [1] * 20


async def test_a_server_without_sessions(driver: Any, appends: AppendServer) -> None:
    appends.knows_sessions = False
    client = driver.client(appends.target)
    load = [(f"a-{n}", [Event("A")], 0) for n in range(40)]
    results, error = await taken(driver, client.append_batch(load))
    assert error is None
    assert [result.last_version for result in results] == [1] * 40
    assert (appends.alone, appends.sessions) == (40, 0)
