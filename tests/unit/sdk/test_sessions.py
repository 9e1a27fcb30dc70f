"""Goal: the appends of a client share sessions, and nobody can tell by their results.

Method: both clients against a server in memory that breaks its calls before or after it stored.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.appending import AppendServer, Broken, serving

import eventfold
from eventfold import ANY, Event, _sessions


@pytest.fixture
def appends() -> Iterator[AppendServer]:
    with serving() as server:
        yield server


async def at_once(driver: Any, client: Any, calls: list[tuple[Any, ...]], **options: Any) -> Any:
    """The results of appends that are under way together, or their errors."""

    def append(stream: str, events: list[Event], expected: Any) -> Any:
        return client.append(stream, events, expected_version=expected, **options)

    if driver.kind == "async":
        return await asyncio.gather(*(append(*call) for call in calls), return_exceptions=True)

    def caught(call: tuple[Any, ...]) -> Any:
        try:
            return append(*call)
        except eventfold.EventfoldError as error:
            return error

    with ThreadPoolExecutor(32) as pool:
        return await asyncio.to_thread(lambda: list(pool.map(caught, calls)))


async def until(holds: Callable[[], bool]) -> None:
    """Waits for something that is about to hold; pytest ends a test that waits in vain."""
    while not holds():  # noqa: ASYNC110 - a thread makes it true
        await asyncio.sleep(0.02)


def thread_names() -> list[str]:
    return [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]


def slow(_: Any) -> None:
    time.sleep(0.002)


async def test_the_first_is_a_call_and_the_others_share_sessions(
    driver: Any, appends: AppendServer
) -> None:
    client = driver.client(appends.target)
    result = await driver.result(client.append("a-0", [Event("A")], expected_version=0))
    assert (result.last_version, appends.alone, appends.sessions) == (1, 1, 0)
    appends.before = slow
    calls = [(f"a-{n}", [Event("A"), Event("B")], 0) for n in range(1, 200)]
    results = await at_once(driver, client, calls)
    assert {(result.first_version, result.last_version) for result in results} == {(1, 2)}
    assert 1 <= appends.sessions <= 4
    # Several of one turn of the event loop travel in one message; threads come one by one, and the
    # channel does not wait for company.
    if driver.kind == "async":
        assert max(appends.messages) > 1
    assert (sum(appends.messages), appends.alone) == (199, 1)


async def test_a_refusal_is_an_error_of_its_own_append(driver: Any, appends: AppendServer) -> None:
    client = driver.client(appends.target)
    appends.before = slow
    calls = [(f"a-{n}", [Event("A")], n % 2) for n in range(40)]
    results = await at_once(driver, client, calls)
    for n, result in enumerate(results):
        if n % 2:
            assert isinstance(result, eventfold.VersionConflict)
            assert (result.stream, result.actual) == (f"a-{n}", 0)
        else:
            assert result.last_version == 1


async def test_a_session_that_breaks_loses_and_doubles_nothing(
    driver: Any, appends: AppendServer
) -> None:
    chance = random.Random(7)

    def perhaps(_: Any) -> None:
        if chance.random() < 0.04:
            raise Broken

    appends.before = appends.after = perhaps
    client = driver.client(appends.target, timeout=30)
    events = {f"a-{n}": [Event("A"), Event("B")] for n in range(300)}
    results: dict[str, Any] = {}
    waiting = dict(events)
    # Some break five times in a row; they are unsure, and appended again with the same events.
    for _ in range(20):
        calls = [(name, waiting[name], 0) for name in waiting]
        for call, result in zip(calls, await at_once(driver, client, calls), strict=True):
            if isinstance(result, eventfold.AppendResult):
                results[call[0]] = result
                del waiting[call[0]]
            else:
                assert isinstance(result, eventfold.ConnectionFailed)
    assert not waiting
    assert appends.sessions > 4
    assert {(result.first_version, result.last_version) for result in results.values()} == {(1, 2)}
    assert appends.streams == {
        name: [event.id for event in stream] for name, stream in events.items()
    }


async def test_a_server_without_sessions_gets_calls(driver: Any, appends: AppendServer) -> None:
    appends.knows_sessions = False
    appends.before = slow
    client = driver.client(appends.target)
    results = await at_once(driver, client, [(f"a-{n}", [Event("A")], 0) for n in range(50)])
    assert [result.last_version for result in results] == [1] * 50
    assert (appends.alone, appends.sessions) == (50, 0)


async def test_every_append_keeps_its_own_deadline(driver: Any, appends: AppendServer) -> None:
    held = threading.Event()

    def hold(request: Any) -> None:
        if request.stream == "slow-1":
            held.wait(60)

    appends.before = hold
    client = driver.client(appends.target)
    began = time.monotonic()
    calls = [(f"slow-{n}", [Event("A")], 0) for n in range(1, 6)]
    results = await at_once(driver, client, calls, timeout=0.5)
    assert 0.4 < time.monotonic() - began < 30
    held.set()
    # Who waits behind an append that hangs does not know whether the server has seen his own.
    unsure = (eventfold.OutcomeUnknown, eventfold.AppendResult)
    assert isinstance(results[0], eventfold.OutcomeUnknown)
    assert all(isinstance(result, unsure) for result in results)
    assert all(0 < timeout <= 0.5 for timeout in appends.timeouts)


async def test_one_that_is_cancelled_does_not_disturb_the_others(appends: AppendServer) -> None:
    appends.before = slow
    async with eventfold.AsyncClient(appends.target) as client:
        tasks = [
            asyncio.create_task(client.append(f"a-{n}", [Event("A")], expected_version=0))
            for n in range(100)
        ]
        await asyncio.sleep(0.05)
        for task in tasks[::3]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert appends.sessions >= 1
    for n, result in enumerate(results):
        if n % 3:
            assert isinstance(result, eventfold.AppendResult)
    assert any(isinstance(result, asyncio.CancelledError) for result in results)


async def test_more_than_a_session_takes_wait_for_room(appends: AppendServer) -> None:
    held = threading.Event()
    appends.before = lambda _: held.wait(60)
    async with eventfold.AsyncClient(appends.target) as client:
        tasks = [
            asyncio.create_task(client.append("a-1", [Event("A")], expected_version=ANY))
            for _ in range(2_000)
        ]
        await asyncio.sleep(0.5)
        sent = sum(session.sent for session in client._appends._sessions)
        assert len(client._appends._sessions) == 4
        assert sent <= 4 * 256
        held.set()
        results = await asyncio.gather(*tasks)
    assert len({result.last_version for result in results}) == 2_000


async def test_an_append_that_was_never_sent_is_surely_not_stored(appends: AppendServer) -> None:
    held = threading.Event()
    appends.before = lambda _: held.wait(60)
    async with eventfold.AsyncClient(appends.target, timeout=1) as client:
        calls = [client.append("a-1", [Event("A")], expected_version=ANY) for _ in range(1_200)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        held.set()
    kinds = {type(error) for error in errors}
    assert kinds == {eventfold.OutcomeUnknown, eventfold.DeadlineExceeded}


async def test_a_long_append_is_a_call_of_its_own(driver: Any, appends: AppendServer) -> None:
    appends.before = slow
    client = driver.client(appends.target)
    long = [Event("A", {"text": "x" * 900_000}), Event("A", {"text": "x" * 900_000})]
    results = await at_once(driver, client, [(f"a-{n}", long, 0) for n in range(8)])
    assert [result.last_version for result in results] == [2] * 8
    assert appends.sessions == 0


async def test_an_idle_session_ends_and_another_begins(
    driver: Any, appends: AppendServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_sessions.LIMITS, "idle_s", 0.05)
    appends.before = slow
    client = driver.client(appends.target)
    for round_ in range(2):
        calls = [(f"{round_}-{n}", [Event("A")], 0) for n in range(40)]
        results = await at_once(driver, client, calls)
        assert [result.last_version for result in results] == [1] * 40
        await until(lambda: all(session.is_over for session in client._appends._sessions))
    # All channels of a process share a thread, and a session has none of its own.
    assert thread_names().count("eventfold\n") == 1


async def test_closing_the_client_ends_what_is_under_way(
    driver: Any, appends: AppendServer
) -> None:
    held = threading.Event()
    appends.before = lambda _: held.wait(60)
    client = driver.client(appends.target)

    async def close() -> None:
        await asyncio.sleep(0.3)
        await driver.result(client.close())

    closing = asyncio.create_task(close())
    calls = [(f"a-{n}", [Event("A")], 0) for n in range(8)]
    try:
        results = await at_once(driver, client, calls)
    except RuntimeError as error:
        results = [error]
    held.set()
    await closing
    failures = RuntimeError | eventfold.EventfoldError | asyncio.CancelledError
    assert all(isinstance(one, failures) for one in results)
    with pytest.raises(RuntimeError, match="closed"):
        await driver.result(client.append("a-1", [Event("A")], expected_version=0))
