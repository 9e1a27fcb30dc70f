"""Goal: what was opened leaves a server only while its keys are in force; after an erasure nothing
that was opened does, whatever the server was doing meanwhile.

Method: one server that reads all the time, and is stopped and continued (SIGSTOP) around an erasure
that another process does; a keyring in this process, where the moment counts.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.integration.privacy.guarded import CANARY, SEES, client, declare, erase, guarded
from tests.support.servers import RunningServer

from eventfold import Client, Event, EventfoldError, KeysUnavailable
from eventfold_server import opened
from eventfold_server.domain.requests import Caller
from eventfold_server.interceptors.guard import Guard
from eventfold_server.interceptors.identity import Identities

# Longer than a lease.
PAUSE_S = 6.0
READ_ALL = "/eventfold.v1.EventStore/ReadAll"
GET_EVENT = "/eventfold.v1.EventStore/GetEvent"


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with guarded(tmp_path_factory.mktemp("leaving"), postgres, "leaving") as started:
        yield started


@pytest.fixture
def store(server: RunningServer) -> Iterator[Client]:
    with client(server, SEES) as made:
        yield made


class Readers:
    """Threads that read the same events in their own way until they are told to stop."""

    def __init__(self, server: RunningServer, reads: list[Callable[[Client], Any]]) -> None:
        self._server = server
        self._stop = threading.Event()
        # When a read began whose answer came, and whether it held the value.
        self.answers: list[tuple[float, bool]] = []
        self._threads = [threading.Thread(target=self._run, args=(read,)) for read in reads]
        for thread in self._threads:
            thread.start()

    def _run(self, read: Callable[[Client], Any]) -> None:
        with client(self._server, SEES, timeout=30) as store:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    answer = repr(read(store))
                except EventfoldError:
                    continue
                self.answers.append((began, CANARY in answer))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment: float) -> set[bool]:
        return {held for at, held in self.answers if at > moment}


def test_nothing_opened_leaves_a_server_that_slept_through_an_erasure(
    server: RunningServer, store: Client, kind: str
) -> None:
    declare(store, kind, "email")
    stream = f"{kind}-1"
    store.append(stream, [Event(kind, {"email": CANARY})], expected_version=0)
    [event] = store.read(stream)

    def subscribed(reader: Client) -> Any:
        with reader.subscribe(stream) as following:
            return next(iter(following)).data

    readers = Readers(
        server,
        [
            lambda reader: [event.data for event in reader.read(stream)],
            lambda reader: [event.data for event in reader.read_all(categories=[kind])],
            lambda reader: reader.get_event(event.id).data,
            subscribed,
        ],
    )
    try:
        began = time.monotonic()
        while len(readers.answers) < 40:
            time.sleep(0.05)
        assert readers.since(began) == {True}
        server.process.send_signal(signal.SIGSTOP)
        try:
            asyncio.run(erase(server, stream))
        finally:
            erased = time.monotonic()
            server.process.send_signal(signal.SIGCONT)
        while len([at for at, _ in readers.answers if at > erased]) < 40:
            time.sleep(0.05)
    finally:
        readers.stop()
    # An answer that the network has already arrives, however long the server sleeps: these reads
    # began when it slept, or after.
    assert readers.since(erased) == {False}
    [event] = store.read(stream)
    assert (event.data, event.erased_paths) == ({"email": None}, ("/email",))


def test_a_server_that_slept_reads_on_when_it_has_a_lease(
    server: RunningServer, store: Client, kind: str
) -> None:
    declare(store, kind, "email")
    store.append(f"{kind}-1", [Event(kind, {"email": CANARY})], expected_version=0)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_S)
    server.process.send_signal(signal.SIGCONT)
    ends = time.monotonic() + 60
    while True:
        try:
            [event] = store.read(f"{kind}-1")
            break
        except KeysUnavailable:
            assert time.monotonic() < ends
    assert event.data == {"email": CANARY}


def test_a_subscriber_sees_erased_values_from_the_tail_too(
    server: RunningServer, store: Client, kind: str
) -> None:
    """Events that the server holds in memory for all who subscribe are let go."""
    declare(store, kind, "email")
    stream = f"{kind}-1"
    with store.subscribe(categories=[kind], from_position=1) as first:
        following = iter(first)
        for version in range(3):
            store.append(stream, [Event(kind, {"email": CANARY})], expected_version=version)
            assert next(following).data == {"email": CANARY}
        asyncio.run(erase(server, stream))
        store.append(f"{kind}-2", [Event(kind, {"email": "x"})], expected_version=0)
        assert next(following).data == {"email": "x"}
        with store.subscribe(categories=[kind], from_position=1) as second:
            events = [event for _, event in zip(range(4), second, strict=False)]
    assert [event.data for event in events] == [{"email": None}] * 3 + [{"email": "x"}]
    assert [event.erased_paths for event in events] == [("/email",)] * 3 + [()]


class Aborted(Exception):
    """Ends a call, as gRPC's own does."""


class Context:
    """What a handler needs of a call."""

    def __init__(self) -> None:
        self.details = ""

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> None:
        return None

    async def abort(self, _code: Any, details: str, **_more: Any) -> None:
        self.details = details
        raise Aborted


async def test_what_only_reads_is_read_anew() -> None:
    """Its epoch is over when it is to leave; the next time it is not."""
    epochs = iter([1, 2, 2])
    guard = Guard(Identities(None), lambda epoch: epoch == 2)

    async def read(_request: bytes, _caller: Caller) -> int:
        opened.note(epoch := next(epochs))
        return epoch

    handler: Any = guard.unary(GET_EVENT, bytes, read)
    assert await handler(b"", Context()) == 2
    # Whatever changes something is not done twice.
    handler = guard.unary("/eventfold.v1.EventStore/Append", bytes, read)
    assert await handler(b"", Context()) == 2


async def test_an_answer_that_never_may_leave_is_refused() -> None:
    context = Context()

    async def read(_request: bytes, _caller: Caller) -> bytes:
        opened.note(1)
        return CANARY.encode()

    handler: Any = Guard(Identities(None), lambda _: False).unary(GET_EVENT, bytes, read)
    with pytest.raises(Aborted):
        await handler(b"", context)
    assert "keys are in force no more" in context.details


async def test_a_stream_ends_before_what_may_not_leave() -> None:
    epoch = 1

    async def read(_request: bytes, _caller: Caller) -> AsyncIterator[bytes]:
        nonlocal epoch
        opened.note(1)
        yield b"opened and in force"
        opened.sent()
        yield b"nothing opened"
        epoch = 2
        yield b"still nothing"
        opened.note(1)
        yield CANARY.encode()

    guard = Guard(Identities(None), lambda opened: opened == epoch)
    handler: Any = guard.streamed(READ_ALL, bytes, read)
    got: list[bytes] = []

    async def take() -> None:
        async for message in handler(b"", Context()):
            got.append(message)

    with pytest.raises(Aborted):
        await take()
    assert got == [b"opened and in force", b"nothing opened", b"still nothing"]


def test_marks_of_one_call_are_none_of_another() -> None:
    async def one(epoch: int) -> int | None:
        mine = opened.begin()
        opened.note(epoch)
        await asyncio.sleep(0.01)
        opened.note(epoch + 5)
        return mine.epoch

    async def both() -> list[int | None]:
        opened.note(7)
        return await asyncio.gather(one(1), one(2))

    assert asyncio.run(both()) == [1, 2]
