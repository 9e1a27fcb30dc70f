"""Goal: whatever answers in the place of an eventfold, the SDK raises an error of its own.

Method: both clients against strangers, and against servers with TLS and with tokens.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from tests.clients.servers import World, worlds

import eventfold

Ask = Callable[..., Any]

STRANGERS = {
    "stranger": eventfold.UnexpectedAnswer,
    "later": eventfold.UnexpectedAnswer,
    "garbled": eventfold.UnexpectedAnswer,
    "web": eventfold.ConnectionFailed,
    "silent": eventfold.DeadlineExceeded,
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda store: store.get_stream("account-1"),
    "hydrate": lambda store: store.hydrate("account", "1", fold="account"),
    "folds": lambda store: store.get_fold("account"),
    "event": lambda store: store.get_event("018f0000-0000-7000-8000-000000000000"),
}
APPEND: Callable[[Any], Any] = lambda store: store.append(  # noqa: E731 - a call like the others
    "account-1", [eventfold.Event("A", {})], expected_version=0
)


@pytest.fixture(scope="module")
def make() -> Iterator[Callable[[], AbstractContextManager[World]]]:
    with worlds() as made:
        yield made


@pytest.fixture
def world(make: Callable[[], AbstractContextManager[World]]) -> Iterator[World]:
    with make() as made:
        yield made


def told(world: World, line: str) -> dict[str, Any]:
    answer = world.answer(line)
    assert "error" not in answer, answer
    return answer


def sync(address: str, call: Callable[[Any], Any], **options: Any) -> Any:
    with eventfold.Client(address, **options) as store:
        return call(store)


def on_loop(address: str, call: Callable[[Any], Any], **options: Any) -> Any:
    async def run() -> Any:
        async with eventfold.AsyncClient(address, **options) as store:
            return await call(store)

    return asyncio.run(run())


@pytest.fixture(params=[sync, on_loop], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    made: Ask = request.param
    return made


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_is_told_from_a_server(world: World, ask: Ask, kind: str) -> None:
    address = told(world, kind)["address"]
    for name, call in CALLS.items():
        with pytest.raises(STRANGERS[kind]) as raised:
            ask(address, call, timeout=1)
        assert raised.value.reason != "UNKNOWN", name


@pytest.mark.parametrize("kind", ["stranger", "later", "garbled"])
def test_an_append_to_a_stranger_fails(world: World, ask: Ask, kind: str) -> None:
    with pytest.raises(eventfold.UnexpectedAnswer):
        ask(told(world, kind)["address"], APPEND, timeout=1)


def test_an_append_without_an_answer_may_be_stored(world: World, ask: Ask) -> None:
    with pytest.raises(eventfold.OutcomeUnknown):
        ask(told(world, "silent")["address"], APPEND, timeout=1)


@pytest.mark.parametrize("kind", ["stranger", "later", "garbled"])
def test_a_stream_of_a_stranger_fails(world: World, kind: str) -> None:
    with eventfold.Client(told(world, kind)["address"], timeout=1) as store:
        with pytest.raises(eventfold.UnexpectedAnswer):
            list(store.read("account-1"))
        with pytest.raises(eventfold.UnexpectedAnswer):
            list(store.read_all())
        with pytest.raises(eventfold.UnexpectedAnswer), store.subscribe() as following:
            next(iter(following))


def test_a_certificate_of_another_authority(world: World, ask: Ask) -> None:
    server = told(world, "server tls")
    authority = server["authority"].encode()
    assert ask(server["address"], APPEND, tls=authority).last_version == 1
    other = told(world, "authority")["authority"].encode()
    for tls in (other, True, False):
        with pytest.raises(eventfold.ConnectionFailed):
            ask(server["address"], CALLS["get"], tls=tls, timeout=2)


def test_tls_to_a_server_without_it(world: World, ask: Ask) -> None:
    address = told(world, "server")["address"]
    other = told(world, "authority")["authority"].encode()
    with pytest.raises(eventfold.ConnectionFailed):
        ask(address, CALLS["get"], tls=other, timeout=2)


def test_a_token_that_is_unknown(world: World, ask: Ask) -> None:
    address = told(world, "server tokens")["address"]
    assert ask(address, APPEND, token="conformance-all").last_version == 1
    for token in (None, "conformance-nobody"):
        with pytest.raises(eventfold.Unauthenticated):
            ask(address, CALLS["get"], token=token)
    with pytest.raises(eventfold.PermissionDenied):
        ask(address, APPEND, token="conformance-reader")


def test_an_idle_consumer_outlives_an_outage(world: World) -> None:
    """One that no event has come to yet; the server is away for longer than a call may take."""
    server = told(world, "server")
    with eventfold.Client(server["address"], timeout=1) as store:
        store.create_group("idle", types=["Wanted"])
        consumer = store.consume("idle")
        seen: list[str] = []
        failures: list[Exception] = []

        def consume() -> None:
            try:
                with consumer as events:
                    for event in events:
                        seen.append(event.type)
                        return
            except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
                failures.append(error)

        thread = threading.Thread(target=consume)
        thread.start()
        wait_for(lambda: consumer.session > 0 or failures)
        told(world, f"kill {server['number']}")
        time.sleep(2.5)
        told(world, f"start {server['number']}")
        with eventfold.Client(server["address"]) as other:
            other.append("account-1", [eventfold.Event("Wanted", {})], expected_version=0)
        thread.join(60)
        assert (seen, failures) == (["Wanted"], [])


def wait_for(is_so: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)
